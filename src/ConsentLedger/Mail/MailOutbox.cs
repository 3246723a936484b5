using System.Text;
using System.Text.Json;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.Mail;

/// <summary>
/// The mails that are to be sent. A mail is written in the transaction of what it is about, sealed, and is there exactly
/// when that is; from then on it is sent at least once, or set aside and shown. Once it is either, nothing of its words
/// and its recipient is left.
/// </summary>
public sealed class MailOutbox(NpgsqlDataSource database, Sealer sealer, SubscriberIds subscribers, PublicUrl publicUrl, TimeProvider clock)
{
    /// <summary>How long the row of a mail that was sent or set aside is kept: that it was sent, to whom by keyed id, and when.</summary>
    public static readonly TimeSpan Kept = TimeSpan.FromDays(30);

    /// <summary>How long an instance has for the mails it took, after which another takes them.</summary>
    internal static readonly TimeSpan Lease = TimeSpan.FromMinutes(10);

    private const string Table = "mail_outbox";

    private readonly WakeUp wakeUp = new(clock);

    /// <summary>
    /// Queues a mail in the connection's transaction: it is durable when that commits, and gone when that does not. Call
    /// <see cref="Wake"/> after the commit; without it the mail goes within seconds all the same.
    /// </summary>
    /// <returns>The Message-ID it will have, however often it is sent.</returns>
    /// <exception cref="ArgumentException">The recipient is not an e-mail address.</exception>
    public async Task<string> EnqueueAsync(NpgsqlConnection connection, OutgoingMail mail, CancellationToken cancellation)
    {
        if (mail.Recipient.Kind != AddressKind.Email)
        {
            throw new ArgumentException("Mails go to e-mail addresses.", nameof(mail));
        }

        var now = Instant.Of(clock.GetUtcNow());
        var holder = subscribers.Of(mail.Recipient).Value;
        var id = Guid.CreateVersion7(now);
        var messageId = $"{id:N}@{publicUrl.Host}";
        var content = new Content(mail.Subject, mail.Text, mail.Html, mail.Unsubscribe, mail.RestsOn);
        await connection.ExecuteAsync(new CommandDefinition(
            """
            insert into mail_outbox (subscriber_id, mail_id, kind, message_id, recipient, content, next_attempt_at, created_at)
            values (@holder, @id, @Kind, @messageId, @recipient, @content, @now, @now)
            """,
            new
            {
                holder,
                id,
                mail.Kind,
                messageId,
                recipient = sealer.Seal(Encoding.UTF8.GetBytes(mail.Recipient.Given), RecipientPlace(holder, id)),
                content = sealer.Seal(JsonSerializer.SerializeToUtf8Bytes(content), ContentPlace(holder, id)),
                now,
            },
            cancellationToken: cancellation));
        return messageId;
    }

    /// <summary>How many mails of these kinds were queued to an address since then, sent or not; reads the connection's transaction.</summary>
    public static Task<int> CountAsync(
        NpgsqlConnection connection, SubscriberId recipient, IReadOnlyList<string> kinds, DateTimeOffset since, CancellationToken cancellation) =>
        connection.ExecuteScalarAsync<int>(new CommandDefinition(
            "select count(*) from mail_outbox where subscriber_id = @holder and kind = any (@kinds) and created_at > @since",
            new { holder = recipient.Value, kinds = kinds.ToArray(), since },
            cancellationToken: cancellation));

    /// <summary>True while a mail of this kind to an address has not been sent or set aside; reads the connection's transaction.</summary>
    public static Task<bool> IsWaitingAsync(NpgsqlConnection connection, SubscriberId recipient, string kind, CancellationToken cancellation) =>
        connection.ExecuteScalarAsync<bool>(new CommandDefinition(
            "select exists (select from mail_outbox where subscriber_id = @holder and kind = @kind and status = 'waiting')",
            new { holder = recipient.Value, kind },
            cancellationToken: cancellation));

    /// <summary>Has mails that were committed sent now instead of within seconds.</summary>
    public void Wake() => wakeUp.Call();

    /// <summary>Waits for <see cref="Wake"/>, or this long.</summary>
    internal Task WaitAsync(TimeSpan atMost, CancellationToken cancellation) => wakeUp.WaitAsync(atMost, cancellation);

    /// <summary>
    /// Takes mails that are due, for <see cref="Lease"/>: nobody else takes them meanwhile. What a crash leaves of them is
    /// due again after that.
    /// </summary>
    internal async Task<IReadOnlyList<Leased>> LeaseAsync(int atMost, CancellationToken cancellation)
    {
        const string Sql = """
            with due as materialized (
                select subscriber_id, mail_id, next_attempt_at from mail_outbox
                where status = 'waiting' and next_attempt_at <= @now
                order by next_attempt_at, mail_id
                limit @atMost
                for update skip locked
            )
            update mail_outbox mail set attempts = mail.attempts + 1, next_attempt_at = @until
            from due
            where mail.subscriber_id = due.subscriber_id and mail.mail_id = due.mail_id
            returning mail.subscriber_id, mail.mail_id, mail.message_id, mail.recipient, mail.content, mail.attempts, mail.created_at
            """;
        var now = Now;
        await using var connection = await database.OpenConnectionAsync(cancellation);
        var rows = await connection.QueryAsync<Leased>(new CommandDefinition(
            Sql, new { now, until = now + Lease, atMost }, cancellationToken: cancellation));
        return [.. rows.OrderBy(row => row.MailId)];
    }

    /// <summary>What a leased mail says, and to whom.</summary>
    internal (string Recipient, Content Content) Open(Leased mail) => (
        Encoding.UTF8.GetString(sealer.Open(mail.Recipient, RecipientPlace(mail.SubscriberId, mail.MailId))),
        JsonSerializer.Deserialize<Content>(sealer.Open(mail.Content, ContentPlace(mail.SubscriberId, mail.MailId)))!);

    /// <summary>The server took it. Until this is durable a crash means that it is sent again, under the same Message-ID.</summary>
    internal Task SentAsync(Leased mail, CancellationToken cancellation) => FinishAsync(mail, "sent", null, cancellation);

    /// <summary>It is set aside for good.</summary>
    internal Task SetAsideAsync(Leased mail, int? smtpCode, CancellationToken cancellation) => FinishAsync(mail, "poison", smtpCode, cancellation);

    /// <summary>It is not to be sent any more: nothing is left of it.</summary>
    internal Task DropAsync(Leased mail, CancellationToken cancellation) => ExecuteAsync(
        "delete from mail_outbox where subscriber_id = @SubscriberId and mail_id = @MailId and status = 'waiting'",
        new { mail.SubscriberId, mail.MailId },
        cancellation);

    /// <summary>It is tried again later, and this attempt counted.</summary>
    internal Task PutOffAsync(Leased mail, DateTimeOffset until, int? smtpCode, CancellationToken cancellation) => ExecuteAsync(
        """
        update mail_outbox set next_attempt_at = @until, smtp_code = coalesce(@smtpCode, smtp_code)
        where subscriber_id = @SubscriberId and mail_id = @MailId and status = 'waiting' and attempts = @Attempts
        """,
        new { until, smtpCode, mail.SubscriberId, mail.MailId, mail.Attempts },
        cancellation);

    /// <summary>It is given back untried: the server was not there.</summary>
    internal Task ReleaseAsync(IEnumerable<Leased> mails, CancellationToken cancellation)
    {
        var given = mails.ToList();
        return ExecuteAsync(
            """
            update mail_outbox mail set next_attempt_at = @now, attempts = mail.attempts - 1
            from unnest(@subscribers, @ids, @attempts) as given (subscriber_id, mail_id, attempts)
            where mail.subscriber_id = given.subscriber_id and mail.mail_id = given.mail_id and status = 'waiting'
                and mail.attempts = given.attempts
            """,
            new
            {
                now = Now,
                subscribers = given.Select(mail => mail.SubscriberId).ToArray(),
                ids = given.Select(mail => mail.MailId).ToArray(),
                attempts = given.Select(mail => mail.Attempts).ToArray(),
            },
            cancellation);
    }

    /// <summary>How many are waiting, and how many were set aside.</summary>
    internal async Task<(long Waiting, long Poison)> CountUnsentAsync(CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        return await connection.QuerySingleAsync<(long, long)>(new CommandDefinition(
            "select count(*) filter (where status = 'waiting'), count(*) filter (where status = 'poison') from mail_outbox where status <> 'sent'",
            cancellationToken: cancellation));
    }

    /// <summary>Deletes the rows of mails that were sent or set aside longer than <see cref="Kept"/> ago, unless a legal hold keeps them.</summary>
    internal Task DeleteOutlivedAsync(CancellationToken cancellation) => ExecuteAsync(
        """
        delete from mail_outbox
        where status <> 'waiting' and finished_at < @outlived
            and not exists (select from legal_hold where legal_hold.subscriber_id = mail_outbox.subscriber_id)
        """,
        new { outlived = Now - Kept },
        cancellation);

    private DateTimeOffset Now => Instant.Of(clock.GetUtcNow());

    private static byte[] RecipientPlace(Guid holder, Guid id) => SealedPlace.Of($"{Table}.recipient", holder, id);

    private static byte[] ContentPlace(Guid holder, Guid id) => SealedPlace.Of($"{Table}.content", holder, id);

    private Task FinishAsync(Leased mail, string status, int? smtpCode, CancellationToken cancellation) => ExecuteAsync(
        """
        update mail_outbox
        set status = @status::mail_status, finished_at = @now, smtp_code = coalesce(@smtpCode, smtp_code), recipient = null, content = null
        where subscriber_id = @SubscriberId and mail_id = @MailId and status = 'waiting'
        """,
        new { status, now = Now, smtpCode, mail.SubscriberId, mail.MailId },
        cancellation);

    private async Task ExecuteAsync(string sql, object parameters, CancellationToken cancellation) =>
        await DatabaseResilience.Repeatable.ExecuteAsync(
            async token =>
            {
                await using var connection = await database.OpenConnectionAsync(token);
                return await connection.ExecuteAsync(new CommandDefinition(sql, parameters, cancellationToken: token));
            },
            cancellation);

    /// <summary>What is sealed of a mail.</summary>
    internal sealed record Content(string Subject, string Text, string Html, UnsubscribeHeaders? Unsubscribe, MailConsent? RestsOn = null);

    /// <summary>A mail that this instance is to send now.</summary>
    internal sealed record Leased(
        Guid SubscriberId, Guid MailId, string MessageId, byte[] Recipient, byte[] Content, int Attempts, DateTimeOffset CreatedAt);
}
