using System.Runtime.CompilerServices;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.PersonalData;

/// <summary>
/// The consents in which a person is named, by address, as the guardian who gave them for a child (FACTS 37). They are the
/// child's records; what is told here is what they say of the guardian, and nothing of the child.
/// </summary>
internal sealed class GuardianshipRecords(PurposeCatalogue purposes, Sealer sealer) : IPersonalRecords
{
    /// <summary>Of what names a guardian: that the child's records are free.</summary>
    private const string Free = $"exists (select from (select named.subscriber_id) state where {LegalHold.NotHeld})";

    /// <summary>Of evidence that names a guardian: that the event permits something now.</summary>
    private const string Stands = """
        exists (
            select from consent_state state
            where state.subscriber_id = named.subscriber_id and state.event_id = named.event_id and state.kind in ('permitted', 'given', 'renewed'))
        """;

    /// <summary>Of evidence, its event and an erasure: that the erasure takes it.</summary>
    private const string EvidenceDue = $"""
        named.guardian_id = erasure.subscriber_id
            and event.subscriber_id = named.subscriber_id and event.event_id = named.event_id
            and event.recorded_at <= erasure.requested_at + @ClockTolerance and not {Stands}
        """;

    /// <summary>Of a sign-up and an erasure, likewise.</summary>
    private const string SignUpDue = "named.guardian_id = erasure.subscriber_id and named.received_at <= erasure.requested_at + @ClockTolerance";

    /// <summary>What an erasure takes of children's records, each with whether it is free to go.</summary>
    private const string Due = $"""
        (select {Free} as free from evidence named, consent_event event where {EvidenceDue}
        union all select {Free} from sign_up named where {SignUpDue}) due
        """;

    /// <summary>Of an erasure: that something of that is kept.</summary>
    private const string AnyKept = $"exists (select from {Due} where not free)";

    /// <summary>Of an erasure: that something of that may go, or that there is nothing left of it.</summary>
    public const string MayGoOn = $"coalesce((select bool_or(free) from {Due}), true)";

    public string Name => "guardianships";

    public IReadOnlyList<string> Columns => [];

    public IReadOnlyList<string> Fields => ["occurredAt", "purpose", "kind", "guardian", "recordedAt"];

    public async IAsyncEnumerable<object> ReadAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const string Sql = """
            select subscriber_id, event_id, event.purpose_id, event.kind::text, event.occurred_at, event.recorded_at, evidence.sealed
            from evidence join consent_event event using (subscriber_id, event_id)
            where guardian_id = @Value
            order by event.occurred_at desc, event_id
            """;
        var keys = await purposes.KeysAsync(cancellation);
        await foreach (var row in connection.QueryUnbufferedAsync<Row>(Sql, new { subscriber.Value }).WithCancellation(cancellation))
        {
            var evidence = LedgerRow.OpenEvidence(row.Sealed, new SubscriberId(row.SubscriberId), new EventId(row.EventId), sealer);
            yield return new GuardianshipRecord(
                row.OccurredAt, keys.Of(new PurposeId(row.PurposeId)), Label<EventKind>.Parse(row.Kind), evidence.Guardian, row.RecordedAt);
        }
    }

    /// <summary>
    /// The last part of an erasure. The evidence goes, and sign-ups that wait for the guardian, but for what a legal hold or a restriction keeps of the
    /// child; the child's events stay, and <see cref="Erasure"/> has ended what rested on them. What was recorded after the
    /// erasure was asked for, or stands all the same, is a new consent.
    /// </summary>
    public static Task ForgetAsync(NpgsqlConnection connection, SubscriberId guardian, DateTimeOffset now, CancellationToken cancellation)
    {
        const string Sql = $"""
            delete from sign_up named using erasure
            where erasure.subscriber_id = @Value and {SignUpDue} and {Free};

            with gone as (
                delete from evidence named using consent_event event, erasure
                where erasure.subscriber_id = @Value and {EvidenceDue} and {Free}
                returning event.subscriber_id, event.event_id, event.purpose_id, event.kind, event.occurred_at, erasure.erasure_id
            )
            insert into purge_record (subscriber_id, run_id, event_id, rule, purpose_id, kind, occurred_at, purged_at)
            select subscriber_id, erasure_id, event_id, 'evidence', purpose_id, kind, occurred_at, @now from gone
            on conflict do nothing;
            """;
        return connection.ExecuteAsync(new CommandDefinition(
            Sql, new { guardian.Value, EventRules.ClockTolerance, now = now.UtcDateTime }, cancellationToken: cancellation));
    }

    /// <summary>True if something of what an erasure takes is kept with the records of a child: the erasure then waits for it.</summary>
    public static async Task<bool> AreKeptAsync(NpgsqlConnection connection, SubscriberId guardian, CancellationToken cancellation) =>
        await connection.ExecuteScalarAsync<bool>(new CommandDefinition(
            $"select exists (select from erasure where subscriber_id = @Value and {AnyKept})", new { guardian.Value, EventRules.ClockTolerance }, cancellationToken: cancellation));

    /// <summary>True if a child's consent stands that this person gave.</summary>
    public static async Task<bool> AnyStandsAsync(NpgsqlConnection connection, SubscriberId guardian, CancellationToken cancellation) =>
        await connection.ExecuteScalarAsync<bool>(new CommandDefinition(
            $"select exists (select from evidence named where guardian_id = @Value and {Stands})", new { guardian.Value }, cancellationToken: cancellation));

    /// <summary>The children for whom this person consented.</summary>
    public static async Task<IReadOnlyList<SubscriberId>> ChildrenOfAsync(NpgsqlConnection connection, SubscriberId guardian, CancellationToken cancellation) =>
        [.. (await connection.QueryAsync<Guid>(new CommandDefinition(
            "select distinct subscriber_id from evidence where guardian_id = @Value", new { guardian.Value }, cancellationToken: cancellation)))
            .Select(id => new SubscriberId(id))];

    /// <summary>
    /// What was recorded of children, until some time, as this person's consent; read it once their states are locked. Each
    /// with its purpose, and whether it permits once requests are looked past, which hide what stood before them.
    /// </summary>
    public static async Task<ILookup<SubscriberId, (EventId Event, PurposeId Purpose, bool Beneath)>> ConsentsOfAsync(
        NpgsqlConnection connection, SubscriberId guardian, DateTimeOffset until, CancellationToken cancellation)
    {
        const string Sql = """
            select evidence.subscriber_id, evidence.event_id, evidence.purpose_id,
                event.kind in ('permitted', 'given', 'renewed') and not exists (
                    select from consent_event later
                    where later.subscriber_id = event.subscriber_id and later.purpose_id = event.purpose_id and later.kind <> 'requested'
                        and (later.occurred_at, later.kind, later.event_id) > (event.occurred_at, event.kind, event.event_id))
            from evidence join consent_event event using (subscriber_id, event_id)
            where guardian_id = @Value and event.recorded_at <= @until
            """;
        var rows = await connection.QueryAsync<(Guid Child, Guid Event, int Purpose, bool Beneath)>(new CommandDefinition(
            Sql, new { guardian.Value, until = until.UtcDateTime }, cancellationToken: cancellation));
        return rows.ToLookup(row => new SubscriberId(row.Child), row => (new EventId(row.Event), new PurposeId(row.Purpose), row.Beneath));
    }

    private sealed record Row(
        Guid SubscriberId, Guid EventId, int PurposeId, string Kind, DateTimeOffset OccurredAt, DateTimeOffset RecordedAt, byte[] Sealed);
}

/// <summary>A child's event in which a person is named as the guardian.</summary>
/// <param name="OccurredAt">When it happened.</param>
/// <param name="Purpose">The purpose's key.</param>
/// <param name="Kind">What happened.</param>
/// <param name="Guardian">What is kept of the guardian.</param>
/// <param name="RecordedAt">When the service learned of it.</param>
public sealed record GuardianshipRecord(
    DateTimeOffset OccurredAt, string Purpose, EventKind Kind, IReadOnlyDictionary<string, object?>? Guardian, DateTimeOffset RecordedAt);
