using System.Buffers.Binary;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Renewals;

/// <summary>
/// The opaque part of the link in a reminder: names one consent by the time at which it runs out, and works until then. It
/// can renew that consent, once, and nothing else; no address is inside (FACTS 61-63).
/// </summary>
/// <remarks>A <see cref="SignedToken"/> of subscriber id 16, purpose id 4 and the time as UTC ticks 8.</remarks>
/// <param name="Subscriber">Whose.</param>
/// <param name="Purpose">For what.</param>
/// <param name="RunsOutAt">When the consent runs out; exact, so that it can be told from every other.</param>
public readonly record struct RenewalToken(SubscriberId Subscriber, PurposeId Purpose, DateTimeOffset RunsOutAt)
{
    private const int ContentLength = 16 + 4 + 8;

    private static ReadOnlySpan<byte> Kind => "renew"u8;

    /// <summary>Writes the token, signed with the newest key.</summary>
    public string Sign(KeyRing keys)
    {
        Span<byte> content = stackalloc byte[ContentLength];
        Write(content);
        return SignedToken.Sign(Kind, content, keys);
    }

    /// <summary>Reads a token that this installation signed, whether or not its time has passed; false for anything else.</summary>
    public static bool TryVerify(string? text, KeyRing keys, out RenewalToken token)
    {
        Span<byte> content = stackalloc byte[ContentLength];
        var verified = SignedToken.TryVerify(Kind, text, keys, content);
        token = verified
            ? new RenewalToken(
                new SubscriberId(new Guid(content[..16], bigEndian: true)),
                new PurposeId(BinaryPrimitives.ReadInt32BigEndian(content[16..])),
                new DateTimeOffset(BinaryPrimitives.ReadInt64BigEndian(content[20..]), TimeSpan.Zero))
            : default;
        return verified;
    }

    /// <summary>The id of the event by which this link renews: the same each time, so that one link renews once.</summary>
    internal Ledger.EventId EventIdUnder(byte[] key)
    {
        Span<byte> content = stackalloc byte[ContentLength + Kind.Length];
        Kind.CopyTo(content);
        Write(content[Kind.Length..]);
        return Ledger.EventId.Of(key, RunsOutAt, content);
    }

    private void Write(Span<byte> content)
    {
        Subscriber.Value.TryWriteBytes(content, bigEndian: true, out _);
        BinaryPrimitives.WriteInt32BigEndian(content[16..], Purpose.Value);
        BinaryPrimitives.WriteInt64BigEndian(content[20..], RunsOutAt.UtcTicks);
    }
}
