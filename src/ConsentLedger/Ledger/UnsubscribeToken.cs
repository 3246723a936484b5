using System.Buffers.Binary;
using System.Buffers.Text;
using System.Security.Cryptography;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Ledger;

/// <summary>
/// The opaque part of an unsubscribe link: stateless, valid for ever and across key rotation, and able only to withdraw
/// (FACTS 4, 61, 63). No address is inside.
/// </summary>
/// <remarks>
/// Base64url of 38 bytes: version 1, key id 1, purpose id 4, subscriber id 16, and the first 16 bytes of an HMAC-SHA-256
/// over the kind of token and all that stands before.
/// </remarks>
public readonly record struct UnsubscribeToken(PurposeId Purpose, SubscriberId Subscriber)
{
    /// <summary>Length of a token, in characters.</summary>
    public const int Length = 51;

    private const byte Version = 1;
    private const int SignedLength = 1 + 1 + 4 + 16;
    private const int TagLength = 16;
    private const int BinaryLength = SignedLength + TagLength;

    // The kind is part of what is signed, so that no link of another kind can be turned into this one.
    private static ReadOnlySpan<byte> Kind => "unsubscribe"u8;

    /// <summary>Writes the token, signed with the newest key.</summary>
    public string Sign(KeyRing keys)
    {
        Span<byte> token = stackalloc byte[BinaryLength];
        token[0] = Version;
        token[1] = keys.Newest;
        BinaryPrimitives.WriteInt32BigEndian(token[2..], Purpose.Value);
        Subscriber.Value.TryWriteBytes(token[6..], bigEndian: true, out _);
        Tag(keys.TokenKey(keys.Newest)!, token[..SignedLength], token[SignedLength..]);
        return Base64Url.EncodeToString(token);
    }

    /// <summary>Reads a token that this installation signed, with whichever key; false for anything else.</summary>
    public static bool TryVerify(string? text, KeyRing keys, out UnsubscribeToken token)
    {
        token = default;
        Span<byte> bytes = stackalloc byte[BinaryLength];
        if (text is not { Length: Length }
            || Base64Url.DecodeFromChars(text, bytes, out var read, out var written) != System.Buffers.OperationStatus.Done
            || read != Length || written != BinaryLength
            || bytes[0] != Version
            || keys.TokenKey(bytes[1]) is not { } key)
        {
            return false;
        }

        Span<byte> expected = stackalloc byte[TagLength];
        Tag(key, bytes[..SignedLength], expected);
        if (!CryptographicOperations.FixedTimeEquals(expected, bytes[SignedLength..]))
        {
            return false;
        }

        token = new UnsubscribeToken(
            new PurposeId(BinaryPrimitives.ReadInt32BigEndian(bytes[2..])), new SubscriberId(new Guid(bytes.Slice(6, 16), bigEndian: true)));

        // The last character carries six bits of which four count; only one spelling of a token is the token.
        Span<char> canonical = stackalloc char[Length];
        Base64Url.EncodeToChars(bytes, canonical);
        return text.AsSpan().SequenceEqual(canonical);
    }

    private static void Tag(byte[] key, ReadOnlySpan<byte> signed, Span<byte> tag)
    {
        Span<byte> message = stackalloc byte[Kind.Length + SignedLength];
        Kind.CopyTo(message);
        signed.CopyTo(message[Kind.Length..]);
        Span<byte> hash = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(key, message, hash);
        hash[..TagLength].CopyTo(tag);
    }
}
