using System.Buffers.Binary;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Preferences;

/// <summary>
/// The opaque part of the link that is mailed to a new address: names the request to move there, and works as long as that is
/// kept. Neither address is inside (FACTS 61-63).
/// </summary>
/// <remarks>A <see cref="SignedToken"/> of subscriber id 16, request id 16 and expiry in Unix seconds 4.</remarks>
/// <param name="Subscriber">The holder of the new address.</param>
/// <param name="Request">Which request.</param>
/// <param name="ExpiresAt">When it stops working.</param>
public readonly record struct AddressChangeToken(SubscriberId Subscriber, Guid Request, DateTimeOffset ExpiresAt)
{
    private const int ContentLength = 16 + 16 + 4;

    private static ReadOnlySpan<byte> Kind => "address-change"u8;

    /// <summary>Writes the token, signed with the newest key.</summary>
    public string Sign(KeyRing keys)
    {
        Span<byte> content = stackalloc byte[ContentLength];
        Subscriber.Value.TryWriteBytes(content, bigEndian: true, out _);
        Request.TryWriteBytes(content[16..], bigEndian: true, out _);
        BinaryPrimitives.WriteUInt32BigEndian(content[32..], (uint)ExpiresAt.ToUnixTimeSeconds());
        return SignedToken.Sign(Kind, content, keys);
    }

    /// <summary>Reads a token that this installation signed, expired or not; false for anything else.</summary>
    public static bool TryVerify(string? text, KeyRing keys, out AddressChangeToken token)
    {
        Span<byte> content = stackalloc byte[ContentLength];
        var verified = SignedToken.TryVerify(Kind, text, keys, content);
        token = verified
            ? new AddressChangeToken(
                new SubscriberId(new Guid(content[..16], bigEndian: true)),
                new Guid(content[16..32], bigEndian: true),
                DateTimeOffset.FromUnixTimeSeconds(BinaryPrimitives.ReadUInt32BigEndian(content[32..])))
            : default;
        return verified;
    }
}
