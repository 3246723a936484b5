using System.Text;
using ConsentLedger.Choices;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.PersonalData;

/// <summary>
/// Erases a person (UK GDPR Art 17): address, evidence, openings, events, mails and forms go; that they said no stays, under
/// the keyed id alone, so that no list, no stranger and no back-up brings them back unseen. A fresh consent does, once it is
/// confirmed.
/// </summary>
/// <remarks>
/// What is durable, and what a crash leaves:
/// <list type="number">
/// <item>A line in the journal outside the database. From here on the erasure happens: a crash leaves the rest to the next
/// start, and a restored back-up to its first.</item>
/// <item>One transaction as consentledger_service: the erasure is asked for, every permission is ended, those that the person
/// gave as the guardian of a child among them, and it is on record who asked. Nothing may be sent any more. It waits for
/// batches of imports under way; those after it see it.</item>
/// <item>One transaction as consentledger_purge: everything that goes goes, the purge records and suppressions stay, and
/// the erasure is completed. A crash before leaves it open, and <see cref="FinishOpenAsync"/> goes on with it.</item>
/// <item>It is answered.</item>
/// </list>
/// Under a legal hold the third step waits until the hold is lifted. Where something that asks or permits was recorded later than
/// five minutes after the erasure was asked for, the person has come back by then, since clocks differ by less, and what was
/// recorded after that stays. A refusal, a bounce or a complaint alone brings nobody back.
/// </remarks>
public sealed class Erasure(
    LedgerDatabase database, LedgerStore ledger, ErasureJournal journal, IEnumerable<IPersonalRecords> records, AuditTrail audit, Sealer sealer,
    KeyRing keys, TimeProvider clock)
{
    /// <summary>The newest no of each purpose, and one at all of them; an objection that was made as such stays one.</summary>
    private const string KeepSuppressions = $"""
        insert into suppression (subscriber_id, purpose_id, kind, basis, occurred_at, event_id, kept_at)
        select subscriber_id, purpose_id, kind, basis, occurred_at, event_id, @now
        from (
            select distinct on (purpose_id) subscriber_id, purpose_id, kind, basis, occurred_at, event_id
            from consent_event
            where subscriber_id = @id and kind not in ('requested', 'expired') and recorded_at <= @until
            order by purpose_id, occurred_at desc, kind desc, event_id desc
        ) event
        where {Forbidding.Stays}
        on conflict do nothing;

        insert into suppression (subscriber_id, purpose_id, kind, basis, occurred_at, event_id, kept_at)
        select subscriber_id, 0,
            case when exists (
                select from consent_state objection
                where objection.subscriber_id = @id and objection.purpose_id = 0 and objection.kind = 'objected')
            then 'objected'::event_kind else 'revoked' end,
            null,
            greatest(requested_at, (select max(occurred_at) from consent_event where subscriber_id = @id and recorded_at <= @until)),
            erasure_id, @now
        from erasure
        where subscriber_id = @id
        on conflict do nothing;
        """;

    private const string DeleteEvents = """
        with gone as (
            delete from consent_event event
            where event.subscriber_id = @id and event.recorded_at <= @until
            returning event.subscriber_id, event.event_id, event.purpose_id, event.kind, event.source_kind, event.occurred_at
        ),
        evidence_gone as (
            delete from evidence using gone
            where evidence.subscriber_id = gone.subscriber_id and evidence.event_id = gone.event_id
        ),
        recorded as (
            insert into purge_record (subscriber_id, run_id, event_id, rule, purpose_id, kind, occurred_at, purged_at)
            select subscriber_id, @erasureId, event_id, 'erasure', purpose_id, kind, occurred_at, @now from gone
            on conflict do nothing
        )
        select count(*) from gone where not (kind = 'revoked' and source_kind = 'system')
        """;

    /// <summary>What sql/rebuild_state.sql says, for one subscriber whose states are locked.</summary>
    private const string RecomputeStates = """
        delete from consent_state where subscriber_id = @id;

        insert into consent_state (subscriber_id, purpose_id, kind, basis, occurred_at, expires_at, event_id)
        select distinct on (purpose_id) subscriber_id, purpose_id, kind, basis, occurred_at, expires_at, event_id
        from (
            select subscriber_id, purpose_id, kind, basis, occurred_at, expires_at, event_id
            from consent_event where subscriber_id = @id
            union all
            select subscriber_id, purpose_id, kind, basis, occurred_at, null, event_id
            from suppression where subscriber_id = @id
        ) history
        order by purpose_id, occurred_at desc, kind desc, event_id desc, expires_at nulls last;
        """;

    private const string DeleteAddress = """
        with gone as (
            delete from subscriber
            where subscriber_id = @id and not exists (select from consent_event where subscriber_id = @id)
            returning subscriber_id
        )
        insert into purge_record (subscriber_id, run_id, event_id, rule, purged_at)
        select subscriber_id, @erasureId, '00000000-0000-0000-0000-000000000000', 'erasure', @now from gone
        on conflict do nothing
        """;

    /// <summary>Why a child's consent ended, in the child's history.</summary>
    private static readonly Evidence? GuardianErased = Evidence.Of(new Dictionary<string, object?> { ["guardian"] = "erased" });

    private readonly IReadOnlyList<IPersonalRecords> records = [.. records];

    /// <summary>Erases a subscriber, known or not; when this returns it is done, or waits for a legal hold.</summary>
    /// <param name="subscriber">Whom.</param>
    /// <param name="reason">What the organisation notes; never the address.</param>
    /// <param name="by">Who asks.</param>
    /// <param name="cancellation">Gives up before the first step; after it nothing does.</param>
    /// <exception cref="NpgsqlException">The database went away; it is done as soon as it is back.</exception>
    public async Task<ErasureOutcome> EraseAsync(SubscriberId subscriber, string reason, Actor by, CancellationToken cancellation)
    {
        var now = Instant.Of(clock.GetUtcNow());
        var id = Guid.CreateVersion7(now);

        // The database can be asked at this moment, so what is written down next is more than a wish. A connection from the
        // pool would not show it: the server may be gone.
        await DatabaseResilience.Repeatable.ExecuteAsync(
            async token =>
            {
                await using var connection = await database.Service.OpenConnectionAsync(token);
                await connection.ExecuteAsync(new CommandDefinition("select 1", cancellationToken: token));
            },
            cancellation);

        var entry = new JournalEntry(null, subscriber, JournalEntry.Everything, id, now);
        var written = await journal.WriteAsync([entry], applied: false, cancellation);
        int ended;
        try
        {
            ended = await BeginAsync(entry, reason, by, CancellationToken.None);
        }
        catch
        {
            // The keeper of the journal goes on with it, as the next start would.
            journal.Failed();
            throw;
        }

        journal.Applied(written);
        return await FinishAsync(subscriber, id, CancellationToken.None) with { ChildrensConsentsEnded = ended };
    }

    /// <summary>
    /// The second step, by itself for an erasure that the journal tells of. One that the database knows of already, or that
    /// a later one has overtaken, changes nothing. Returns how many consents ended that the person gave for a child: who gave
    /// them can't be shown any more.
    /// </summary>
    public Task<int> BeginAsync(JournalEntry entry, string? reason, Actor by, CancellationToken cancellation) =>
        RepeatAsync(() => TryBeginAsync(entry, reason, by, cancellation));

    private async Task<int> TryBeginAsync(JournalEntry entry, string? reason, Actor by, CancellationToken cancellation)
    {
        const string Ask = """
            insert into erasure (subscriber_id, erasure_id, requested_at, reason)
            values (@id, @EventId, @At, @box)
            on conflict (subscriber_id) do update
            set erasure_id = excluded.erasure_id, requested_at = excluded.requested_at, reason = excluded.reason, completed_at = null, events_erased = 0, kept_for_child = false
            where erasure.requested_at < excluded.requested_at
            returning 1
            """;
        await using var connection = await database.Service.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await connection.ExecuteAsync(new CommandDefinition(
            "select pg_advisory_xact_lock(@AdvisoryLock)", new { BulkAppend.AdvisoryLock }, commandTimeout: 0, cancellationToken: cancellation));
        await SignUpStore.LockAsync(connection, entry.Subscriber, entry.Subscriber, cancellation);
        var box = reason is null ? null : sealer.Seal(Encoding.UTF8.GetBytes(reason), ReasonPlace(entry.Subscriber));
        var asked = await connection.ExecuteScalarAsync<int?>(new CommandDefinition(
            Ask, new { id = entry.Subscriber.Value, entry.EventId, At = entry.At.UtcDateTime, box }, cancellationToken: cancellation));
        var ended = asked is null ? 0 : await EndAllAsync(connection, entry, cancellation);
        if (asked is not null || by != Actor.Service)
        {
            await audit.WriteAsync(connection, by, new AuditEntry(AuditAction.SubscriberErased) { SubscriberId = entry.Subscriber.Value }, cancellation);
        }

        await transaction.CommitAsync(cancellation);
        return ended;
    }

    /// <summary>Does what is left of erasures that were asked for, those aside that something still holds up. Returns how many it completed.</summary>
    public async Task<int> FinishOpenAsync(CancellationToken cancellation)
    {
        const string Sql = $"""
            select subscriber_id from erasure
            where completed_at is null
                and not exists (select from legal_hold where legal_hold.subscriber_id = erasure.subscriber_id)
                and (not kept_for_child or {GuardianshipRecords.MayGoOn})
            order by requested_at
            """;
        await using var connection = await database.Service.OpenConnectionAsync(cancellation);
        var open = (await connection.QueryAsync<Guid>(new CommandDefinition(Sql, new { EventRules.ClockTolerance }, cancellationToken: cancellation))).AsList();
        foreach (var subscriber in open)
        {
            await FinishAsync(new SubscriberId(subscriber), asked: null, cancellation);
        }

        return open.Count;
    }

    /// <summary>
    /// The third step. Of several who take it at once, one does it, and the erasure that stands is answered with what went:
    /// whoever asked for it may find it done by <see cref="FinishOpenAsync"/>.
    /// </summary>
    /// <param name="subscriber">Whose.</param>
    /// <param name="asked">The erasure that is to be answered; null for none.</param>
    /// <param name="cancellation">Leaves it to the next one.</param>
    public Task<ErasureOutcome> FinishAsync(SubscriberId subscriber, Guid? asked, CancellationToken cancellation) =>
        RepeatAsync(() => TryFinishAsync(subscriber, asked, cancellation));

    /// <summary>The worker that looks into sign-ups has a row before it locks the person, and this the other way about.</summary>
    private static async Task<T> RepeatAsync<T>(Func<Task<T>> step)
    {
        const int Attempts = 3;
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await step();
            }
            catch (PostgresException deadlock) when (deadlock.SqlState == PostgresErrorCodes.DeadlockDetected && attempt < Attempts)
            {
                // The transaction is rolled back and has left nothing.
            }
        }
    }

    private async Task<ErasureOutcome> TryFinishAsync(SubscriberId subscriber, Guid? asked, CancellationToken cancellation)
    {
        await using var connection = await database.Purge.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);

        // In the order in which a hold is placed: the two wait for each other, and whichever is second sees the first.
        await SignUpStore.LockAsync(connection, subscriber, subscriber, cancellation);
        var children = await GuardianshipRecords.ChildrenOfAsync(connection, subscriber, cancellation);
        await LedgerStore.LockStatesAsync(connection, [subscriber, .. children], cancellation);
        await connection.ExecuteAsync(new CommandDefinition(
            "select 1 from subscriber where subscriber_id = @Value for update; select pg_advisory_xact_lock_shared(@AdvisoryLock)",
            new { subscriber.Value, LegalHold.AdvisoryLock },
            cancellationToken: cancellation));
        var erasure = await connection.QuerySingleAsync<Row>(new CommandDefinition(
            """
            select erasure_id, requested_at, completed_at, events_erased, kept_for_child, (select reason from legal_hold where legal_hold.subscriber_id = erasure.subscriber_id) as hold
            from erasure where subscriber_id = @Value for update
            """,
            new { subscriber.Value },
            cancellationToken: cancellation));
        if (erasure.CompletedAt is not null)
        {
            return new ErasureOutcome(subscriber, erasure.ErasureId == asked ? erasure.EventsErased : 0, null);
        }

        if (erasure.Hold is { } hold)
        {
            return new ErasureOutcome(subscriber, 0, LegalHold.OpenReason(hold, subscriber, sealer));
        }

        // What is kept with a child's records goes when they are free: the erasure is not completed before. All else of it
        // is done once, or it would take what came after it.
        var now = Instant.Of(clock.GetUtcNow());
        var erased = erasure.KeptForChild ? erasure.EventsErased : await EraseAsync(connection, subscriber, erasure, now, cancellation);
        await GuardianshipRecords.ForgetAsync(connection, subscriber, now, cancellation);
        var kept = await GuardianshipRecords.AreKeptAsync(connection, subscriber, cancellation);
        await connection.ExecuteAsync(new CommandDefinition(
            "update erasure set completed_at = case when not @kept then @now end, kept_for_child = @kept, events_erased = @erased where subscriber_id = @Value",
            new { kept, now = now.UtcDateTime, erased, subscriber.Value },
            cancellationToken: cancellation));
        await transaction.CommitAsync(cancellation);
        return new ErasureOutcome(subscriber, erasure.ErasureId == asked ? erased : 0, null) { IsKeptForAChild = kept };
    }

    /// <summary>Deletes the person's own records; returns how many events went.</summary>
    private async Task<long> EraseAsync(
        NpgsqlConnection connection, SubscriberId subscriber, Row erasure, DateTimeOffset now, CancellationToken cancellation)
    {
        var until = (erasure.RequestedAt + EventRules.ClockTolerance).UtcDateTime;
        var cameBack = await connection.ExecuteScalarAsync<bool>(new CommandDefinition(
            """
            select exists (
                select from consent_event
                where subscriber_id = @Value and recorded_at > @until and kind in ('requested', 'given', 'renewed', 'permitted'))
            """,
            new { subscriber.Value, until },
            cancellationToken: cancellation));
        var parameters = new
        {
            id = subscriber.Value,
            erasure.ErasureId,
            now = now.UtcDateTime,
            until = cameBack ? until : DateTime.SpecifyKind(DateTime.MaxValue, DateTimeKind.Utc),
        };
        await ExecuteAsync(KeepSuppressions);
        var erased = await connection.ExecuteScalarAsync<long>(new CommandDefinition(DeleteEvents, parameters, cancellationToken: cancellation));
        await ExecuteAsync(RecomputeStates);
        await ExecuteAsync(DeleteAddress);
        foreach (var kind in records)
        {
            await kind.EraseAsync(connection, subscriber, cancellation);
        }

        return erased;

        async Task ExecuteAsync(string sql) => await connection.ExecuteAsync(new CommandDefinition(sql, parameters, cancellationToken: cancellation));
    }

    /// <summary>
    /// Ends what permits or is asked for, as events like any other: whoever follows the ledger hears of it. Those of the
    /// person go with the rest; those of a child for whom the person consented stay. Returns how many consents those ended.
    /// </summary>
    private async Task<int> EndAllAsync(NpgsqlConnection connection, JournalEntry entry, CancellationToken cancellation)
    {
        var children = await GuardianshipRecords.ChildrenOfAsync(connection, entry.Subscriber, cancellation);
        var states = await LedgerStore.LockStatesAsync(connection, [entry.Subscriber, .. children], cancellation);
        foreach (var state in states[entry.Subscriber].Where(CanEnd))
        {
            await EndAsync(connection, entry, entry.Subscriber, state, cancellation);
        }

        var ended = 0;
        var named = await GuardianshipRecords.ConsentsOfAsync(connection, entry.Subscriber, entry.At + EventRules.ClockTolerance, cancellation);
        foreach (var child in children.Where(child => child != entry.Subscriber))
        {
            // A request that waits may hide the consent that was there before it.
            foreach (var state in states[child].Where(CanEnd).Where(state => named[child].Any(one =>
                one.Event == state.EventId || (one.Beneath && one.Purpose == state.Purpose && state.Kind == EventKind.Requested))))
            {
                await EndAsync(connection, entry, child, state, cancellation);
                ended += state.Kind.Permits() ? 1 : 0;
            }
        }

        return ended;
    }

    private static bool CanEnd(ConsentState state) => !state.Purpose.IsFacet && (state.Kind.Permits() || state.Kind == EventKind.Requested);

    /// <summary>The id follows from what is ended, and by which erasure, so that a restored database ends it once.</summary>
    private async Task EndAsync(
        NpgsqlConnection connection, JournalEntry entry, SubscriberId subscriber, ConsentState state, CancellationToken cancellation)
    {
        var at = state.Since >= entry.At ? state.Since.AddMicroseconds(1) : entry.At;
        await ledger.AppendAsync(
            connection,
            new ConsentEvent
            {
                SubscriberId = subscriber,
                Id = EventId.Of(keys.EventIdKey, at, Encoding.ASCII.GetBytes($"erasure {entry.EventId:D} {subscriber} {state.EventId}")),
                Purpose = state.Purpose,
                Kind = EventKind.Revoked,
                Basis = state.Basis,
                Source = SourceKind.System,
                OccurredAt = at,
                RecordedAt = subscriber == entry.Subscriber ? entry.At : Instant.Of(clock.GetUtcNow()),
                Evidence = subscriber == entry.Subscriber ? null : GuardianErased,
            },
            address: null,
            cancellation);
    }

    internal static byte[] ReasonPlace(SubscriberId subscriber) => SealedPlace.Of("erasure", subscriber.Value);

    private sealed record Row(Guid ErasureId, DateTimeOffset RequestedAt, DateTimeOffset? CompletedAt, long EventsErased, bool KeptForChild, byte[]? Hold);
}

/// <summary>What became of an erasure.</summary>
/// <param name="Subscriber">Whose.</param>
/// <param name="EventsErased">How many events went; those by which the erasure itself ended what permitted do not count.</param>
/// <param name="Hold">Why nothing went yet: the reason of the legal hold that stands; null where none does.</param>
public sealed record ErasureOutcome(SubscriberId Subscriber, long EventsErased, string? Hold)
{
    /// <summary>How many consents ended that the person gave as the guardian of a child.</summary>
    public int ChildrensConsentsEnded { get; init; }

    /// <summary>True if what a child's records say of the person stays until those are free of a legal hold or a restriction.</summary>
    public bool IsKeptForAChild { get; init; }
}
