using System.Buffers.Binary;
using System.Buffers.Text;
using System.Security.Cryptography;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.SignUps;

/// <summary>
/// The opaque part of a confirmation link: names one sign-up, and works until it expires. It can confirm that sign-up and
/// nothing else; no address is inside (FACTS 61-63).
/// </summary>
/// <remarks>
/// Base64url of 54 bytes: version 1, key id 1, subscriber id 16, sign-up id 16, expiry in Unix seconds 4, and the first 16
/// bytes of an HMAC-SHA-256 over the kind of token and all that stands before.
/// </remarks>
public readonly record struct ConfirmToken(SubscriberId Subscriber, Guid SignUp, DateTimeOffset ExpiresAt)
{
    /// <summary>How long a link works.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromDays(7);

    /// <summary>Length of a token, in characters.</summary>
    public const int Length = 72;

    private const byte Version = 1;
    private const int SignedLength = 1 + 1 + 16 + 16 + 4;
    private const int TagLength = 16;
    private const int BinaryLength = SignedLength + TagLength;

    // The kind is part of what is signed, so that no link of another kind can be turned into this one.
    private static ReadOnlySpan<byte> Kind => "confirm"u8;

    /// <summary>Writes the token, signed with the newest key.</summary>
    public string Sign(KeyRing keys)
    {
        Span<byte> token = stackalloc byte[BinaryLength];
        token[0] = Version;
        token[1] = keys.Newest;
        Subscriber.Value.TryWriteBytes(token[2..], bigEndian: true, out _);
        SignUp.TryWriteBytes(token[18..], bigEndian: true, out _);
        BinaryPrimitives.WriteUInt32BigEndian(token[34..], (uint)ExpiresAt.ToUnixTimeSeconds());
        Tag(keys.TokenKey(keys.Newest)!, token[..SignedLength], token[SignedLength..]);
        return Base64Url.EncodeToString(token);
    }

    /// <summary>Reads a token that this installation signed, expired or not; false for anything else.</summary>
    public static bool TryVerify(string? text, KeyRing keys, out ConfirmToken token)
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

        token = new ConfirmToken(
            new SubscriberId(new Guid(bytes.Slice(2, 16), bigEndian: true)),
            new Guid(bytes.Slice(18, 16), bigEndian: true),
            DateTimeOffset.FromUnixTimeSeconds(BinaryPrimitives.ReadUInt32BigEndian(bytes[34..])));
        return true;
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
