using ConsentLedger.Http;
using ConsentLedger.Ledger;

namespace ConsentLedger.Choices;

/// <summary>
/// Someone took a consent back: all that is known of it, and all that is needed to make it count, now or later.
/// </summary>
/// <param name="Link">Who, and what it ends: what the unsubscribe link says, or would say.</param>
/// <param name="At">When.</param>
/// <param name="How">By which way.</param>
/// <param name="Ip">From which address, or null.</param>
/// <param name="UserAgent">What the client called itself, at most <see cref="Visitor.MaxUserAgent"/> characters, or null.</param>
public sealed record Withdrawal(UnsubscribeToken Link, DateTimeOffset At, WithdrawalWay How, string? Ip, string? UserAgent)
{
    /// <summary>A withdrawal as a request makes it.</summary>
    public static Withdrawal From(HttpContext context, UnsubscribeToken link, WithdrawalWay how, DateTimeOffset now)
    {
        var visitor = Visitor.Of(context);
        return new Withdrawal(link, now, how, visitor.Ip, visitor.UserAgent);
    }
}

/// <summary>How somebody took a consent back.</summary>
public enum WithdrawalWay
{
    /// <summary>The mail program posted by itself, as the message's header told it to (RFC 8058).</summary>
    OneClick,

    /// <summary>The person opened the link's page and pressed its button.</summary>
    Page,

    /// <summary>The person turned it off among their choices.</summary>
    PreferenceCentre,
}
