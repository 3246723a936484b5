using System.Buffers;
using System.Buffers.Text;
using System.Security.Cryptography;

namespace ConsentLedger.Security;

/// <summary>
/// The opaque part of every link that this service makes: some bytes, signed (FACTS 61-63). What they mean, and whether
/// they expire, is the business of each kind of link; that nobody else made them, and for no other kind, is seen to here.
/// </summary>
/// <remarks>
/// Base64url of: version 1, key id 1, the content, and the first 16 bytes of an HMAC-SHA-256 over the kind and all that
/// stands before. The version follows the kind and is no letter, so no kind runs into another. The content of one kind
/// has one length.
/// </remarks>
public static class SignedToken
{
    /// <summary>The longest content, in bytes.</summary>
    public const int MaxContent = 64;

    private const byte Version = 1;
    private const int HeadLength = 2;
    private const int TagLength = 16;
    private const int MaxKind = 32;

    /// <summary>Writes content of a kind, signed with the newest key.</summary>
    public static string Sign(ReadOnlySpan<byte> kind, ReadOnlySpan<byte> content, KeyRing keys)
    {
        Span<byte> token = stackalloc byte[HeadLength + MaxContent + TagLength];
        token = token[..(HeadLength + content.Length + TagLength)];
        token[0] = Version;
        token[1] = keys.Newest;
        content.CopyTo(token[HeadLength..]);
        Tag(keys.TokenHash(keys.Newest)!, kind, token[..^TagLength], token[^TagLength..]);
        return Base64Url.EncodeToString(token);
    }

    /// <summary>
    /// Reads what this installation signed as this kind, with whichever key, into <paramref name="content"/>, whose length is
    /// the kind's; false, and nothing to be used there, for anything else.
    /// </summary>
    public static bool TryVerify(ReadOnlySpan<byte> kind, string? text, KeyRing keys, Span<byte> content)
    {
        Span<byte> token = stackalloc byte[HeadLength + MaxContent + TagLength];
        token = token[..(HeadLength + content.Length + TagLength)];
        var length = Base64Url.GetEncodedLength(token.Length);
        if (text is null || text.Length != length
            || Base64Url.DecodeFromChars(text, token, out var read, out var written) != OperationStatus.Done
            || read != length || written != token.Length
            || token[0] != Version
            || keys.TokenHash(token[1]) is not { } key)
        {
            return false;
        }

        Span<byte> expected = stackalloc byte[TagLength];
        Tag(key, kind, token[..^TagLength], expected);
        if (!CryptographicOperations.FixedTimeEquals(expected, token[^TagLength..]))
        {
            return false;
        }

        // The last character may carry bits that don't count; only one spelling of a token is the token.
        Span<char> canonical = stackalloc char[Base64Url.GetEncodedLength(HeadLength + MaxContent + TagLength)];
        if (!text.AsSpan().SequenceEqual(canonical[..Base64Url.EncodeToChars(token, canonical)]))
        {
            return false;
        }

        token[HeadLength..^TagLength].CopyTo(content);
        return true;
    }

    private static void Tag(KeyedHash key, ReadOnlySpan<byte> kind, ReadOnlySpan<byte> signed, Span<byte> tag)
    {
        Span<byte> message = stackalloc byte[MaxKind + HeadLength + MaxContent];
        kind.CopyTo(message);
        signed.CopyTo(message[kind.Length..]);
        Span<byte> hash = stackalloc byte[KeyedHash.Length];
        key.Of(message[..(kind.Length + signed.Length)], hash);
        hash[..TagLength].CopyTo(tag);
    }
}
