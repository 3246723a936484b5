using ConsentLedger.Choices;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.SubjectRights;

/// <summary>
/// The opaque part of the link by which somebody downloads the copy that they asked for: names the request, and works for a
/// week. No address is inside (FACTS 61-63).
/// </summary>
/// <remarks>An <see cref="ExpiringToken"/> about a request.</remarks>
/// <param name="Subscriber">Who asked.</param>
/// <param name="Request">The request.</param>
/// <param name="ExpiresAt">When it stops working.</param>
public readonly record struct CopyToken(SubscriberId Subscriber, Guid Request, DateTimeOffset ExpiresAt)
{
    /// <summary>How long a link works: long enough for a holiday, and no archive of links.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromDays(7);

    private static ReadOnlySpan<byte> Kind => "copy"u8;

    /// <summary>Writes the token, signed with the newest key.</summary>
    public string Sign(KeyRing keys) => new ExpiringToken(Subscriber, Request, ExpiresAt).Sign(Kind, keys);

    /// <summary>Reads a token that this installation signed, expired or not; false for anything else.</summary>
    public static bool TryVerify(string? text, KeyRing keys, out CopyToken token)
    {
        var read = ExpiringToken.Verify(Kind, text, keys);
        token = read is { } link ? new CopyToken(link.Subscriber, link.About, link.ExpiresAt) : default;
        return read is not null;
    }
}
