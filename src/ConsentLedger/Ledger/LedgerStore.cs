using System.Runtime.CompilerServices;
using ConsentLedger.Database;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Npgsql;
using NpgsqlTypes;

namespace ConsentLedger.Ledger;

/// <summary>The ledger in the database. Nothing else inserts into <c>consent_event</c>.</summary>
public sealed partial class LedgerStore : IAsyncDisposable
{
    private readonly LedgerDatabase database;
    private readonly Sealer sealer;
    private readonly SubscriberIds subscribers;
    private readonly LedgerMetrics metrics;
    private readonly SharedRoundTrips<LedgerRow, Task<Written>> appends;

    /// <summary>Opens it on the service's connections.</summary>
    public LedgerStore(LedgerDatabase database, Sealer sealer, SubscriberIds subscribers, LedgerMetrics metrics)
    {
        this.database = database;
        this.sealer = sealer;
        this.subscribers = subscribers;
        this.metrics = metrics;
        appends = new SharedRoundTrips<LedgerRow, Task<Written>>(MaxCommits, MaxTogether, MaxWaiting, WriteTogetherAsync);
    }

    /// <summary>
    /// Events, evidence, outbox and states in one statement: all of it is durable when this commits, and none of it
    /// before; a crash leaves the whole or nothing. Repeated with the same ids it writes nothing, so it may be retried.
    /// An event that forbids is queued for the journal as well, from which a restored database learns of it. A state row
    /// is only replaced by an event that beats it, so arrival order never matters. A subscriber's row is
    /// locked and not changed where it exists, so that no purge takes the address while an event for it arrives.
    ///
    /// Seventeen arrays, one element an event; no two events of one subscriber, since a statement can't touch a state
    /// twice. Answers a row an event, in their order: whether it was appended, and whether the state follows from it.
    /// </summary>
    public const string AppendSql = $"""
        with asked as materialized (
            select *
            from unnest(
                $1::uuid[], $2::uuid[], $3::integer[], $4::text[], $5::text[], $6::integer[], $7::text[],
                $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::bytea[], $12::bytea[], $13::bytea[],
                $14::bytea[], $15::bytea[], $16::bytea[], $17::uuid[]) with ordinality as asked (
                subscriber_id, event_id, purpose_id, kind, basis, notice_version, source_kind,
                occurred_at, recorded_at, expires_at, evidence_digest, commitment, opening,
                address, sealed, evidence_opening, guardian_id, n)
        ),
        appended as (
            insert into consent_event (
                subscriber_id, event_id, purpose_id, kind, basis, notice_version, source_kind,
                occurred_at, recorded_at, expires_at, evidence_digest, commitment, opening)
            select
                subscriber_id, event_id, purpose_id, kind::event_kind, basis::lawful_basis, notice_version, source_kind::source_kind,
                occurred_at, recorded_at, expires_at, evidence_digest, commitment, opening
            from asked
            on conflict (subscriber_id, event_id) do nothing
            returning subscriber_id, event_id, purpose_id, kind, basis, occurred_at, recorded_at, expires_at, commitment
        ),
        known as (
            insert into subscriber (subscriber_id, address, recorded_at)
            select subscriber_id, asked.address, appended.recorded_at
            from appended join asked using (subscriber_id)
            where asked.address is not null
            on conflict (subscriber_id) do update set recorded_at = subscriber.recorded_at where false
        ),
        kept as (
            insert into evidence (subscriber_id, event_id, purpose_id, occurred_at, sealed, opening, guardian_id)
            select
                subscriber_id, appended.event_id, appended.purpose_id, appended.occurred_at, asked.sealed, asked.evidence_opening, asked.guardian_id
            from appended join asked using (subscriber_id)
            where asked.sealed is not null
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
            select subscriber_id, purpose_id, kind, basis, occurred_at, expires_at, event_id from appended
            on conflict (subscriber_id, purpose_id) do update
            set kind = excluded.kind, basis = excluded.basis, occurred_at = excluded.occurred_at,
                expires_at = excluded.expires_at, event_id = excluded.event_id
            where (excluded.occurred_at, excluded.kind, excluded.event_id) > (state.occurred_at, state.kind, state.event_id)
            returning subscriber_id
        )
        select appended.subscriber_id is not null, projected.subscriber_id is not null
        from asked left join appended using (subscriber_id) left join projected using (subscriber_id)
        order by n
        """;

    private const string EventColumns = """
        event.event_id, event.purpose_id, event.kind::text, event.basis::text, event.notice_version,
        event.source_kind::text, event.occurred_at, event.recorded_at, event.expires_at, evidence.sealed,
        event.evidence_digest is not null and evidence.sealed is null
        """;

    /// <summary>
    /// Appends an event. <paramref name="address"/> is kept, sealed, if the subscriber is not known yet; an event that
    /// comes from a link has none. Whatever this returns but a conflict, the event is durable.
    /// </summary>
    public async Task<AppendOutcome> AppendAsync(ConsentEvent @event, Address? address, CancellationToken cancellation)
    {
        var (appended, projected) = await appends.AskAsync(LedgerRow.Of(@event, address, sealer, subscribers), cancellation).Unwrap().WaitAsync(cancellation);
        if (appended)
        {
            metrics.Appended(@event.Kind, 1);
            return projected ? AppendOutcome.Appended : AppendOutcome.AppendedAsHistory;
        }

        // Either the same event came again (a retry whose first answer was lost counts as that too) or another one
        // carries its id. The first one stays as it is in both cases.
        var first = await FindAsync(@event.SubscriberId, @event.Id, cancellation);
        return first is null || first.SaysTheSameAs(@event) ? AppendOutcome.AlreadyThere : AppendOutcome.Conflict;
    }

    /// <summary>One event with its evidence, or null.</summary>
    public async Task<ConsentEvent?> FindAsync(SubscriberId subscriber, EventId id, CancellationToken cancellation)
    {
        const string Sql = $"""
            select {EventColumns}
            from consent_event event left join evidence using (subscriber_id, event_id)
            where event.subscriber_id = $1 and event.event_id = $2
            """;
        return (await ReadEventsAsync(Sql, subscriber, [Value(id.Value)], cancellation)).SingleOrDefault();
    }

    /// <summary>
    /// A page of a subscriber's history, newest first: the events older than <paramref name="after"/>, at most
    /// <paramref name="limit"/>, of these purposes only if any are named.
    /// </summary>
    public async Task<IReadOnlyList<ConsentEvent>> ReadHistoryAsync(
        SubscriberId subscriber, IReadOnlyList<PurposeId>? purposes, (DateTimeOffset OccurredAt, EventId Id)? after, int limit,
        CancellationToken cancellation)
    {
        const string Sql = $"""
            select {EventColumns}
            from consent_event event left join evidence using (subscriber_id, event_id)
            where event.subscriber_id = $1 and (event.occurred_at, event.event_id) < ($2, $3)
                and ($5::integer[] is null or event.purpose_id = any ($5))
            order by event.occurred_at desc, event.event_id desc
            limit $4
            """;
        var (occurredAt, id) = after ?? (DateTimeOffset.MaxValue, new EventId(Guid.AllBitsSet));
        return await ReadEventsAsync(Sql, subscriber, [Value(occurredAt.UtcDateTime), Value(id.Value), Value(limit), new NpgsqlParameter { NpgsqlDbType = NpgsqlDbType.Array | NpgsqlDbType.Integer, Value = purposes?.Select(purpose => purpose.Value).ToArray() ?? (object)DBNull.Value }], cancellation);
    }

    /// <summary>
    /// A subscriber's whole history, newest first, as the connection's transaction sees it; one event at a time, so that a
    /// long one takes no more memory than a short one.
    /// </summary>
    public async IAsyncEnumerable<ConsentEvent> ReadAllAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const string Sql = $"""
            select {EventColumns}
            from consent_event event left join evidence using (subscriber_id, event_id)
            where event.subscriber_id = $1
            order by event.occurred_at desc, event.event_id desc
            """;
        await using var command = new NpgsqlCommand(Sql, connection);
        command.Parameters.Add(Value(subscriber.Value));
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            yield return ReadEvent(reader, subscriber);
        }
    }

    /// <summary>Every state of a subscriber, the facets at <c>*</c> among them: one index range.</summary>
    public async Task<IReadOnlyList<ConsentState>> ReadStatesAsync(SubscriberId subscriber, CancellationToken cancellation)
    {
        const string Sql = """
            select purpose_id, kind::text, basis::text, occurred_at, expires_at, event_id
            from consent_state
            where subscriber_id = $1
            order by purpose_id
            """;
        return await ReadStatesAsync(Sql, subscriber, [], cancellation);
    }

    /// <summary>
    /// What was known of a subscriber for a purpose at <paramref name="asOf"/>: folded from the events recorded by then,
    /// and from what purged refusals left behind.
    /// </summary>
    public async Task<SubscriberState> ReadStateAsOfAsync(
        SubscriberId subscriber, PurposeId purpose, DateTimeOffset asOf, CancellationToken cancellation)
    {
        const string Sql = """
            select distinct on (purpose_id) purpose_id, kind::text, basis::text, occurred_at, expires_at, event_id
            from (
                select purpose_id, kind, basis, occurred_at, expires_at, event_id
                from consent_event
                where subscriber_id = $1 and (purpose_id = $2 or purpose_id <= 0) and recorded_at <= $3
                union all
                select purpose_id, kind, basis, occurred_at, null, event_id
                from suppression
                where subscriber_id = $1 and (purpose_id = $2 or purpose_id <= 0) and occurred_at <= $3
            ) history (purpose_id, kind, basis, occurred_at, expires_at, event_id)
            order by purpose_id, occurred_at desc, history.kind desc, event_id desc
            """;
        var states = await ReadStatesAsync(Sql, subscriber, [Value(purpose.Value), Value(asOf.UtcDateTime)], cancellation);
        return SubscriberState.Of(states, purpose);
    }

    /// <summary>
    /// The address of a subscriber as it was first given, or null if it is not kept (any more), and whether a legal
    /// hold keeps what there is.
    /// </summary>
    public Task<(Address? Address, bool Held)> FindSubscriberAsync(SubscriberId subscriber, CancellationToken cancellation) =>
        Reading(
            """
            select (select address from subscriber where subscriber_id = $1),
                   exists (select from legal_hold where subscriber_id = $1)
            """,
            [Value(subscriber.Value)],
            async (reader, token) =>
            {
                await reader.ReadAsync(token);
                var address = reader.IsDBNull(0) ? null : LedgerRow.OpenAddress(reader.GetFieldValue<byte[]>(0), subscriber, sealer);
                return (address, reader.GetBoolean(1));
            },
            cancellation);

    /// <summary>One state from a row of purpose_id, kind, basis, occurred_at, expires_at, event_id, from this column on.</summary>
    public static ConsentState ReadState(NpgsqlDataReader reader, int column = 0) => new(
        new PurposeId(reader.GetInt32(column)),
        Label<EventKind>.Parse(reader.GetString(column + 1)),
        reader.IsDBNull(column + 2) ? null : Label<LawfulBasis>.Parse(reader.GetString(column + 2)),
        reader.GetFieldValue<DateTimeOffset>(column + 3),
        reader.IsDBNull(column + 4) ? null : reader.GetFieldValue<DateTimeOffset>(column + 4),
        new EventId(reader.GetGuid(column + 5)));

    private Task<IReadOnlyList<ConsentState>> ReadStatesAsync(
        string sql, SubscriberId subscriber, NpgsqlParameter[] more, CancellationToken cancellation) =>
        Reading<IReadOnlyList<ConsentState>>(
            sql,
            [Value(subscriber.Value), .. more],
            async (reader, token) =>
            {
                var states = new List<ConsentState>();
                while (await reader.ReadAsync(token))
                {
                    states.Add(ReadState(reader));
                }

                return states;
            },
            cancellation);

    private Task<IReadOnlyList<ConsentEvent>> ReadEventsAsync(
        string sql, SubscriberId subscriber, NpgsqlParameter[] more, CancellationToken cancellation) =>
        Reading<IReadOnlyList<ConsentEvent>>(
            sql,
            [Value(subscriber.Value), .. more],
            async (reader, token) =>
            {
                var events = new List<ConsentEvent>();
                while (await reader.ReadAsync(token))
                {
                    events.Add(ReadEvent(reader, subscriber));
                }

                return events;
            },
            cancellation);

    private ConsentEvent ReadEvent(NpgsqlDataReader reader, SubscriberId subscriber)
    {
        var id = new EventId(reader.GetGuid(0));
        return new ConsentEvent
        {
            SubscriberId = subscriber,
            Id = id,
            Purpose = new PurposeId(reader.GetInt32(1)),
            Kind = Label<EventKind>.Parse(reader.GetString(2)),
            Basis = reader.IsDBNull(3) ? null : Label<LawfulBasis>.Parse(reader.GetString(3)),
            NoticeVersion = reader.IsDBNull(4) ? null : reader.GetInt32(4),
            Source = Label<SourceKind>.Parse(reader.GetString(5)),
            OccurredAt = reader.GetFieldValue<DateTimeOffset>(6),
            RecordedAt = reader.GetFieldValue<DateTimeOffset>(7),
            ExpiresAt = reader.IsDBNull(8) ? null : reader.GetFieldValue<DateTimeOffset>(8),
            Evidence = reader.IsDBNull(9) ? null : LedgerRow.OpenEvidence(reader.GetFieldValue<byte[]>(9), subscriber, id, sealer),
            EvidenceWasPurged = reader.GetBoolean(10),
        };
    }

    private Task<T> Reading<T>(
        string sql,
        NpgsqlParameter[] parameters,
        Func<NpgsqlDataReader, CancellationToken, Task<T>> read,
        CancellationToken cancellation) =>
        DatabaseResilience.Repeatable.ExecuteAsync(
            async token =>
            {
                await using var command = database.Service.CreateCommand(sql);
                foreach (var parameter in parameters)
                {
                    command.Parameters.Add(parameter.Clone());
                }

                await using var reader = await command.ExecuteReaderAsync(token);
                return await read(reader, token);
            },
            cancellation).AsTask();

    private static NpgsqlParameter<T> Value<T>(T value) => new() { TypedValue = value };
}

/// <summary>What became of an append.</summary>
public enum AppendOutcome
{
    /// <summary>The event is in the ledger now, and durable, and the state follows from it.</summary>
    Appended,

    /// <summary>The event is in the ledger now, and durable; the state follows from another that beats it.</summary>
    AppendedAsHistory,

    /// <summary>The same event was there already; nothing was written.</summary>
    AlreadyThere,

    /// <summary>Another event has this id; nothing was written.</summary>
    Conflict,
}
