using System.Buffers.Binary;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Choices;

/// <summary>
/// What several kinds of link hold: whose they are, the one thing that they are about, and until when they work. Which kind it
/// is, and what the thing is, is said by the kind's own type; no token of one kind is one of another (FACTS 61-63).
/// </summary>
/// <remarks>A <see cref="SignedToken"/> of subscriber id 16, id 16 and expiry in Unix seconds 4.</remarks>
/// <param name="Subscriber">Whose.</param>
/// <param name="About">The id of what it is about.</param>
/// <param name="ExpiresAt">When it stops working; a whole second is what it holds.</param>
internal readonly record struct ExpiringToken(SubscriberId Subscriber, Guid About, DateTimeOffset ExpiresAt)
{
    private const int ContentLength = 16 + 16 + 4;

    /// <summary>Writes the token, signed with the newest key.</summary>
    public string Sign(ReadOnlySpan<byte> kind, KeyRing keys)
    {
        Span<byte> content = stackalloc byte[ContentLength];
        Subscriber.Value.TryWriteBytes(content, bigEndian: true, out _);
        About.TryWriteBytes(content[16..], bigEndian: true, out _);
        BinaryPrimitives.WriteUInt32BigEndian(content[32..], (uint)ExpiresAt.ToUnixTimeSeconds());
        return SignedToken.Sign(kind, content, keys);
    }

    /// <summary>Reads a token that this installation signed as this kind, expired or not; null for anything else.</summary>
    public static ExpiringToken? Verify(ReadOnlySpan<byte> kind, string? text, KeyRing keys)
    {
        Span<byte> content = stackalloc byte[ContentLength];
        return SignedToken.TryVerify(kind, text, keys, content)
            ? new ExpiringToken(
                new SubscriberId(new Guid(content[..16], bigEndian: true)),
                new Guid(content[16..32], bigEndian: true),
                DateTimeOffset.FromUnixTimeSeconds(BinaryPrimitives.ReadUInt32BigEndian(content[32..])))
            : null;
    }
}
