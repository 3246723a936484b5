using MimeKit;

namespace ConsentLedger.Mail;

/// <summary>How mails leave: to a server, or into files.</summary>
internal interface IMailTransport : IAsyncDisposable
{
    /// <summary>
    /// Hands a mail over. When it is accepted, whoever took it answers for it.
    /// </summary>
    /// <exception cref="MailServerException">There was nobody to hand it to.</exception>
    Task<Handover> SendAsync(MimeMessage message, CancellationToken cancellation);

    /// <summary>There is nothing more to send for now.</summary>
    Task RestAsync(CancellationToken cancellation);
}

/// <summary>What became of handing over a mail.</summary>
/// <param name="Result">In one word.</param>
/// <param name="Code">What the server said, as a number; null if it was not the server that said it.</param>
internal readonly record struct Handover(HandoverResult Result, int? Code = null);

/// <summary>What can become of handing over a mail.</summary>
internal enum HandoverResult
{
    /// <summary>It was taken.</summary>
    Accepted,

    /// <summary>Not now (4xx).</summary>
    Later,

    /// <summary>Not this one, ever (5xx).</summary>
    Never,
}

/// <summary>The mail server can't be used now: whatever was to be sent waits, and none of it is to blame.</summary>
/// <param name="reason">Why, in words of ours.</param>
/// <param name="duringMail">True if it happened while a mail was being handed over, which may be why.</param>
/// <param name="inner">The fault behind it.</param>
internal sealed class MailServerException(string reason, bool duringMail, Exception inner) : Exception(reason, inner)
{
    /// <summary>True if it happened while a mail was being handed over.</summary>
    public bool DuringMail { get; } = duringMail;
}
