using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Npgsql;

namespace ConsentLedger.Ledger;

/// <content>The <c>expired</c> events that the service itself appends.</content>
public sealed partial class LedgerStore
{
    /// <summary>
    /// As the append statement, but only while the state is the very one that ran out ($18), whose row it locks first:
    /// a renewal that came before it is seen, and nothing is appended. One that comes after it and happened before the
    /// expiry wins all the same, because an expired event is dated when the consent was that it closes: the tie closes
    /// that one, and none that is newer. An expired event has neither address nor evidence.
    /// </summary>
    private const string ExpireSql = """
        with ran_out as materialized (
            select from consent_state
            where subscriber_id = $1 and purpose_id = $3 and event_id = $18 and expires_at = $10
            for update
        ),
        appended as (
            insert into consent_event (
                subscriber_id, event_id, purpose_id, kind, basis, notice_version, source_kind,
                occurred_at, recorded_at, expires_at, evidence_digest, commitment, opening)
            select $1, $2, $3, $4::event_kind, $5::lawful_basis, $6, $7::source_kind, $8, $9, $10, $11, $12, $13 from ran_out
            on conflict (subscriber_id, event_id) do nothing
            returning subscriber_id, event_id, purpose_id, kind, basis, occurred_at, recorded_at, expires_at, commitment
        ),
        queued as (
            insert into outbox (subscriber_id, event_id, purpose_id, kind, occurred_at, recorded_at, commitment)
            select subscriber_id, event_id, purpose_id, kind, occurred_at, recorded_at, commitment from appended
            on conflict (subscriber_id, event_id) do update set recorded_at = excluded.recorded_at, commitment = excluded.commitment
        ),
        projected as (
            insert into consent_state as state (subscriber_id, purpose_id, kind, basis, occurred_at, expires_at, event_id)
            select subscriber_id, purpose_id, kind, basis, occurred_at, expires_at, event_id from appended
            on conflict (subscriber_id, purpose_id) do update
            set kind = excluded.kind, basis = excluded.basis, occurred_at = excluded.occurred_at,
                expires_at = excluded.expires_at, event_id = excluded.event_id
            where (excluded.occurred_at, excluded.kind, excluded.event_id) > (state.occurred_at, state.kind, state.event_id)
        )
        select exists (select from appended)
        """;

    /// <summary>
    /// Appends an <c>expired</c> event for each of these states that is still the one that ran out, and returns how many
    /// were appended. Part of the caller's transaction: durable when that commits, and not before. Its id follows from
    /// the state, so that a retry and a second instance append nothing again. Give them in the order of subscribers, so
    /// that two callers can't lock each other out.
    /// </summary>
    /// <param name="connection">A connection as consentledger_service, in a transaction.</param>
    /// <param name="ranOut">States that permit and whose expiry has passed.</param>
    /// <param name="eventIdKey">The key under which content becomes event ids.</param>
    /// <param name="now">When it is recorded.</param>
    /// <param name="cancellation">Ends the wait.</param>
    public async Task<int> AppendExpiredAsync(
        NpgsqlConnection connection, IEnumerable<(SubscriberId Subscriber, ConsentState State)> ranOut, byte[] eventIdKey,
        DateTimeOffset now, CancellationToken cancellation)
    {
        await using var batch = new NpgsqlBatch(connection);
        foreach (var (subscriber, state) in ranOut)
        {
            var command = new NpgsqlBatchCommand(ExpireSql);
            LedgerRow.Of(ExpiryOf(subscriber, state, eventIdKey, now), address: null, sealer, subscribers).AddTo(command.Parameters);
            command.Parameters.Add(Value(state.EventId.Value));
            batch.BatchCommands.Add(command);
        }

        if (batch.BatchCommands.Count == 0)
        {
            return 0;
        }

        var appended = 0;
        await using var reader = await batch.ExecuteReaderAsync(cancellation);
        do
        {
            await reader.ReadAsync(cancellation);
            appended += reader.GetBoolean(0) ? 1 : 0;
        }
        while (await reader.NextResultAsync(cancellation));
        return appended;
    }

    private static ConsentEvent ExpiryOf(SubscriberId subscriber, ConsentState state, byte[] eventIdKey, DateTimeOffset now)
    {
        var expiry = state.ExpiresAt ?? throw new ArgumentException("A permission without an expiry does not run out.", nameof(state));
        var content = CanonicalJson.Write(new Dictionary<string, object?>(4)
        {
            ["expired"] = state.EventId.ToString(),
            ["expiresAt"] = Database.Instant.Format(expiry),
            ["purposeId"] = state.Purpose.Value,
            ["subscriberId"] = subscriber.ToString(),
        });
        return new ConsentEvent
        {
            SubscriberId = subscriber,
            Id = Ledger.EventId.Of(eventIdKey, expiry, content),
            Purpose = state.Purpose,
            Kind = EventKind.Expired,
            Basis = state.Basis,
            Source = SourceKind.System,
            OccurredAt = state.Since,
            RecordedAt = now,
            ExpiresAt = expiry,
        };
    }
}
