using System.Globalization;
using System.Net;
using System.Text;

namespace ConsentLedger.Http;

/// <summary>What a request tells of whoever sent it: evidence, and nothing that is trusted.</summary>
/// <param name="Ip">From which address, or null.</param>
/// <param name="UserAgent">What the client called itself, at most <see cref="MaxUserAgent"/> characters, or null.</param>
public sealed record Visitor(string? Ip, string? UserAgent)
{
    /// <summary>What is kept of a user agent, in characters.</summary>
    public const int MaxUserAgent = 256;

    /// <summary>Who sent this request.</summary>
    public static Visitor Of(HttpContext context) =>
        Of(context.Connection.RemoteIpAddress, context.Request.Headers.UserAgent.ToString());

    /// <summary>Who was seen by somebody else.</summary>
    public static Visitor Of(IPAddress? ip, string? userAgent) =>
        new((ip is { IsIPv4MappedToIPv6: true } ? ip.MapToIPv4() : ip)?.ToString(), ReadUserAgent(userAgent ?? string.Empty));

    /// <summary>Whole characters only, and none that a terminal or a page would act on.</summary>
    private static string? ReadUserAgent(string given)
    {
        var kept = new StringBuilder(Math.Min(given.Length, MaxUserAgent));
        foreach (var rune in given.EnumerateRunes())
        {
            if (kept.Length + rune.Utf16SequenceLength > MaxUserAgent)
            {
                break;
            }

            var control = Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.Format or UnicodeCategory.OtherNotAssigned;
            kept.Append(control ? "\uFFFD" : rune.ToString());
        }

        return kept.Length == 0 ? null : kept.ToString();
    }
}
