using ConsentLedger.Http;
using ConsentLedger.Ledger;

namespace ConsentLedger.Choices;

/// <summary>
/// Someone used an unsubscribe link: all that is known of it, and all that is needed to make it count, now or later.
/// </summary>
/// <param name="Link">Whose link, and what it ends.</param>
/// <param name="At">When.</param>
/// <param name="How">By which way.</param>
/// <param name="Ip">From which address, or null.</param>
/// <param name="UserAgent">What the client called itself, at most <see cref="Visitor.MaxUserAgent"/> characters, or null.</param>
public sealed record Withdrawal(UnsubscribeToken Link, DateTimeOffset At, UnsubscribeWay How, string? Ip, string? UserAgent)
{
    /// <summary>A withdrawal as a request makes it.</summary>
    public static Withdrawal From(HttpContext context, UnsubscribeToken link, UnsubscribeWay how, DateTimeOffset now)
    {
        var visitor = Visitor.Of(context);
        return new Withdrawal(link, now, how, visitor.Ip, visitor.UserAgent);
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
