using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Choices;

/// <summary>
/// The opaque part of a confirmation link: names one sign-up, and works until it expires. It can confirm that sign-up and
/// nothing else; no address is inside (FACTS 61-63).
/// </summary>
/// <remarks>An <see cref="ExpiringToken"/> about a sign-up.</remarks>
public readonly record struct ConfirmToken(SubscriberId Subscriber, Guid SignUp, DateTimeOffset ExpiresAt)
{
    /// <summary>How long a link works.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromDays(7);

    private static ReadOnlySpan<byte> Kind => "confirm"u8;

    /// <summary>Writes the token, signed with the newest key.</summary>
    public string Sign(KeyRing keys) => new ExpiringToken(Subscriber, SignUp, ExpiresAt).Sign(Kind, keys);

    /// <summary>Reads a token that this installation signed, expired or not; false for anything else.</summary>
    public static bool TryVerify(string? text, KeyRing keys, out ConfirmToken token)
    {
        var read = ExpiringToken.Verify(Kind, text, keys);
        token = read is { } link ? new ConfirmToken(link.Subscriber, link.About, link.ExpiresAt) : default;
        return read is not null;
    }
}
