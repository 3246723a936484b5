using System.Globalization;
using System.Net;
using System.Text;
using ConsentLedger.Ledger;

namespace ConsentLedger.Unsubscribe;

/// <summary>
/// Someone used an unsubscribe link: all that is known of it, and all that is needed to make it count, now or later.
/// </summary>
/// <param name="Link">Whose link, and what it ends.</param>
/// <param name="At">When.</param>
/// <param name="How">By which way.</param>
/// <param name="Ip">From which address, or null.</param>
/// <param name="UserAgent">What the client called itself, at most <see cref="MaxUserAgent"/> characters, or null.</param>
public sealed record Withdrawal(UnsubscribeToken Link, DateTimeOffset At, UnsubscribeWay How, string? Ip, string? UserAgent)
{
    /// <summary>What is kept of a user agent, in characters.</summary>
    public const int MaxUserAgent = 256;

    /// <summary>A withdrawal as a request makes it.</summary>
    public static Withdrawal From(HttpContext context, UnsubscribeToken link, UnsubscribeWay how, DateTimeOffset now) =>
        new(link, now, how, ReadIp(context.Connection.RemoteIpAddress), ReadUserAgent(context.Request.Headers.UserAgent.ToString()));

    private static string? ReadIp(IPAddress? address) => (address is { IsIPv4MappedToIPv6: true } ? address.MapToIPv4() : address)?.ToString();

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

/// <summary>How an unsubscribe link was used.</summary>
public enum UnsubscribeWay
{
    /// <summary>The mail program posted by itself, as the message's header told it to (RFC 8058).</summary>
    OneClick,

    /// <summary>The person opened the page and pressed its button.</summary>
    Page,
}
