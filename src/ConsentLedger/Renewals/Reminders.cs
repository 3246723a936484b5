using ConsentLedger.Choices;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.Renewals;

/// <summary>
/// Tells people that a consent of theirs runs out (FACTS 28): everybody whose purpose says so, once for each time at which
/// one does.
/// </summary>
/// <remarks>
/// Nobody is written to who may not be by a check at that moment, whose records a legal hold keeps, or whose purpose is over
/// before the consent is; nor while another reminder to the same address waits to be sent. The mail asks once more before it
/// leaves (<see cref="Mail.OutgoingMail.RestsOn"/>). A child's consent is renewed by the guardian who gave it. A consent whose
/// whole life is no longer than the reminder comes before its end is not worth one.
/// <para>
/// What is durable when: each person is one transaction, which locks the state, notes the reminder and queues its mail. A crash
/// before the commit leaves neither, and the next run finds the consent again; after it both are there, and the note keeps every
/// other run and instance from a second mail. Nothing else is kept of a run, so one that was interrupted just starts over. One
/// instance at a time does the work, by an advisory lock; should two ever do, the note's primary key lets one of them through.
/// </para>
/// <para>
/// What is due is read in batches by the index of what runs out, so a run takes the same memory however much that is; and a
/// state is locked for the few milliseconds of its own mail.
/// </para>
/// </remarks>
public sealed partial class Reminders(
    LedgerDatabase database, LedgerStore ledger, PurposeCatalogue purposes, OfferCatalogue offers, SubscriberIds subscribers, ReminderMails mails,
    ReminderMetrics metrics, TimeProvider clock, ILogger<Reminders> log)
{
    private const long AdvisoryLock = 0x434C_5265_6D69_6E64;
    private const int Batch = 500;

    private const string FindDue = """
        select state.subscriber_id, state.purpose_id, state.expires_at, state.event_id
        from consent_state state join purpose using (purpose_id)
        where state.kind in ('given', 'renewed') and state.expires_at > @now and state.expires_at <= @horizon
            and state.purpose_id = any (@purposes)
            and (state.expires_at, state.subscriber_id, state.purpose_id) > (@afterTime, @afterSubscriber, @afterPurpose)
            and state.expires_at <= @now + purpose.renewal_reminder
            and state.occurred_at + purpose.renewal_reminder < state.expires_at
            and (purpose.ends_at is null or purpose.ends_at > state.expires_at)
            and not exists (
                select from renewal_reminder reminder
                where reminder.subscriber_id = state.subscriber_id and reminder.purpose_id = state.purpose_id
                    and reminder.expires_at = state.expires_at)
        order by state.expires_at, state.subscriber_id, state.purpose_id
        limit @Batch
        """;

    /// <summary>
    /// Queues every reminder that is due, and returns true; or false where another instance is at it, and nothing was done.
    /// </summary>
    /// <exception cref="NpgsqlException">The database went away; the rest is for the next run.</exception>
    public async Task<bool> SendDueAsync(CancellationToken cancellation)
    {
        await using var session = database.OpenSession();
        await session.OpenAsync(cancellation);
        if (!await session.ExecuteScalarAsync<bool>("select pg_try_advisory_lock(@AdvisoryLock)", new { AdvisoryLock }))
        {
            return false;
        }

        // The notes may be none when a run begins and millions when it ends: no plan made for one batch is right for another.
        await session.ExecuteAsync("set plan_cache_mode = force_custom_plan");
        for (var after = Due.BeforeAll; ;)
        {
            var now = Instant.Of(clock.GetUtcNow());
            var reminding = (await purposes.ListAsync(cancellation)).Where(purpose => purpose.RenewalReminder is not null && !purpose.Terms.HasEnded(now)).ToDictionary(purpose => purpose.Id);
            var due = reminding.Count == 0 ? [] : await FindDueAsync(session, reminding.Values, after, now, cancellation);
            foreach (var one in due)
            {
                await TryRemindAsync(one, reminding[one.Purpose], cancellation);
            }

            if (due.Count < Batch)
            {
                // Whoever is next need not wait until the server has noticed that this connection is closed.
                await session.ExecuteAsync("select pg_advisory_unlock(@AdvisoryLock)", new { AdvisoryLock });
                return true;
            }

            after = due[^1];
        }
    }

    /// <summary>Reads as the leader: whoever has lost the lock has lost the connection, and finds nothing more.</summary>
    private static async Task<List<Due>> FindDueAsync(
        NpgsqlConnection session, IReadOnlyCollection<Purpose> reminding, Due after, DateTimeOffset now, CancellationToken cancellation)
    {
        var rows = await session.QueryAsync<DueRow>(new CommandDefinition(
            FindDue,
            new
            {
                now = now.UtcDateTime,
                horizon = reminding.Max(purpose => purpose.RenewalReminder!.Value.After(now)).UtcDateTime,
                purposes = reminding.Select(purpose => purpose.Id.Value).ToArray(),
                afterTime = after.ExpiresAt.UtcDateTime,
                afterSubscriber = after.Subscriber.Value,
                afterPurpose = after.Purpose.Value,
                Batch,
            },
            // The first of a run passes over all who were reminded in the days before.
            commandTimeout: 0,
            cancellationToken: cancellation));
        return rows.Select(row => row.ToDue()).ToList();
    }

    /// <summary>One that can't be written to must not stand in the way of the others; the next run tries again.</summary>
    private async Task TryRemindAsync(Due due, Purpose purpose, CancellationToken cancellation)
    {
        try
        {
            if (await DatabaseResilience.Repeatable.ExecuteAsync(async token => await RemindAsync(due, purpose, token), cancellation))
            {
                metrics.Reminded();
                mails.Wake();
            }
        }
        catch (Exception defect) when (defect is not OperationCanceledException && !DatabaseResilience.MeansAway(defect))
        {
            LogDefect(due.Event, defect);
        }
    }

    private async Task<bool> RemindAsync(Due due, Purpose purpose, CancellationToken cancellation)
    {
        if (await FindConsentAsync(due, purpose, cancellation) is not var (consent, recipient))
        {
            return false;
        }

        await using var connection = await database.Service.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await SignUpStore.LockAsync(connection, due.Subscriber, subscribers.Of(recipient), cancellation);
        if (!await LockAsync(connection, due, cancellation)
            || !await MayWriteAsync(connection, due.Subscriber, subscribers.Of(recipient), purpose, cancellation)
            || !await NoteAsync(connection, due, cancellation))
        {
            return false;
        }

        var agreed = (await offers.AsChosenAsync([new Choice(purpose.Id.Value, consent.NoticeVersion)], cancellation)).Single();
        var now = (await offers.NowAsync([purpose], [ReminderMails.LanguageOf(agreed.Notice).Language], cancellation)).Single();
        await mails.RemindAsync(connection, recipient, consent, agreed, Renewing.HasChanged(agreed.Notice, now.Notice), cancellation);
        await transaction.CommitAsync(cancellation);
        return true;
    }

    /// <summary>The consent, and who can renew it; null where nobody can be asked, or a legal hold keeps what there is.</summary>
    private async Task<(ConsentEvent Consent, Address Recipient)?> FindConsentAsync(Due due, Purpose purpose, CancellationToken cancellation)
    {
        var (address, held) = await ledger.FindSubscriberAsync(due.Subscriber, cancellation);
        if (held || address is null || await ledger.FindAsync(due.Subscriber, due.Event, cancellation) is not { } consent)
        {
            return null;
        }

        // Where evidence has gone, nobody knows any more whether it was a child's.
        var recipient = consent.Evidence is { Guardian: not null } child
            ? child.GuardianAddress
            : consent.EvidenceWasPurged && purpose.MinimumAge > 0 ? null : address;
        return recipient is { Kind: AddressKind.Email } ? (consent, recipient) : null;
    }

    /// <summary>True if the state is still the one that was found; whoever would change it waits from here on.</summary>
    private static async Task<bool> LockAsync(NpgsqlConnection connection, Due due, CancellationToken cancellation) =>
        await connection.ExecuteScalarAsync<int?>(new CommandDefinition(
            """
            select 1 from consent_state
            where subscriber_id = @subscriber and purpose_id = @purpose and event_id = @event and expires_at = @expiresAt
            for update
            """,
            due.Parameters,
            cancellationToken: cancellation)) is not null;

    private async Task<bool> MayWriteAsync(
        NpgsqlConnection connection, SubscriberId subscriber, SubscriberId recipient, Purpose purpose, CancellationToken cancellation)
    {
        var all = SubscriberState.Of(await ledger.ReadStatesAsync(subscriber, cancellation), purpose.Id);
        if (!all.Decide(purpose.Terms, clock.GetUtcNow()).Allowed || await ReminderMails.IsWaitingAsync(connection, recipient, cancellation))
        {
            return false;
        }

        if (recipient == subscriber)
        {
            return true;
        }

        // A guardian may have said no to mails, too.
        var theirs = SubscriberState.Of(await ledger.ReadStatesAsync(recipient, cancellation), purpose.Id);
        return !theirs.IsSuppressed && !theirs.IsRestricted && !theirs.HasObjected;
    }

    /// <summary>Notes that the reminder is sent; false if that was noted before.</summary>
    private async Task<bool> NoteAsync(NpgsqlConnection connection, Due due, CancellationToken cancellation)
    {
        var parameters = new DynamicParameters(due.Parameters);
        parameters.Add("now", Instant.Of(clock.GetUtcNow()).UtcDateTime);
        return await connection.ExecuteAsync(new CommandDefinition(
            """
            insert into renewal_reminder (subscriber_id, purpose_id, expires_at, event_id, reminded_at)
            values (@subscriber, @purpose, @expiresAt, @event, @now)
            on conflict do nothing
            """,
            parameters,
            cancellationToken: cancellation)) == 1;
    }

    [LoggerMessage(LogLevel.Error, "The reminder for the consent {Event} met a defect and is tried again by the next run")]
    private partial void LogDefect(EventId @event, Exception defect);

    /// <summary>A consent that runs out soon.</summary>
    private readonly record struct Due(SubscriberId Subscriber, PurposeId Purpose, DateTimeOffset ExpiresAt, EventId Event)
    {
        /// <summary>Before everything.</summary>
        public static readonly Due BeforeAll = new(default, default, DateTimeOffset.UnixEpoch, default);

        public object Parameters => new { subscriber = Subscriber.Value, purpose = Purpose.Value, expiresAt = ExpiresAt.UtcDateTime, @event = Event.Value };
    }

    private sealed record DueRow(Guid SubscriberId, int PurposeId, DateTimeOffset ExpiresAt, Guid EventId)
    {
        public Due ToDue() => new(new SubscriberId(SubscriberId), new PurposeId(PurposeId), ExpiresAt, new EventId(EventId));
    }
}
