using ConsentLedger.Database;
using ConsentLedger.Subscribers;
using Npgsql;

namespace ConsentLedger.Ledger;

/// <summary>
/// Appends any number of events. They are staged first, all of them, in a table that only this connection sees and
/// that the server drops with it; then they are applied in batches of whole subscribers. Each batch is a transaction
/// of its own, so that an unsubscribe of one of its subscribers waits a moment and not for the whole list.
/// </summary>
/// <remarks>
/// What is durable: nothing before <see cref="ApplyAsync"/>, then one batch after the other. A crash leaves whole
/// events with their state, evidence and outbox rows, and no staged rows. Doing it all again completes it: what is in
/// the ledger is passed over by its primary key, and so is the same event from a second list at the same time.
/// </remarks>
public sealed class BulkAppend : IAsyncDisposable
{
    /// <summary>How many rows a batch has; more only where one subscriber has more.</summary>
    public const int BatchRows = 10_000;

    /// <summary>
    /// Held shared by every batch until it commits. Whoever takes it alone, as an erasure does to make itself known, knows
    /// that each batch has either committed or will see it.
    /// </summary>
    internal const long AdvisoryLock = 0x434C_494D_504F;

    private const int Attempts = 5;

    private readonly NpgsqlConnection session;
    private readonly LedgerMetrics metrics;

    private BulkAppend(NpgsqlConnection session, LedgerMetrics metrics)
    {
        this.session = session;
        this.metrics = metrics;
    }

    /// <summary>How many rows are staged.</summary>
    public long Staged { get; private set; }

    /// <summary>Opens a session with an empty stage.</summary>
    public static async Task<BulkAppend> OpenAsync(LedgerDatabase database, LedgerMetrics metrics, CancellationToken cancellation)
    {
        // A batch is sorted and held in memory: more of it than the server gives each of many sessions. The ledger is
        // looked up row by row, by primary key: a batch is small, the ledger may be huge, and a merge or a hash of the
        // two would read the range between. Each batch is planned with its own values, so that the lines held back are
        // hashed and not searched one by one.
        const string Sql = """
            set work_mem = '64MB';
            set temp_buffers = '64MB';
            set jit = off;
            set enable_seqscan = off;
            set enable_hashjoin = off;
            set enable_mergejoin = off;
            set plan_cache_mode = force_custom_plan;
            create temporary table staged (
                line             bigint       not null,
                subscriber_id    uuid         not null,
                event_id         uuid         not null,
                purpose_id       integer      not null,
                kind             event_kind   not null,
                basis            lawful_basis,
                notice_version   integer,
                source_kind      source_kind  not null,
                occurred_at      timestamptz  not null,
                recorded_at      timestamptz  not null,
                expires_at       timestamptz,
                evidence_digest  bytea,
                commitment       bytea        not null,
                opening          bytea        not null,
                address          bytea,
                evidence         bytea,
                evidence_opening bytea,
                guardian_id      uuid)
            """;
        var session = database.OpenSession();
        try
        {
            await session.OpenAsync(cancellation);
            database.GiveWay(session);
            await using var create = new NpgsqlCommand(Sql, session);
            await create.ExecuteNonQueryAsync(cancellation);
            return new BulkAppend(session, metrics);
        }
        catch
        {
            await session.DisposeAsync();
            throw;
        }
    }

    /// <summary>
    /// Stages some rows, in the order of their lines. No transaction is open between two calls, so a list that trickles
    /// in holds nothing up.
    /// </summary>
    public async Task StageAsync(CopyRows rows, CancellationToken cancellation)
    {
        // To dispose of it is to complete it. One that is cut short ends with the session, which rolls it back.
        var copy = await session.BeginRawBinaryCopyAsync("copy staged from stdin (format binary)", cancellation);
        await copy.WriteAsync(rows.End(), cancellation);
        await copy.DisposeAsync();
        Staged += rows.Count;
    }

    /// <summary>Adds a row to those that are staged next.</summary>
    /// <param name="rows">To which it is added.</param>
    /// <param name="line">The line of the list that it is on; no two rows have the same.</param>
    /// <param name="row">The event.</param>
    public static void Add(CopyRows rows, long line, LedgerRow row)
    {
        rows.Begin(LedgerRow.Fields + 1);
        rows.Write(line);
        row.WriteTo(rows);
    }

    /// <summary>Appends what is staged and not in the ledger yet.</summary>
    /// <param name="allowResubscribe">True to append also what <see cref="Resubscription"/> holds back.</param>
    /// <param name="dryRun">True to append nothing and only count.</param>
    /// <param name="heldBack">Told each line that is held back; not in their order.</param>
    /// <param name="cancellation">Stops between two batches, or rolls one back.</param>
    /// <returns>How many events were appended. The rest of what was staged, less what was held back, was there already.</returns>
    public async Task<long> ApplyAsync(bool allowResubscribe, bool dryRun, Action<long> heldBack, CancellationToken cancellation)
    {
        await ExecuteAsync("create index on staged (subscriber_id, event_id, line); analyze staged", cancellation);
        long appended = 0;
        for (var after = Guid.Empty; after != Guid.AllBitsSet;)
        {
            var until = await FindBatchEndAsync(after, cancellation);
            var (count, held) = await RepeatAsync(after, until, allowResubscribe, dryRun, cancellation);
            appended += count;
            held.ForEach(heldBack);
            after = until;
        }

        return appended;
    }

    /// <inheritdoc />
    public ValueTask DisposeAsync() => session.DisposeAsync();

    private async Task<Guid> FindBatchEndAsync(Guid after, CancellationToken cancellation)
    {
        const string Sql = "select subscriber_id from staged where subscriber_id > $1 order by subscriber_id offset $2 limit 1";
        await using var find = Command(Sql, after);
        find.Parameters.Add(new NpgsqlParameter<int> { TypedValue = BatchRows - 1 });
        return await find.ExecuteScalarAsync(cancellation) is Guid last ? last : Guid.AllBitsSet;
    }

    /// <summary>Rows are always written in one order; where two lists meet all the same, one of them has to try again.</summary>
    private async Task<(long Appended, List<long> HeldBack)> RepeatAsync(
        Guid after, Guid until, bool allowResubscribe, bool dryRun, CancellationToken cancellation)
    {
        for (var attempt = 1; ; attempt++)
        {
            try
            {
                return await ApplyBatchAsync(after, until, allowResubscribe, dryRun, cancellation);
            }
            catch (PostgresException deadlock) when (deadlock.SqlState == PostgresErrorCodes.DeadlockDetected && attempt < Attempts)
            {
                // The transaction is rolled back and has left nothing.
            }
        }
    }

    private async Task<(long Appended, List<long> HeldBack)> ApplyBatchAsync(
        Guid after, Guid until, bool allowResubscribe, bool dryRun, CancellationToken cancellation)
    {
        await using var transaction = await session.BeginTransactionAsync(cancellation);
        List<long> held = [];
        if (!dryRun)
        {
            await ExecuteAsync($"select pg_advisory_xact_lock_shared({AdvisoryLock})", cancellation);
        }

        if (!allowResubscribe)
        {
            // A withdrawal that comes in meanwhile waits at its state's row, or this waits for it and sees it. For a
            // subscriber without one both are newcomers, and the newer wins as ever.
            if (!dryRun)
            {
                await LockStatesAsync(after, until, cancellation);
            }

            held = await FindHeldBackAsync(after, until, cancellation);
        }

        if (dryRun)
        {
            return (await CountAsync(after, until, held, cancellation), held);
        }

        var counts = await AppendAsync(after, until, held, cancellation);
        await transaction.CommitAsync(cancellation);
        foreach (var (kind, count) in counts)
        {
            metrics.Appended(kind, count);
        }

        return (counts.Sum(pair => pair.Count), held);
    }

    private async Task LockStatesAsync(Guid after, Guid until, CancellationToken cancellation)
    {
        const string Sql = """
            select count(*) from (
                select from (select distinct subscriber_id from staged where subscriber_id > $1 and subscriber_id <= $2) batch
                join consent_state state using (subscriber_id)
                order by state.subscriber_id, state.purpose_id
                for update of state
            ) locked
            """;
        await using var command = Command(Sql, after, until);
        await command.ExecuteNonQueryAsync(cancellation);
    }

    /// <summary>
    /// Only subscribers that some row permits, and that some row or their state refuses, are looked at one by one; that
    /// is few in most lists, and never more than a batch. A request may hide a refusal, so it counts as one here.
    /// Of those who were erased, or whose erasure has begun, every row is looked at.
    /// </summary>
    private async Task<List<long>> FindHeldBackAsync(Guid after, Guid until, CancellationToken cancellation)
    {
        const string Sql = """
            with contested as materialized (
                select subscriber_id
                from staged
                where subscriber_id > $1 and subscriber_id <= $2
                group by subscriber_id
                having bool_or(kind in ('given', 'renewed', 'permitted'))
                    and (bool_or(kind in ('refused', 'withdrawn', 'revoked', 'objected'))
                        or exists (
                            select from consent_state state
                            where state.subscriber_id = staged.subscriber_id
                                and state.kind in ('requested', 'refused', 'withdrawn', 'revoked', 'objected')))
                    or exists (select from erasure where erasure.subscriber_id = staged.subscriber_id)
            )
            select subscriber_id, 0::bigint as line, purpose_id, kind::text, basis::text, occurred_at, expires_at, event_id
            from contested join consent_event using (subscriber_id)
            union all
            select subscriber_id, 0, purpose_id, kind::text, basis::text, occurred_at, null, event_id
            from contested join suppression using (subscriber_id)
            union all
            select subscriber_id, 0, 0, 'revoked', null, requested_at, null, erasure_id
            from contested join erasure using (subscriber_id)
            union all
            select subscriber_id, line, purpose_id, kind::text, basis::text, occurred_at, expires_at, event_id
            from contested join staged using (subscriber_id)
            order by subscriber_id, line
            """;
        List<long> held = [];
        List<ConsentState> history = [];
        List<ListedEvent> rows = [];
        var subscriber = default(SubscriberId);
        await using var command = Command(Sql, after, until);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            var next = new SubscriberId(reader.GetGuid(0));
            if (next != subscriber)
            {
                held.AddRange(Resubscription.HeldBack(history, rows));
                (subscriber, history, rows) = (next, [], []);
            }

            var state = LedgerStore.ReadState(reader, 2);
            if (reader.GetInt64(1) is var line and > 0)
            {
                rows.Add(new ListedEvent(line, state));
            }
            else
            {
                history.Add(state);
            }
        }

        held.AddRange(Resubscription.HeldBack(history, rows));
        return held;
    }

    private async Task<long> CountAsync(Guid after, Guid until, List<long> held, CancellationToken cancellation)
    {
        const string Sql = """
            select count(distinct (subscriber_id, event_id))
            from staged
            where subscriber_id > $1 and subscriber_id <= $2
                and line <> all ($3)
                and not exists (
                    select from consent_event event
                    where event.subscriber_id = staged.subscriber_id and event.event_id = staged.event_id)
            """;
        await using var command = Command(Sql, after, until, held);
        return (long)(await command.ExecuteScalarAsync(cancellation))!;
    }

    /// <summary>
    /// The append of <see cref="LedgerStore"/>, for a batch: the same tables in the same order, the same rule of
    /// precedence. Where another import of the same row is faster by a moment, the row's address and evidence are that
    /// import's, and it alone gives the event its place in the outbox and the state.
    /// </summary>
    private async Task<List<(EventKind Kind, long Count)>> AppendAsync(Guid after, Guid until, List<long> held, CancellationToken cancellation)
    {
        const string Sql = $"""
            with fresh as materialized (
                select distinct on (subscriber_id, event_id) *
                from staged
                where subscriber_id > $1 and subscriber_id <= $2
                    and line <> all ($3)
                    and not exists (
                        select from consent_event event
                        where event.subscriber_id = staged.subscriber_id and event.event_id = staged.event_id)
                order by subscriber_id, event_id, line
            ),
            appended as (
                insert into consent_event (
                    subscriber_id, event_id, purpose_id, kind, basis, notice_version, source_kind,
                    occurred_at, recorded_at, expires_at, evidence_digest, commitment, opening)
                select
                    subscriber_id, event_id, purpose_id, kind, basis, notice_version, source_kind,
                    occurred_at, recorded_at, expires_at, evidence_digest, commitment, opening
                from fresh
                on conflict (subscriber_id, event_id) do nothing
                returning subscriber_id, event_id, purpose_id, kind, basis, occurred_at, recorded_at, expires_at, commitment
            ),
            known as (
                insert into subscriber (subscriber_id, address, recorded_at)
                select distinct on (subscriber_id) subscriber_id, address, recorded_at
                from fresh
                where address is not null
                order by subscriber_id, line
                on conflict (subscriber_id) do update set recorded_at = subscriber.recorded_at where false
            ),
            kept as (
                insert into evidence (subscriber_id, event_id, purpose_id, occurred_at, sealed, opening, guardian_id)
                select subscriber_id, event_id, purpose_id, occurred_at, evidence, evidence_opening, guardian_id
                from fresh
                where evidence is not null
                on conflict (subscriber_id, event_id) do nothing
            ),
            queued as (
                insert into outbox (subscriber_id, event_id, purpose_id, kind, occurred_at, recorded_at, commitment)
                select subscriber_id, event_id, purpose_id, kind, occurred_at, recorded_at, commitment from appended
                on conflict (subscriber_id, event_id) do update set recorded_at = excluded.recorded_at, commitment = excluded.commitment
            ),
            journalled as (
                insert into journal_queue (subscriber_id, event_id, purpose_id, kind, occurred_at)
                select subscriber_id, event_id, purpose_id, kind, occurred_at from appended where kind in {Forbidding.Kinds}
                on conflict do nothing
            ),
            projected as (
                insert into consent_state as state (subscriber_id, purpose_id, kind, basis, occurred_at, expires_at, event_id)
                select distinct on (subscriber_id, purpose_id)
                    subscriber_id, purpose_id, kind, basis, occurred_at, expires_at, event_id
                from appended
                order by subscriber_id, purpose_id, occurred_at desc, kind desc, event_id desc
                on conflict (subscriber_id, purpose_id) do update
                set kind = excluded.kind, basis = excluded.basis, occurred_at = excluded.occurred_at,
                    expires_at = excluded.expires_at, event_id = excluded.event_id
                where (excluded.occurred_at, excluded.kind, excluded.event_id) > (state.occurred_at, state.kind, state.event_id)
            )
            select kind::text, count(*) from appended group by kind
            """;
        List<(EventKind, long)> counts = [];
        await using var command = Command(Sql, after, until, held);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            counts.Add((Label<EventKind>.Parse(reader.GetString(0)), reader.GetInt64(1)));
        }

        return counts;
    }

    private NpgsqlCommand Command(string sql, Guid after, Guid? until = null, List<long>? held = null)
    {
        var command = new NpgsqlCommand(sql, session) { CommandTimeout = 0 };
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = after });
        if (until is { } last)
        {
            command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = last });
        }

        if (held is not null)
        {
            command.Parameters.Add(new NpgsqlParameter<long[]> { TypedValue = [.. held] });
        }

        return command;
    }

    private async Task ExecuteAsync(string sql, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(sql, session) { CommandTimeout = 0 };
        await command.ExecuteNonQueryAsync(cancellation);
    }
}
