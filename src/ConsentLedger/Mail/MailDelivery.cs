using System.Security.Cryptography;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using MimeKit;
using Npgsql;
using Polly;
using Polly.CircuitBreaker;

namespace ConsentLedger.Mail;

/// <summary>
/// Sends what is in the outbox: at once when woken, and within seconds where another instance queued it or has gone. A
/// mail is sent at least once, always under its one Message-ID; several instances share the work and none sends what
/// another has taken.
/// </summary>
/// <remarks>
/// What is durable when: the mail was queued with what it is about; taking it sets when it is due again, so that a crash
/// delays it by that and loses nothing; once the server has said 250 it is marked as sent, and only a crash between the
/// two sends it twice. A refusal with 4xx is tried again, ever later, for <see cref="GivenUpAfter"/>; one with 5xx sets
/// it aside. While the server itself is away no mail is to blame: all wait, and a circuit breaker decides when to ask again.
/// </remarks>
internal sealed partial class MailDelivery : BackgroundService
{
    /// <summary>A mail that no server took for so long is set aside.</summary>
    public static readonly TimeSpan GivenUpAfter = TimeSpan.FromDays(3);

    private const int Batch = 20;
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan FirstDelay = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan LongestDelay = TimeSpan.FromHours(2);
    private static readonly TimeSpan Cleanup = TimeSpan.FromHours(1);

    // A batch is worked on while its lease has at least this long to go: more than one mail may take.
    private static readonly TimeSpan Margin = TimeSpan.FromMinutes(3);

    private readonly MailOutbox outbox;
    private readonly LedgerStore ledger;
    private readonly PurposeCatalogue purposes;
    private readonly MailSettings settings;
    private readonly IMailTransport transport;
    private readonly MailMetrics metrics;
    private readonly TimeProvider clock;
    private readonly ILogger<MailDelivery> log;
    private readonly ResiliencePipeline breaker;
    private DateTimeOffset nextCleanup;
    private DateTimeOffset askAgainAt;

    public MailDelivery(
        MailOutbox outbox, LedgerStore ledger, PurposeCatalogue purposes, MailSettings settings, IMailTransport transport, MailMetrics metrics,
        TimeProvider clock, ILogger<MailDelivery> log)
    {
        this.outbox = outbox;
        this.ledger = ledger;
        this.purposes = purposes;
        this.settings = settings;
        this.transport = transport;
        this.metrics = metrics;
        this.clock = clock;
        this.log = log;
        breaker = new ResiliencePipelineBuilder { TimeProvider = clock }
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions
            {
                ShouldHandle = new PredicateBuilder().Handle<MailServerException>(),
                FailureRatio = 0.1,
                MinimumThroughput = 2,
                SamplingDuration = TimeSpan.FromMinutes(1),
                BreakDurationGenerator = broken => ValueTask.FromResult(
                    TimeSpan.FromSeconds(Math.Min(300, 15 * Math.Pow(2, Math.Min(broken.HalfOpenAttempts, 10))))),
                OnOpened = opened =>
                {
                    askAgainAt = clock.GetUtcNow() + opened.BreakDuration;
                    return default;
                },
            })
            .Build();
    }

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (transport is MailFiles files)
        {
            LogFiles(files.Folder);
        }

        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await SendDueAsync(stoppingToken);
                metrics.Saw(await outbox.CountUnsentAsync(stoppingToken));
                await CleanUpAsync(stoppingToken);
            }
            catch (NpgsqlException away) when (DatabaseResilience.IsAway(away))
            {
                LogLedgerAway(away.GetType().Name, away.SqlState);
            }
            catch (Exception defect) when (defect is not OperationCanceledException || !stoppingToken.IsCancellationRequested)
            {
                // One mail or one moment must not end the sending of all others.
                LogDefect(defect);
            }

            await outbox.WaitAsync(Look, stoppingToken);
        }
    }

    private async Task SendDueAsync(CancellationToken cancellation)
    {
        // An open circuit stays open until it is tried, so it is the time that says whether to.
        while (clock.GetUtcNow() >= askAgainAt)
        {
            var started = clock.GetUtcNow();
            var batch = await outbox.LeaseAsync(Batch, cancellation);
            for (var next = 0; next < batch.Count; next++)
            {
                if (cancellation.IsCancellationRequested || clock.GetUtcNow() - started > MailOutbox.Lease - Margin)
                {
                    await outbox.ReleaseAsync(batch.Skip(next), CancellationToken.None);
                    break;
                }

                if (!await SendAsync(batch[next]))
                {
                    await outbox.ReleaseAsync(batch.Skip(next + 1), CancellationToken.None);
                    return;
                }
            }

            cancellation.ThrowIfCancellationRequested();
            if (batch.Count < Batch)
            {
                await transport.RestAsync(cancellation);
                return;
            }
        }
    }

    /// <summary>
    /// Sends one mail and notes what came of it. Stopping the service does not cut it off: a server that has the mail and
    /// a row that says otherwise would be a mail sent twice. False if the server can't be used now.
    /// </summary>
    private async Task<bool> SendAsync(MailOutbox.Leased mail)
    {
        MimeMessage message;
        MailConsent? consent;
        try
        {
            var (recipient, content) = outbox.Open(mail);
            message = Compose(mail, recipient, content);
            consent = content.RestsOn;
        }
        catch (Exception unreadable) when (unreadable is CryptographicException or FormatException or System.Text.Json.JsonException)
        {
            LogUnreadable(mail.MailId, unreadable.GetType().Name);
            await SetAsideAsync(mail, null);
            return true;
        }

        using (message)
        {
            if (consent is not null && !await IsAllowedAsync(consent))
            {
                await outbox.DropAsync(mail, CancellationToken.None);
                metrics.Handled("dropped");
                return true;
            }

            try
            {
                var handover = await breaker.ExecuteAsync(async token => await transport.SendAsync(message, token), CancellationToken.None);
                await NoteAsync(mail, handover);
                return true;
            }
            catch (BrokenCircuitException)
            {
                await outbox.ReleaseAsync([mail], CancellationToken.None);
                return false;
            }
            catch (MailServerException away)
            {
                LogServerAway(away.Message);
                metrics.Handled("server-away");
                if (away.DuringMail)
                {
                    // It may be this mail that the server chokes on; the others must not wait behind it.
                    await NoteAsync(mail, new Handover(HandoverResult.Later));
                }
                else
                {
                    await outbox.ReleaseAsync([mail], CancellationToken.None);
                }

                return false;
            }
        }
    }

    /// <summary>False if the person has said no while the mail waited, or what they had agreed to has run out.</summary>
    private async Task<bool> IsAllowedAsync(MailConsent consent)
    {
        var states = await ledger.ReadStatesAsync(consent.Subscriber, CancellationToken.None);
        return await purposes.FindAsync(consent.Purpose, CancellationToken.None) is { } purpose
            && SubscriberState.Of(states, purpose.Id).Decide(purpose.Terms, clock.GetUtcNow()).Allowed;
    }

    private async Task NoteAsync(MailOutbox.Leased mail, Handover handover)
    {
        switch (handover.Result)
        {
            case HandoverResult.Accepted:
                await outbox.SentAsync(mail, CancellationToken.None);
                metrics.Handled("sent");
                break;
            case HandoverResult.Later when clock.GetUtcNow() - mail.CreatedAt < GivenUpAfter:
                await outbox.PutOffAsync(mail, clock.GetUtcNow() + DelayAfter(mail.Attempts), handover.Code, CancellationToken.None);
                metrics.Handled("later");
                break;
            default:
                LogSetAside(mail.MailId, handover.Code);
                await SetAsideAsync(mail, handover.Code);
                break;
        }
    }

    private async Task SetAsideAsync(MailOutbox.Leased mail, int? code)
    {
        await outbox.SetAsideAsync(mail, code, CancellationToken.None);
        metrics.Handled("poison");
    }

    /// <summary>
    /// The message as it goes out. Header fields are set as values, which MimeKit encodes, and hold no control character
    /// (<see cref="OutgoingMail"/>), so no text can become another field.
    /// </summary>
    private MimeMessage Compose(MailOutbox.Leased mail, string recipient, MailOutbox.Content content)
    {
        var message = new MimeMessage { Subject = content.Subject, Date = mail.CreatedAt, MessageId = mail.MessageId };
        message.From.Add(settings.From);
        message.To.Add(new MailboxAddress(null, recipient));
        message.Headers.Add(HeaderId.AutoSubmitted, "auto-generated");
        message.Headers.Add("X-Auto-Response-Suppress", "All");
        if (content.Unsubscribe is { } unsubscribe)
        {
            message.Headers.Add(HeaderId.ListUnsubscribe, unsubscribe.ListUnsubscribe);
            message.Headers.Add(HeaderId.ListUnsubscribePost, unsubscribe.ListUnsubscribePost);
            message.Headers.Add(HeaderId.ListId, unsubscribe.ListId);
        }

        message.Body = new MultipartAlternative(
            new TextPart("plain") { Text = content.Text }, new TextPart("html") { Text = content.Html });
        return message;
    }

    private async Task CleanUpAsync(CancellationToken cancellation)
    {
        if (clock.GetUtcNow() >= nextCleanup)
        {
            await outbox.DeleteOutlivedAsync(cancellation);
            nextCleanup = clock.GetUtcNow() + Cleanup;
        }
    }

    /// <summary>Twice as long each time, up to hours; between half of it and all of it, so that mails that failed together don't come back together.</summary>
    private static TimeSpan DelayAfter(int attempts)
    {
        var whole = Math.Min(LongestDelay.TotalSeconds, FirstDelay.TotalSeconds * Math.Pow(2, Math.Min(attempts - 1, 20)));
        return TimeSpan.FromSeconds(whole * (0.5 + (RandomNumberGenerator.GetInt32(0, 1001) / 2000.0)));
    }

    [LoggerMessage(LogLevel.Warning, "No mail server is set (ConsentLedger:Mail:Smtp:Host): mails are written as files into {Folder}")]
    private partial void LogFiles(string folder);

    [LoggerMessage(LogLevel.Warning, "Mails wait, because the mail server can't be used: {Reason}")]
    private partial void LogServerAway(string reason);

    [LoggerMessage(LogLevel.Warning, "Mail {Mail} was set aside: the mail server refuses it for good ({Code})")]
    private partial void LogSetAside(Guid mail, int? code);

    [LoggerMessage(LogLevel.Error, "Mail {Mail} was set aside: it can't be read ({Type})")]
    private partial void LogUnreadable(Guid mail, string type);

    [LoggerMessage(LogLevel.Warning, "Mails wait, because the ledger can't be asked: {Type} {SqlState}")]
    private partial void LogLedgerAway(string type, string? sqlState);

    [LoggerMessage(LogLevel.Error, "Sending mails met a defect and goes on")]
    private partial void LogDefect(Exception defect);
}
