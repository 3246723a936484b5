using ConsentLedger.Choices;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;
using Npgsql;

namespace ConsentLedger.Preferences;

/// <summary>What turning on came to.</summary>
internal enum TurnedOn
{
    /// <summary>It is on.</summary>
    On,

    /// <summary>A mail asks to confirm it.</summary>
    Asked,

    /// <summary>It has to be confirmed, and as many mails went to the address today as may.</summary>
    AskedEnough,

    /// <summary>It can't be turned on here; nothing was written.</summary>
    Refused,
}

/// <summary>How everything stands for one person, and how they change it.</summary>
/// <remarks>
/// Every change but turning off holds the person's lock from reading the states to its commit, so that two tabs, or a tab and
/// a confirmation, decide one after the other. Turning off needs none: see <see cref="Withdrawals.ApplyAsync"/>. What is
/// answered is durable; whatever a crash cuts short has written nothing.
/// </remarks>
internal sealed class PreferenceCentre(
    NpgsqlDataSource database, LedgerStore ledger, PurposeCatalogue purposes, SignUpStore signUps, SignUpMails mails, Withdrawals withdrawals,
    TimeProvider clock)
{
    /// <summary>How everything stands.</summary>
    public async Task<PreferenceChoices> ReadAsync(SubscriberId subscriber, CancellationToken cancellation)
    {
        var now = clock.GetUtcNow();
        var (address, _) = await ledger.FindSubscriberAsync(subscriber, cancellation);
        var states = await ledger.ReadStatesAsync(subscriber, cancellation);
        var active = (await purposes.ListAsync(cancellation)).Where(purpose => !purpose.Terms.HasEnded(now));
        return PreferenceChoices.Of(active, states, address, now);
    }

    /// <summary>Takes one consent back, at once.</summary>
    /// <returns>What undoes it, for a while; null if nothing was ended.</returns>
    public Task<UndoToken?> TurnOffAsync(SubscriberId subscriber, Purpose purpose, Visitor visitor, CancellationToken cancellation) =>
        withdrawals.ApplyAsync(
            new Withdrawal(new UnsubscribeToken(purpose.Id, subscriber), clock.GetUtcNow(), WithdrawalWay.PreferenceCentre, visitor.Ip, visitor.UserAgent),
            cancellation);

    /// <summary>
    /// Turns one on: with a <c>given</c> event where a sign-up would count at once, and otherwise with a <c>requested</c> event
    /// and a mail that asks to confirm it, as for a sign-up. The link to this page was mailed, and mails are forwarded: whoever
    /// said no before is brought back from their own mailbox only.
    /// </summary>
    public async Task<TurnedOn> TurnOnAsync(SubscriberId subscriber, Offer offer, string language, Visitor visitor, CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await SignUpStore.LockAsync(connection, subscriber, subscriber, cancellation);
        var choices = await ReadAsync(subscriber, cancellation);
        var choice = choices.Find(offer.Purpose.Key);
        if (choice is null || choice.IsOn)
        {
            return choice is null ? TurnedOn.Refused : TurnedOn.On;
        }

        if (!choice.CanTurnOn)
        {
            return TurnedOn.Refused;
        }

        var asks = choice.NeedsConfirmation;
        if (asks && !await mails.MayWriteAsync(connection, subscriber, cancellation))
        {
            return TurnedOn.AskedEnough;
        }

        // Said after all that was said before, whatever the clock of whoever recorded that.
        var now = Instant.Of(clock.GetUtcNow());
        var at = choice.After(now);
        var signUp = new SignUp(
            null, choices.Address!.Given, null, language, [new Choice(offer.Purpose.Id.Value, offer.Notice?.Version)], SourceKind.PreferenceCentre, null,
            visitor.Ip, visitor.UserAgent, new Dictionary<string, string>());
        var draft = new EventDraft
        {
            Address = choices.Address,
            Purpose = offer.Purpose,
            Kind = asks ? EventKind.Requested : EventKind.Given,
            NoticeVersion = offer.Notice?.Version,
            Source = SourceKind.PreferenceCentre,
            OccurredAt = at,
            Evidence = signUp.Evidence(offer),
        };
        await purposes.MarkInUseAsync(offer.Purpose, now, cancellation);
        if (asks)
        {
            var row = await signUps.AskAsync(connection, subscriber, signUp, at, cancellation);
            var id = signUps.EventIdFor(row, Label<EventKind>.Of(EventKind.Requested), offer.Purpose.Id, at);
            await ledger.AppendAsync(connection, EventRules.Accept(draft, subscriber, id, now), choices.Address, cancellation);
            await mails.AskAsync(connection, row, signUp, [offer], cancellation);
        }
        else
        {
            await ledger.AppendAsync(connection, EventRules.Accept(draft, subscriber, EventId.New(at), now), choices.Address, cancellation);
        }

        await transaction.CommitAsync(cancellation);
        mails.Wake();
        return asks ? TurnedOn.Asked : TurnedOn.On;
    }

    /// <summary>
    /// Objects to all direct marketing, which can't be refused (FACTS 32), unless that was done already and nothing was asked
    /// for or given since. Works for everybody, known or not (FACTS 33).
    /// </summary>
    public async Task StopAllAsync(SubscriberId subscriber, Visitor visitor, CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await SignUpStore.LockAsync(connection, subscriber, subscriber, cancellation);
        var states = await ledger.ReadStatesAsync(subscriber, cancellation);
        // What an erasure leaves at this place is a no, but nobody has objected by it.
        var objection = states.FirstOrDefault(state => state is { Kind: EventKind.Objected } && state.Purpose == PurposeId.Objection);
        if (states.All(state => state.Purpose.IsFacet || state.Since <= objection.Since) && objection.EventId != default)
        {
            return;
        }

        var now = Instant.Of(clock.GetUtcNow());
        var newest = states.Select(state => state.Since).Append(DateTimeOffset.MinValue).Max();
        var objected = new ConsentEvent
        {
            SubscriberId = subscriber,
            Id = EventId.New(now),
            Purpose = PurposeId.Objection,
            Kind = EventKind.Objected,
            Source = SourceKind.PreferenceCentre,
            OccurredAt = now > newest ? now : newest.AddMicroseconds(1),
            RecordedAt = now,
            Evidence = EvidenceOf(visitor),
        };
        await ledger.AppendAsync(connection, objected, address: null, cancellation);
        await transaction.CommitAsync(cancellation);
    }

    private static Evidence? EvidenceOf(Visitor visitor)
    {
        var details = new Dictionary<string, object?>();
        SignUp.Add(details, "ip", visitor.Ip);
        SignUp.Add(details, "userAgent", visitor.UserAgent);
        return Evidence.Of(details);
    }
}
