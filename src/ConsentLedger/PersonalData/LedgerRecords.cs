using System.Runtime.CompilerServices;
using System.Text;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.PersonalData;

/// <summary>The address itself.</summary>
internal sealed class AddressRecords(Sealer sealer) : IPersonalRecords
{
    public string Name => "addresses";

    public IReadOnlyList<string> Columns => ["subscriber.address"];

    public IReadOnlyList<string> Fields => ["address", "recordedAt"];

    public async IAsyncEnumerable<object> ReadAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const string Sql = "select address, recorded_at from subscriber where subscriber_id = @Value";
        await foreach (var row in connection.QueryUnbufferedAsync<Row>(Sql, new { subscriber.Value }).WithCancellation(cancellation))
        {
            yield return new AddressRecord(LedgerRow.OpenAddress(row.Address, subscriber, sealer).Given, row.RecordedAt);
        }
    }

    private sealed record Row(byte[] Address, DateTimeOffset RecordedAt);
}

/// <summary>The address, as it was first given.</summary>
/// <param name="Address">The address.</param>
/// <param name="RecordedAt">When it was first recorded.</param>
public sealed record AddressRecord(string Address, DateTimeOffset RecordedAt);

/// <summary>How the person stands for each purpose, and for all (<c>*</c>).</summary>
internal sealed class StateRecords(PurposeCatalogue purposes, TimeProvider clock) : IPersonalRecords
{
    public string Name => "states";

    public IReadOnlyList<string> Columns => [];

    public IReadOnlyList<string> Fields => ["purpose", "status", "basis", "since", "expiresAt", "eventId"];

    public async IAsyncEnumerable<object> ReadAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const string Sql = """
            select purpose_id, kind::text, basis::text, occurred_at, expires_at, event_id
            from consent_state
            where subscriber_id = $1
            order by purpose_id desc
            """;
        var keys = await purposes.KeysAsync(cancellation);
        var now = clock.GetUtcNow();
        await using var command = new NpgsqlCommand(Sql, connection);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = subscriber.Value });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            var state = LedgerStore.ReadState(reader);
            yield return StateView.Of(state, keys.Of(state.Purpose), now);
        }
    }
}

/// <summary>What happened, newest first, each with the exact wording the person was shown and the evidence, opened.</summary>
internal sealed class EventRecords(LedgerStore ledger, PurposeCatalogue purposes) : IPersonalRecords
{
    public string Name => "events";

    public IReadOnlyList<string> Columns =>
        ["evidence.sealed", "notice.statement", "notice.language", "notice.privacy_notice_url"];

    public IReadOnlyList<string> Fields =>
    [
        "occurredAt", "purpose", "kind", "basis", "source.kind", "source.reference", "source.url", "notice.version", "notice.language",
        "notice.statement", "notice.privacyNoticeUrl", "expiresAt", "evidence", "guardian", "recordedAt", "id",
    ];

    public async IAsyncEnumerable<object> ReadAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var keys = await purposes.KeysAsync(cancellation);
        var shown = await connection.QueryAsync<(int Purpose, int Version)>(new CommandDefinition(
            "select distinct purpose_id, notice_version from consent_event where subscriber_id = @Value and notice_version is not null",
            new { subscriber.Value },
            cancellationToken: cancellation));
        var notices = await purposes.FindNoticesAsync(shown.Select(notice => (new PurposeId(notice.Purpose), notice.Version)), cancellation);
        await foreach (var @event in ledger.ReadAllAsync(connection, subscriber, cancellation))
        {
            var notice = @event.NoticeVersion is { } version ? notices.GetValueOrDefault((@event.Purpose, version)) : null;
            yield return EventView.Of(@event, keys.Of(@event.Purpose), notice);
        }
    }
}

/// <summary>What is kept of refusals whose events were deleted: that they were made, so that they stay in force.</summary>
internal sealed class SuppressionRecords(PurposeCatalogue purposes) : IPersonalRecords
{
    public string Name => "suppressions";

    public IReadOnlyList<string> Columns => [];

    public IReadOnlyList<string> Fields => ["purpose", "kind", "occurredAt", "keptAt", "eventId"];

    public async IAsyncEnumerable<object> ReadAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const string Sql = """
            select purpose_id, kind::text, occurred_at, kept_at, event_id
            from suppression
            where subscriber_id = @Value
            order by occurred_at desc, event_id
            """;
        var keys = await purposes.KeysAsync(cancellation);
        await foreach (var row in connection.QueryUnbufferedAsync<Row>(Sql, new { subscriber.Value }).WithCancellation(cancellation))
        {
            yield return new SuppressionRecord(
                keys.Of(new PurposeId(row.PurposeId)), Label<EventKind>.Parse(row.Kind), row.OccurredAt, row.KeptAt, new EventId(row.EventId));
        }
    }

    private sealed record Row(int PurposeId, string Kind, DateTimeOffset OccurredAt, DateTimeOffset KeptAt, Guid EventId);
}

/// <summary>What is left of an event that was deleted.</summary>
/// <param name="Purpose">The purpose's key, or <c>*</c>.</param>
/// <param name="Kind">What had happened.</param>
/// <param name="OccurredAt">When.</param>
/// <param name="KeptAt">When the event was deleted.</param>
/// <param name="EventId">The event that was deleted.</param>
public sealed record SuppressionRecord(string Purpose, EventKind Kind, DateTimeOffset OccurredAt, DateTimeOffset KeptAt, EventId EventId);

/// <summary>The legal hold, if one stands.</summary>
internal sealed class HoldRecords(Sealer sealer) : IPersonalRecords
{
    public string Name => "holds";

    public IReadOnlyList<string> Columns => ["legal_hold.reason"];

    public IReadOnlyList<string> Fields => ["reason", "placedAt"];

    public async IAsyncEnumerable<object> ReadAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const string Sql = "select reason, placed_at from legal_hold where subscriber_id = @Value";
        await foreach (var row in connection.QueryUnbufferedAsync<Row>(Sql, new { subscriber.Value }).WithCancellation(cancellation))
        {
            yield return new HoldRecord(LegalHold.OpenReason(row.Reason, subscriber, sealer), row.PlacedAt);
        }
    }

    private sealed record Row(byte[] Reason, DateTimeOffset PlacedAt);
}

/// <summary>A legal hold.</summary>
/// <param name="Reason">Why nothing may be deleted.</param>
/// <param name="PlacedAt">Since when.</param>
public sealed record HoldRecord(string Reason, DateTimeOffset PlacedAt);

/// <summary>What was deleted already, and by which rule; nothing of what it said.</summary>
internal sealed class PurgeRecords(PurposeCatalogue purposes) : IPersonalRecords
{
    public string Name => "deletions";

    public IReadOnlyList<string> Columns => [];

    public IReadOnlyList<string> Fields => ["rule", "purpose", "kind", "occurredAt", "purgedAt"];

    public async IAsyncEnumerable<object> ReadAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const string Sql = """
            select rule::text, purpose_id, kind::text, occurred_at, purged_at
            from purge_record
            where subscriber_id = @Value
            order by purged_at desc, event_id
            """;
        var keys = await purposes.KeysAsync(cancellation);
        await foreach (var row in connection.QueryUnbufferedAsync<Row>(Sql, new { subscriber.Value }).WithCancellation(cancellation))
        {
            yield return new DeletionRecord(
                row.Rule, row.PurposeId is { } id ? keys.Of(new PurposeId(id)) : null,
                row.Kind is { } kind ? Label<EventKind>.Parse(kind) : null, row.OccurredAt, row.PurgedAt);
        }
    }

    private sealed record Row(string Rule, int? PurposeId, string? Kind, DateTimeOffset? OccurredAt, DateTimeOffset PurgedAt);
}

/// <summary>Something that was deleted.</summary>
/// <param name="Rule">Why.</param>
/// <param name="Purpose">The purpose's key, or <c>*</c>; null for an address.</param>
/// <param name="Kind">What had happened; null for an address.</param>
/// <param name="OccurredAt">When; null for an address.</param>
/// <param name="PurgedAt">When it was deleted.</param>
public sealed record DeletionRecord(string Rule, string? Purpose, EventKind? Kind, DateTimeOffset? OccurredAt, DateTimeOffset PurgedAt);

/// <summary>How a hold's reason is sealed, and how a hold and what deletes records without a state to lock wait for each other.</summary>
internal static class LegalHold
{
    /// <summary>Taken by whoever places a hold, and shared by erasures and by the purge's batches of requests and of the audit trail.</summary>
    public const long AdvisoryLock = 0x434C_486F_6C64;

    /// <summary>Of a <c>state</c>'s subscriber: neither under a legal hold nor restricted (UK GDPR Art 18).</summary>
    public const string NotHeld = """
        not exists (select from legal_hold where legal_hold.subscriber_id = state.subscriber_id)
        and not exists (
            select from consent_state restriction
            where restriction.subscriber_id = state.subscriber_id and restriction.purpose_id = -2 and restriction.kind = 'restricted')
        """;

    public static byte[] SealReason(string reason, SubscriberId subscriber, Sealer sealer) =>
        sealer.Seal(Encoding.UTF8.GetBytes(reason), Place(subscriber));

    public static string OpenReason(byte[] box, SubscriberId subscriber, Sealer sealer) =>
        Encoding.UTF8.GetString(sealer.Open(box, Place(subscriber)));

    private static byte[] Place(SubscriberId subscriber) => SealedPlace.Of("legal_hold", subscriber.Value);
}
