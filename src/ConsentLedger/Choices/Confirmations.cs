using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;
using Npgsql;

namespace ConsentLedger.Choices;

/// <summary>How a confirmation link stands.</summary>
internal enum LinkStatus
{
    /// <summary>It can be confirmed.</summary>
    Open,

    /// <summary>It is too old, and a new one can be sent.</summary>
    Expired,

    /// <summary>It was confirmed before.</summary>
    Confirmed,

    /// <summary>The request was cancelled, or is gone.</summary>
    Closed,
}

/// <summary>Makes confirmations count.</summary>
internal sealed class Confirmations(
    NpgsqlDataSource database, SignUpStore store, SignUpMails mails, OfferCatalogue offered, LedgerStore ledger, SubscriberIds subscribers,
    PurposeCatalogue purposes, TimeProvider clock)
{
    /// <summary>
    /// True if asking for this purpose counts only once it is confirmed from the address itself: where the purpose says so,
    /// and where the person has said no before, or may have, because whoever asks may be somebody else.
    /// </summary>
    public static bool AreNeededFor(Purpose purpose, SubscriberState state) =>
        purpose.DoubleOptIn || state.HasObjected || state.WasErased || (state.Purpose is { } last && (last.Kind.Refuses() || last.Kind == EventKind.Requested));

    /// <summary>How a link stands and what it is about. Writes nothing.</summary>
    public async Task<(LinkStatus Status, IReadOnlyList<Offer> Asked)> LookAsync(ConfirmToken link, CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        var row = await SignUpStore.FindAsync(connection, link, cancellation);
        var status = StatusOf(row, link);
        return status is LinkStatus.Open or LinkStatus.Expired
            ? (status, await offered.AsChosenAsync(store.Open(row!).Choices, cancellation))
            : (status, []);
    }

    /// <summary>
    /// Appends a <c>given</c> event for each purpose that was asked about, naming the request it answers, and closes the
    /// sign-up: one transaction, durable when this returns. Of several at once one does it, and the others find it done.
    /// Where the person has said no since they signed up, the request is cancelled and stays so.
    /// </summary>
    public async Task<LinkStatus> ConfirmAsync(ConfirmToken link, Visitor visitor, CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var row = await LockAsync(connection, link, cancellation);
        var status = StatusOf(row, link);
        if (status != LinkStatus.Open)
        {
            return status;
        }

        var signUp = store.Open(row!);
        var states = await ledger.ReadStatesAsync(row!.Subscriber, cancellation);
        var offers = await offered.AsChosenAsync(signUp.Choices, cancellation);
        if (WasCancelled(states, offers, row.ReceivedAt))
        {
            await store.MoveAsync(connection, row, "settled", null, cancellation);
            await transaction.CommitAsync(cancellation);
            return LinkStatus.Closed;
        }

        // Whoever recorded the request may have had a faster clock; the answer to it can't be older than it.
        var now = Instant.Of(clock.GetUtcNow());
        var occurredAt = now > row.ReceivedAt ? now : row.ReceivedAt;
        foreach (var offer in offers)
        {
            var address = Address.Parse(signUp.Address, provider: null);
            var draft = new EventDraft
            {
                Address = address,
                Purpose = offer.Purpose,
                Kind = EventKind.Given,
                NoticeVersion = offer.Notice?.Version,
                Source = signUp.Source,
                OccurredAt = occurredAt,
                Evidence = EvidenceOf(row, signUp, offer, visitor),
            };
            await purposes.MarkInUseAsync(offer.Purpose, now, cancellation);
            var id = store.EventIdFor(row, "confirmed", offer.Purpose.Id, row.ReceivedAt);
            await ledger.AppendAsync(connection, EventRules.Accept(draft, row.Subscriber, id, now), address, cancellation);
        }

        await store.MoveAsync(connection, row, "confirmed", null, cancellation);
        await transaction.CommitAsync(cancellation);
        return LinkStatus.Open;
    }

    /// <summary>
    /// Queues a mail with a new link to the same address, if that may get one today. Durable when this returns, and said to
    /// nobody whether it was.
    /// </summary>
    public async Task SendAgainAsync(ConfirmToken link, CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        if (await LockAsync(connection, link, cancellation) is not { } row || StatusOf(row, link) != LinkStatus.Expired)
        {
            return;
        }

        var signUp = store.Open(row);
        var recipient = subscribers.Of(signUp.Recipient);
        var states = await ledger.ReadStatesAsync(row.Subscriber, cancellation);
        var offers = await offered.AsChosenAsync(signUp.Choices, cancellation);
        if (!WasCancelled(states, offers, row.ReceivedAt) && await mails.MayWriteAsync(connection, recipient, cancellation))
        {
            await mails.AskAsync(connection, row, signUp, offers, cancellation);
            await transaction.CommitAsync(cancellation);
            mails.Wake();
        }
    }

    /// <summary>
    /// The row a link names, and nobody else decides about it or about whom it is from here on. First the people and then the
    /// row, as an erasure does.
    /// </summary>
    private async Task<SignUpRow?> LockAsync(NpgsqlConnection connection, ConfirmToken link, CancellationToken cancellation)
    {
        if (await SignUpStore.FindAsync(connection, link, cancellation) is not { } row)
        {
            return null;
        }

        var recipient = row.Details is null ? row.Subscriber : subscribers.Of(store.Open(row).Recipient);
        await SignUpStore.LockAsync(connection, row.Subscriber, recipient, cancellation);
        return await SignUpStore.LockAsync(connection, link, cancellation);
    }

    private LinkStatus StatusOf(SignUpRow? row, ConfirmToken link) => row?.Status switch
    {
        "confirmed" => LinkStatus.Confirmed,
        "asked" => link.ExpiresAt <= clock.GetUtcNow() ? LinkStatus.Expired : LinkStatus.Open,
        _ => LinkStatus.Closed,
    };

    /// <summary>A no to any part of the request, or to everything, that is no older than the request, takes back all of it.</summary>
    private static bool WasCancelled(IReadOnlyList<ConsentState> states, IReadOnlyList<Offer> offers, DateTimeOffset receivedAt)
    {
        var facets = SubscriberState.Of(states);
        return offers.Count == 0 || facets.IsSuppressed || facets.IsRestricted || facets.Objection?.Since >= receivedAt
            || states.Any(state => state.Kind.Refuses() && state.Since >= receivedAt && offers.Any(offer => offer.Purpose.Id == state.Purpose));
    }

    private Evidence? EvidenceOf(SignUpRow row, SignUp signUp, Offer offer, Visitor visitor)
    {
        var request = store.EventIdFor(row, Label<EventKind>.Of(EventKind.Requested), offer.Purpose.Id, row.ReceivedAt);
        var details = new Dictionary<string, object?>
        {
            ["how"] = "double-opt-in",
            ["request"] = request.ToString(),
            ["requestedAt"] = Instant.Format(row.ReceivedAt),
        };
        SignUp.Add(details, "form", signUp.Form);
        SignUp.Add(details, "ip", visitor.Ip);
        SignUp.Add(details, "userAgent", visitor.UserAgent);
        SignUp.Add(details, "noticeDigest", offer.Notice?.Digest);
        return Evidence.Of(
            details,
            sourceReference: signUp.Reference,
            sourceUrl: signUp.Url,
            guardian: signUp.Guardian is null ? null : new Dictionary<string, object?> { ["address"] = signUp.Guardian, ["confirmed"] = true });
    }
}
