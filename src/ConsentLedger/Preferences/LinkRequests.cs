using System.Text.Json;
using ConsentLedger.Choices;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Mail;
using ConsentLedger.Pages;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.Preferences;

/// <summary>
/// Mails people the link to their choices, and the link by which they move to another address. A request is durable before it
/// is answered, and looked into after: its mail is queued, and the request gone, in one transaction; a crash leaves the
/// request for the next look. A request to move is kept until it is confirmed, a day at most.
/// </summary>
/// <remarks>
/// Who gets a mail: an address something is known of. Not one that is suppressed or restricted: nothing at all goes there. Who
/// objected to direct marketing does get it: this is no marketing but the answer to a question asked from this very address,
/// or in its name; and an objection must not take from somebody the way to see what it did, or to take it back. A stranger
/// who types in the address again and again causes <see cref="PerDay"/> mails and no more.
/// </remarks>
internal sealed class LinkRequests(
    NpgsqlDataSource database, Sealer sealer, LedgerStore ledger, MailOutbox outbox, Organisation organisation, PublicUrl publicUrl, KeyRing keys,
    TimeProvider clock, ILogger<LinkRequests> log) : QueueWorker<LinkRequests.Row>(database, "requests for links", atOnce: 1, clock, log)
{
    /// <summary>How many such mails a day go to one address.</summary>
    public const int PerDay = 3;

    internal const string Columns = "subscriber_id, request_id, details, attempts, requested_at";

    private const string Table = "preference_request";
    private const string MailKind = "preference-link";
    private const string ChangeMailKind = "address-change";

    // Who has waited a day for a link has asked again.
    private static readonly TimeSpan Kept = TimeSpan.FromDays(1);

    /// <summary>
    /// Writes a request down; it is durable when this returns. The same work for everybody, known or not.
    /// </summary>
    /// <param name="subscriber">Whose link.</param>
    /// <param name="typed">The address as somebody typed it; null if all there is is an old link.</param>
    /// <param name="language">The language to write in.</param>
    /// <param name="cancellation">Ends the wait.</param>
    public Task ReceiveAsync(SubscriberId subscriber, Address? typed, string language, CancellationToken cancellation) =>
        ReceiveAsync(subscriber, new Said(typed?.Given, language), cancellation);

    /// <summary>Writes down that somebody would move to another address, whose holder is asked; durable when this returns.</summary>
    public Task ReceiveChangeAsync(SubscriberId from, SubscriberId to, Address next, string language, CancellationToken cancellation) =>
        ReceiveAsync(to, new Said(next.Given, language, from.Value), cancellation);

    private async Task ReceiveAsync(SubscriberId subscriber, Said said, CancellationToken cancellation)
    {
        var now = Now;
        var id = Guid.CreateVersion7(now);
        var details = sealer.Seal(JsonSerializer.SerializeToUtf8Bytes(said), SealedPlace.Of(Table, subscriber.Value, id));
        await DatabaseResilience.Repeatable.ExecuteAsync(
            async token =>
            {
                await using var connection = await Database.OpenConnectionAsync(token);
                return await connection.ExecuteAsync(new CommandDefinition(
                    """
                    insert into preference_request (subscriber_id, request_id, details, next_attempt_at, requested_at)
                    values (@subscriber, @id, @details, @now, @now)
                    on conflict (subscriber_id, request_id) do nothing
                    """,
                    new { subscriber = subscriber.Value, id, details, now },
                    cancellationToken: token));
            },
            cancellation);
        Wake();
    }

    /// <summary>What a request says.</summary>
    public Said Open(Row row) => JsonSerializer.Deserialize<Said>(sealer.Open(row.Details, SealedPlace.Of(Table, row.SubscriberId, row.RequestId)))!;

    /// <inheritdoc />
    protected override Task<Row?> TakeAsync(NpgsqlConnection connection, CancellationToken cancellation) =>
        connection.QuerySingleOrDefaultAsync<Row?>(new CommandDefinition(
            $"""
            select {Columns} from preference_request
            where next_attempt_at <= @now
            order by next_attempt_at, request_id
            limit 1
            for update skip locked
            """,
            new { now = Now },
            cancellationToken: cancellation));

    /// <inheritdoc />
    protected override async Task WorkOffAsync(NpgsqlConnection connection, Row row, CancellationToken cancellation)
    {
        if (row.RequestedAt + Kept > Now && Open(row) is { ChangeOf: not null } change)
        {
            await LookIntoChangeAsync(connection, row, change, cancellation);
        }
        else
        {
            await LookIntoAsync(connection, row, cancellation);
            await DeleteAsync(connection, row, cancellation);
        }
    }

    /// <inheritdoc />
    protected override void Committed() => outbox.Wake();

    /// <inheritdoc />
    protected override Task PutOffAsync(NpgsqlConnection connection, Row row, DateTimeOffset until, CancellationToken cancellation) =>
        connection.ExecuteAsync(new CommandDefinition(
            """
            update preference_request set attempts = attempts + 1, next_attempt_at = @until where subscriber_id = @SubscriberId and request_id = @RequestId;
            delete from preference_request where subscriber_id = @SubscriberId and request_id = @RequestId and requested_at < @outlived
            """,
            new { until, outlived = Now - Kept, row.SubscriberId, row.RequestId },
            cancellationToken: cancellation));

    private async Task LookIntoAsync(NpgsqlConnection connection, Row row, CancellationToken cancellation)
    {
        var subscriber = new SubscriberId(row.SubscriberId);
        var details = Open(row);
        if (details.ChangeOf is not null)
        {
            // Nobody confirmed it.
            return;
        }

        await SignUpStore.LockAsync(connection, subscriber, subscriber, cancellation);
        var states = await ledger.ReadStatesAsync(subscriber, cancellation);
        var (known, _) = await ledger.FindSubscriberAsync(subscriber, cancellation);
        var facets = SubscriberState.Of(states);

        // The address as its holder gave it stands before another spelling of it that a stranger may have typed.
        var recipient = known ?? (details.Typed is null ? null : Address.Parse(details.Typed, provider: null));
        if ((known is not null || states.Count > 0) && recipient is { Kind: AddressKind.Email } && !facets.IsSuppressed && !facets.IsRestricted
            && await MailOutbox.CountAsync(connection, subscriber, [MailKind], Now.AddDays(-1), cancellation) < PerDay)
        {
            await outbox.EnqueueAsync(connection, Write(PreferenceToken.For(subscriber, Now), recipient, details.Language), cancellation);
        }
    }

    /// <summary>Asks the holder of the new address, and keeps what is needed once they confirm.</summary>
    private async Task LookIntoChangeAsync(NpgsqlConnection connection, Row row, Said change, CancellationToken cancellation)
    {
        var subscriber = new SubscriberId(row.SubscriberId);
        var until = row.RequestedAt + Kept;
        await SignUpStore.LockAsync(connection, subscriber, subscriber, cancellation);
        var states = await ledger.ReadStatesAsync(subscriber, cancellation);
        var facets = SubscriberState.Of(states);
        if (!facets.IsSuppressed && !facets.IsRestricted
            && await MailOutbox.CountAsync(connection, subscriber, [ChangeMailKind], Now.AddDays(-1), cancellation) < PerDay)
        {
            await outbox.EnqueueAsync(connection, WriteChange(new AddressChangeToken(subscriber, row.RequestId, until), change), cancellation);
        }

        await connection.ExecuteAsync(new CommandDefinition(
            "update preference_request set next_attempt_at = @until where subscriber_id = @SubscriberId and request_id = @RequestId",
            new { until, row.SubscriberId, row.RequestId },
            cancellationToken: cancellation));
    }

    /// <summary>The request that a link names, while it is kept.</summary>
    public async Task<Row?> FindAsync(AddressChangeToken link, CancellationToken cancellation)
    {
        await using var connection = await Database.OpenConnectionAsync(cancellation);
        return await connection.QuerySingleOrDefaultAsync<Row?>(new CommandDefinition(
            $"select {Columns} from preference_request where subscriber_id = @Value and request_id = @Request",
            new { link.Subscriber.Value, link.Request },
            cancellationToken: cancellation));
    }

    /// <summary>Forgets a request.</summary>
    public async Task DeleteAsync(Row row, CancellationToken cancellation)
    {
        await using var connection = await Database.OpenConnectionAsync(cancellation);
        await DeleteAsync(connection, row, cancellation);
    }

    private static Task<int> DeleteAsync(NpgsqlConnection connection, Row row, CancellationToken cancellation) =>
        connection.ExecuteAsync(new CommandDefinition(
            "delete from preference_request where subscriber_id = @SubscriberId and request_id = @RequestId", row, cancellationToken: cancellation));

    private OutgoingMail WriteChange(AddressChangeToken token, Said change)
    {
        var texts = PageTexts.All[change.Language];
        var name = organisation.Name ?? "ConsentLedger";
        return new Letter(texts)
            .Say(texts["mail.hello"])
            .Say(texts.With("mail.address.intro", ("organisation", name)))
            .Button(texts["mail.address.button"], publicUrl.Link($"/address/{token.Sign(keys)}?lang={texts.Language}"))
            .Say(texts["mail.address.not"])
            .Say(name)
            .To(Address.Parse(change.Typed!, provider: null), ChangeMailKind, texts.With("mail.address.subject", ("organisation", name)));
    }

    private OutgoingMail Write(PreferenceToken token, Address recipient, string language)
    {
        var texts = PageTexts.All[language];
        var name = organisation.Name ?? "ConsentLedger";
        return new Letter(texts)
            .Say(texts["mail.hello"])
            .Say(texts.With("mail.preferences.intro", ("organisation", name)))
            .Button(texts["mail.preferences.button"], publicUrl.Link($"/preferences/{token.Sign(keys)}?lang={texts.Language}"))
            .Say(texts["mail.preferences.until"])
            .Say(texts["mail.preferences.not"])
            .Say(name)
            .To(recipient, MailKind, texts.With("mail.preferences.subject", ("organisation", name)));
    }

    /// <summary>What is sealed of a request.</summary>
    internal sealed record Said(string? Typed, string Language, Guid? ChangeOf = null);

    /// <summary>A request as it lies in the database.</summary>
    internal sealed record Row(Guid SubscriberId, Guid RequestId, byte[] Details, int Attempts, DateTimeOffset RequestedAt) : IQueuedRow
    {
        Guid IQueuedRow.Id => RequestId;
    }
}
