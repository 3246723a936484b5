using System.Buffers.Binary;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Preferences;

/// <summary>
/// The opaque part of the link to somebody's choices: it shows and changes all of them, so it works for a day only, and whoever
/// opens it later has a new one sent to the address. No address is inside (FACTS 61-63).
/// </summary>
/// <remarks>A <see cref="SignedToken"/> of subscriber id 16 and expiry in Unix seconds 4.</remarks>
public readonly record struct PreferenceToken(SubscriberId Subscriber, DateTimeOffset ExpiresAt)
{
    /// <summary>How long a link works.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromHours(24);

    private const int ContentLength = 16 + 4;

    private static ReadOnlySpan<byte> Kind => "preferences"u8;

    /// <summary>A link's token from now on; its expiry is a whole second, which is what a token holds.</summary>
    public static PreferenceToken For(SubscriberId subscriber, DateTimeOffset now) =>
        new(subscriber, DateTimeOffset.FromUnixTimeSeconds((now + Lifetime).ToUnixTimeSeconds()));

    /// <summary>Writes the token, signed with the newest key.</summary>
    public string Sign(KeyRing keys)
    {
        Span<byte> content = stackalloc byte[ContentLength];
        Subscriber.Value.TryWriteBytes(content, bigEndian: true, out _);
        BinaryPrimitives.WriteUInt32BigEndian(content[16..], (uint)ExpiresAt.ToUnixTimeSeconds());
        return SignedToken.Sign(Kind, content, keys);
    }

    /// <summary>Reads a token that this installation signed, expired or not; false for anything else.</summary>
    public static bool TryVerify(string? text, KeyRing keys, out PreferenceToken token)
    {
        Span<byte> content = stackalloc byte[ContentLength];
        var verified = SignedToken.TryVerify(Kind, text, keys, content);
        token = verified
            ? new PreferenceToken(
                new SubscriberId(new Guid(content[..16], bigEndian: true)),
                DateTimeOffset.FromUnixTimeSeconds(BinaryPrimitives.ReadUInt32BigEndian(content[16..])))
            : default;
        return verified;
    }
}
