using System.Runtime.CompilerServices;
using ConsentLedger.Mail;
using ConsentLedger.Subscribers;
using Dapper;
using MimeKit;
using Npgsql;

namespace ConsentLedger.PersonalData;

/// <summary>The mails that were sent, and those that wait to be: these with their words, of which nothing is kept later.</summary>
internal sealed class MailRecords(MailOutbox outbox) : IPersonalRecords
{
    public string Name => "mails";

    public IReadOnlyList<string> Columns =>
        ["mail_outbox.recipient", "mail_outbox.content", "mail_outbox.kind", "mail_outbox.message_id"];

    public IReadOnlyList<string> Fields => ["createdAt", "kind", "status", "finishedAt", "recipient", "subject", "text", "messageId"];

    public async IAsyncEnumerable<object> ReadAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const string Sql = """
            select mail_id, message_id, kind, status::text, recipient, content, created_at, finished_at
            from mail_outbox
            where subscriber_id = @Value
            order by created_at desc, mail_id
            """;
        await foreach (var row in connection.QueryUnbufferedAsync<Row>(Sql, new { subscriber.Value }).WithCancellation(cancellation))
        {
            var mail = new MailRecord(row.CreatedAt, row.Kind, row.Status, row.FinishedAt, null, null, null, row.MessageId);
            if (row is { Recipient: not null, Content: not null })
            {
                var (recipient, content) = outbox.Open(new MailOutbox.Leased(
                    subscriber.Value, row.MailId, row.MessageId, row.Recipient, row.Content, Attempts: 0, row.CreatedAt));
                mail = mail with { Recipient = recipient, Subject = content.Subject, Text = content.Text };
            }

            yield return mail;
        }
    }

    public Task EraseAsync(NpgsqlConnection connection, SubscriberId subscriber, CancellationToken cancellation) =>
        connection.ExecuteAsync(new CommandDefinition(
            "delete from mail_outbox where subscriber_id = @Value", new { subscriber.Value }, cancellationToken: cancellation));

    private sealed record Row(
        Guid MailId, string MessageId, string Kind, string Status, byte[]? Recipient, byte[]? Content, DateTimeOffset CreatedAt, DateTimeOffset? FinishedAt);
}

/// <summary>A mail to the person.</summary>
/// <param name="CreatedAt">When it was written.</param>
/// <param name="Kind">What it was about: <c>confirmation</c>.</param>
/// <param name="Status">Waiting, sent, or set aside (<c>poison</c>).</param>
/// <param name="FinishedAt">When it was sent or set aside; null while it waits.</param>
/// <param name="Recipient">To which address; kept only while it waits.</param>
/// <param name="Subject">Its subject; kept only while it waits.</param>
/// <param name="Text">Its words; kept only while it waits.</param>
/// <param name="MessageId">Its Message-ID.</param>
public sealed record MailRecord(
    DateTimeOffset CreatedAt, string Kind, string Status, DateTimeOffset? FinishedAt, string? Recipient, string? Subject, string? Text, string MessageId);

/// <summary>The mails that were written into the data directory, where no mail server is set.</summary>
internal sealed class MailFileRecords(MailFiles files, SubscriberIds subscribers) : IPersonalRecords
{
    public string Name => "mailFiles";

    public IReadOnlyList<string> Columns => [];

    public IReadOnlyList<string> Fields => ["date", "recipient", "subject", "text", "file"];

    public async IAsyncEnumerable<object> ReadAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await foreach (var (path, message) in FindAsync(subscriber, cancellation))
        {
            yield return new MailFileRecord(message.Date, message.To.Mailboxes.First().Address, message.Subject, message.TextBody, Path.GetFileName(path));
        }
    }

    /// <summary>A file that has gone can't come back; when the transaction fails, the erasure is begun anew and finds fewer.</summary>
    public async Task EraseAsync(NpgsqlConnection connection, SubscriberId subscriber, CancellationToken cancellation)
    {
        await foreach (var (path, _) in FindAsync(subscriber, cancellation))
        {
            File.Delete(path);
        }
    }

    private async IAsyncEnumerable<(string Path, MimeMessage Message)> FindAsync(
        SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        foreach (var path in files.List())
        {
            MimeMessage message;
            try
            {
                message = await MimeMessage.LoadAsync(path, cancellation);
            }
            catch (Exception gone) when (gone is FileNotFoundException or FormatException)
            {
                // Whatever picks mails up there has taken it, or left something that is none.
                continue;
            }

            using (message)
            {
                if (message.To.Mailboxes.Any(mailbox => Address.TryParse(mailbox.Address, null, out var address) && subscribers.Of(address) == subscriber))
                {
                    yield return (path, message);
                }
            }
        }
    }
}

/// <summary>A mail that was written as a file.</summary>
/// <param name="Date">When.</param>
/// <param name="Recipient">To which address.</param>
/// <param name="Subject">Its subject.</param>
/// <param name="Text">Its words.</param>
/// <param name="File">The file's name in the data directory.</param>
public sealed record MailFileRecord(DateTimeOffset Date, string Recipient, string? Subject, string? Text, string File);
