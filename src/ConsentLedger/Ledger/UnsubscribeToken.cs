using System.Buffers.Binary;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Ledger;

/// <summary>
/// The opaque part of an unsubscribe link: stateless, valid for ever and across key rotation, and able only to withdraw
/// (FACTS 4, 61, 63). No address is inside.
/// </summary>
/// <remarks>A <see cref="SignedToken"/> of purpose id 4 and subscriber id 16.</remarks>
public readonly record struct UnsubscribeToken(PurposeId Purpose, SubscriberId Subscriber)
{
    /// <summary>Length of a token, in characters.</summary>
    public const int Length = 51;

    private const int ContentLength = 4 + 16;

    private static ReadOnlySpan<byte> Kind => "unsubscribe"u8;

    /// <summary>Writes the token, signed with the newest key.</summary>
    public string Sign(KeyRing keys)
    {
        Span<byte> content = stackalloc byte[ContentLength];
        BinaryPrimitives.WriteInt32BigEndian(content, Purpose.Value);
        Subscriber.Value.TryWriteBytes(content[4..], bigEndian: true, out _);
        return SignedToken.Sign(Kind, content, keys);
    }

    /// <summary>Reads a token that this installation signed, with whichever key; false for anything else.</summary>
    public static bool TryVerify(string? text, KeyRing keys, out UnsubscribeToken token)
    {
        Span<byte> content = stackalloc byte[ContentLength];
        var verified = SignedToken.TryVerify(Kind, text, keys, content);
        token = verified
            ? new UnsubscribeToken(new PurposeId(BinaryPrimitives.ReadInt32BigEndian(content)), new SubscriberId(new Guid(content[4..], bigEndian: true)))
            : default;
        return verified;
    }
}
