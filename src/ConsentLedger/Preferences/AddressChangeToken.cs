using ConsentLedger.Choices;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Preferences;

/// <summary>
/// The opaque part of the link that is mailed to a new address: names the request to move there, and works as long as that is
/// kept. Neither address is inside (FACTS 61-63).
/// </summary>
/// <remarks>An <see cref="ExpiringToken"/> about a request to move.</remarks>
/// <param name="Subscriber">The holder of the new address.</param>
/// <param name="Request">Which request.</param>
/// <param name="ExpiresAt">When it stops working.</param>
public readonly record struct AddressChangeToken(SubscriberId Subscriber, Guid Request, DateTimeOffset ExpiresAt)
{
    private static ReadOnlySpan<byte> Kind => "address-change"u8;

    /// <summary>Writes the token, signed with the newest key.</summary>
    public string Sign(KeyRing keys) => new ExpiringToken(Subscriber, Request, ExpiresAt).Sign(Kind, keys);

    /// <summary>Reads a token that this installation signed, expired or not; false for anything else.</summary>
    public static bool TryVerify(string? text, KeyRing keys, out AddressChangeToken token)
    {
        var read = ExpiringToken.Verify(Kind, text, keys);
        token = read is { } link ? new AddressChangeToken(link.Subscriber, link.About, link.ExpiresAt) : default;
        return read is not null;
    }
}
