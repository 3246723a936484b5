using ConsentLedger.Choices;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.SignUps;

/// <summary>
/// Looks into sign-ups after they were answered, several at once. Each is one transaction: its events, its mail and its own
/// row are durable together, and a crash leaves the sign-up as it was received. Those of one address are looked into one
/// after the other, in the order they came in.
/// </summary>
/// <remarks>
/// Nobody is written to who is suppressed, restricted or has objected. Who may be written to already is told so, and no
/// <c>requested</c> event is made for that: it would turn the consent off. Who once refused, and a child, confirm even
/// where the purpose asks for no confirmation, because a stranger may have filled in the form; so does whoever has not
/// answered a request yet, because that may have been made over a refusal.
/// </remarks>
internal sealed class SignUpWorker(
    NpgsqlDataSource database, SignUpStore store, SignUpMails mails, OfferCatalogue offers, PurposeCatalogue purposes, LedgerStore ledger,
    SubscriberIds subscribers, TimeProvider clock, ILogger<SignUpWorker> log) : QueueWorker<SignUpRow>(database, "sign-ups", AtOnce, clock, log)
{
    // Each has a connection, and another for what it reads besides.
    private const int AtOnce = 4;
    private static readonly TimeSpan Cleanup = TimeSpan.FromHours(1);

    private DateTimeOffset nextCleanup;

    /// <inheritdoc />
    /// <remarks>
    /// Whether one came before it is looked up by the primary key, whatever the statistics say: while a table grows they
    /// are wrong, and then each would be compared with all that wait.
    /// </remarks>
    protected override Task<SignUpRow?> TakeAsync(NpgsqlConnection connection, CancellationToken cancellation) =>
        connection.QuerySingleOrDefaultAsync<SignUpRow?>(new CommandDefinition(
            $"""
            select {SignUpRow.Columns} from sign_up
            where status = 'received' and next_attempt_at <= @now and not exists (
                select from sign_up before
                where before.subscriber_id = sign_up.subscriber_id and before.status::text = 'received'
                    and (before.next_attempt_at, before.sign_up_id) < (sign_up.next_attempt_at, sign_up.sign_up_id)
                offset 0
            )
            order by next_attempt_at, sign_up_id
            limit 1
            for update skip locked
            """,
            new { now = Now },
            cancellationToken: cancellation));

    /// <inheritdoc />
    protected override void Committed() => mails.Wake();

    /// <inheritdoc />
    protected override Task PutOffAsync(NpgsqlConnection connection, SignUpRow row, DateTimeOffset until, CancellationToken cancellation) =>
        connection.ExecuteAsync(new CommandDefinition(
            "update sign_up set attempts = attempts + 1, next_attempt_at = @until where subscriber_id = @SubscriberId and sign_up_id = @SignUpId",
            new { until, row.SubscriberId, row.SignUpId },
            cancellationToken: cancellation));

    /// <inheritdoc />
    protected override async Task WorkOffAsync(NpgsqlConnection connection, SignUpRow row, CancellationToken cancellation)
    {
        var signUp = store.Open(row);
        var now = Now;
        var recipient = subscribers.Of(signUp.Recipient);
        await SignUpStore.LockAsync(connection, row.Subscriber, recipient, cancellation);
        var states = await ledger.ReadStatesAsync(row.Subscriber, cancellation);
        var asked = new List<Offer>();
        var had = new List<Offer>();
        var direct = new List<Offer>();
        foreach (var offer in await offers.AsChosenAsync(signUp.Choices, cancellation))
        {
            var state = SubscriberState.Of(states, offer.Purpose.Id);
            if (state.Decide(offer.Purpose.Terms, now).Allowed)
            {
                had.Add(offer);
            }
            else if (!state.IsSuppressed && !state.IsRestricted && !state.HasObjected && !offer.Purpose.Terms.HasEnded(now))
            {
                var alone = signUp.Guardian is null && !Confirmations.AreNeededFor(offer.Purpose, state);
                (alone ? direct : asked).Add(offer);
            }
        }

        await AppendAsync(connection, row, signUp, EventKind.Given, direct, now, cancellation);
        var mayWrite = (asked.Count > 0 || (had.Count > 0 && direct.Count == 0)) && await mails.MayWriteAsync(connection, recipient, cancellation)
            && (signUp.Guardian is null || !await IsBarredAsync(recipient, cancellation));
        if (mayWrite && asked.Count > 0)
        {
            await AppendAsync(connection, row, signUp, EventKind.Requested, asked, now, cancellation);
            await mails.AskAsync(connection, row, signUp, asked, cancellation);
            var choices = asked.Select(offer => new Choice(offer.Purpose.Id.Value, offer.Notice?.Version)).ToList();
            await store.MoveAsync(connection, row, "asked", signUp with { Choices = choices }, cancellation);
            return;
        }

        if (mayWrite && signUp.Guardian is null)
        {
            await mails.SayAlreadyAsync(connection, row, signUp, had, cancellation);
        }

        await store.MoveAsync(connection, row, "settled", null, cancellation);
    }

    /// <summary>A guardian may have said no to mails, too.</summary>
    private async Task<bool> IsBarredAsync(SubscriberId recipient, CancellationToken cancellation)
    {
        var states = await ledger.ReadStatesAsync(recipient, cancellation);
        var facets = SubscriberState.Of(states);
        return facets.IsSuppressed || facets.IsRestricted;
    }

    private async Task AppendAsync(
        NpgsqlConnection connection, SignUpRow row, SignUp signUp, EventKind kind, List<Offer> offers, DateTimeOffset now, CancellationToken cancellation)
    {
        foreach (var offer in offers)
        {
            var address = Address.Parse(signUp.Address, provider: null);
            var draft = new EventDraft
            {
                Address = address,
                Purpose = offer.Purpose,
                Kind = kind,
                NoticeVersion = offer.Notice?.Version,
                Source = signUp.Source,
                OccurredAt = row.ReceivedAt,
                Evidence = signUp.Evidence(offer),
            };
            await purposes.MarkInUseAsync(offer.Purpose, now, cancellation);
            var id = store.EventIdFor(row, Label<EventKind>.Of(kind), offer.Purpose.Id, row.ReceivedAt);
            await ledger.AppendAsync(connection, EventRules.Accept(draft, row.Subscriber, id, now), address, cancellation);
        }
    }

    /// <inheritdoc />
    protected override async Task CleanUpAsync(CancellationToken cancellation)
    {
        if (Now < nextCleanup)
        {
            return;
        }

        await using var connection = await Database.OpenConnectionAsync(cancellation);
        await connection.ExecuteAsync(new CommandDefinition(
            """
            delete from sign_up
            where received_at < @outlived and not exists (select from legal_hold where legal_hold.subscriber_id = sign_up.subscriber_id)
            """,
            new { outlived = Now - SignUpStore.Kept },
            cancellationToken: cancellation));
        await Challenges.DeleteOutlivedAsync(connection, Now, cancellation);
        nextCleanup = Now + Cleanup;
    }
}
