using System.Globalization;

namespace ConsentLedger.Database;

/// <summary>
/// A point in time as the ledger keeps it: UTC, to the microsecond (what PostgreSQL keeps), written as RFC 3339.
/// </summary>
public static class Instant
{
    /// <summary>The earliest time an event can carry: the first that a UUIDv7 can.</summary>
    public static readonly DateTimeOffset Earliest = DateTimeOffset.UnixEpoch;

    private static readonly string[] Formats =
    [
        "yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd'T'HH:mm:ss.FFFFFFFK",
        "yyyy-MM-dd' 'HH:mm:ssK", "yyyy-MM-dd' 'HH:mm:ss.FFFFFFFK",
    ];

    /// <summary>The same point in time, with what is finer than a microsecond dropped.</summary>
    public static DateTimeOffset Of(DateTimeOffset time)
    {
        var utc = time.ToUniversalTime();
        return utc.AddTicks(-(utc.Ticks % TimeSpan.TicksPerMicrosecond));
    }

    /// <summary>
    /// Reads an RFC 3339 time. One without an offset is none: nobody knows when it was. Neither is one before 1970.
    /// </summary>
    public static bool TryParse(string? text, out DateTimeOffset instant)
    {
        instant = default;
        if (text is null or { Length: > 40 } || !(text.EndsWith('Z') || text.EndsWith('z') || HasOffset(text)))
        {
            return false;
        }

        // RFC 3339 §5.6 lets t and z be lower case.
        var valid = DateTimeOffset.TryParseExact(
            text.ToUpperInvariant(), Formats, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out var time);
        instant = Of(time);
        return valid && instant >= Earliest;
    }

    /// <summary>Writes it the one way that is hashed: UTC, six digits of a second, a <c>Z</c>.</summary>
    public static string Format(DateTimeOffset instant) =>
        instant.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.ffffff'Z'", CultureInfo.InvariantCulture);

    private static bool HasOffset(string text) => text.Length > 6 && text[^6] is '+' or '-' && text[^3] == ':';
}
