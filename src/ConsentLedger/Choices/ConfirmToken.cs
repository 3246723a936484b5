using System.Buffers.Binary;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Choices;

/// <summary>
/// The opaque part of a confirmation link: names one sign-up, and works until it expires. It can confirm that sign-up and
/// nothing else; no address is inside (FACTS 61-63).
/// </summary>
/// <remarks>A <see cref="SignedToken"/> of subscriber id 16, sign-up id 16 and expiry in Unix seconds 4.</remarks>
public readonly record struct ConfirmToken(SubscriberId Subscriber, Guid SignUp, DateTimeOffset ExpiresAt)
{
    /// <summary>How long a link works.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromDays(7);

    private const int ContentLength = 16 + 16 + 4;

    private static ReadOnlySpan<byte> Kind => "confirm"u8;

    /// <summary>Writes the token, signed with the newest key.</summary>
    public string Sign(KeyRing keys)
    {
        Span<byte> content = stackalloc byte[ContentLength];
        Subscriber.Value.TryWriteBytes(content, bigEndian: true, out _);
        SignUp.TryWriteBytes(content[16..], bigEndian: true, out _);
        BinaryPrimitives.WriteUInt32BigEndian(content[32..], (uint)ExpiresAt.ToUnixTimeSeconds());
        return SignedToken.Sign(Kind, content, keys);
    }

    /// <summary>Reads a token that this installation signed, expired or not; false for anything else.</summary>
    public static bool TryVerify(string? text, KeyRing keys, out ConfirmToken token)
    {
        Span<byte> content = stackalloc byte[ContentLength];
        var verified = SignedToken.TryVerify(Kind, text, keys, content);
        token = verified
            ? new ConfirmToken(
                new SubscriberId(new Guid(content[..16], bigEndian: true)),
                new Guid(content[16..32], bigEndian: true),
                DateTimeOffset.FromUnixTimeSeconds(BinaryPrimitives.ReadUInt32BigEndian(content[32..])))
            : default;
        return verified;
    }
}
