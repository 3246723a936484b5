using System.Text.Json.Serialization;
using ConsentLedger.Choices;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Mail;
using ConsentLedger.PersonalData;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.Retention;

/// <summary>
/// Says of one subscriber when each record will go, and by which rule, if nothing else happens: the rules that a run
/// applies (<see cref="RuleSql"/>), as a pure function over one subscriber's records. A test holds the two together.
/// </summary>
public sealed class RetentionExplanation(NpgsqlDataSource database, LedgerStore ledger, PurposeCatalogue purposes, RetentionOptions options)
{
    /// <summary>How long an event at <c>*</c> is kept; what it forbids stays in force.</summary>
    public static readonly Period FacetsKept = new(24, 0);

    /// <summary>Everything that is kept of a subscriber, with when it goes; what a child's records say of them goes with those.</summary>
    public async Task<ExplainedSubscriber> ExplainAsync(SubscriberId subscriber, DateTimeOffset now, CancellationToken cancellation)
    {
        var explained = await ExplainOwnAsync(subscriber, now, cancellation);
        ILookup<SubscriberId, (EventId Event, PurposeId Purpose, bool Beneath)> children;
        await using (var connection = await database.OpenConnectionAsync(cancellation))
        {
            children = await GuardianshipRecords.ConsentsOfAsync(connection, subscriber, DateTimeOffset.MaxValue, cancellation);
        }

        List<ExplainedRecord> named = [];
        foreach (var child in children.Where(child => child.Key != subscriber))
        {
            var (heldBy, records) = await ExplainOwnAsync(child.Key, now, cancellation);
            var events = child.Select(one => one.Event).ToHashSet();
            named.AddRange(records
                .Where(record => record.Record == RetainedRecord.Evidence && record.EventId is { } id && events.Contains(id))
                .Select(record => record with { Record = RetainedRecord.Guardianship, EventId = null, GoesAt = heldBy is null ? record.GoesAt : null }));
        }

        return explained with { Records = [.. explained.Records.Concat(named).OrderBy(record => record.GoesAt ?? DateTimeOffset.MaxValue)] };
    }

    private async Task<ExplainedSubscriber> ExplainOwnAsync(SubscriberId subscriber, DateTimeOffset now, CancellationToken cancellation)
    {
        const string Sql = """
            select event.event_id, event.purpose_id, event.kind::text, event.occurred_at, event.expires_at, evidence.event_id is not null as has_evidence
            from consent_event event left join evidence using (subscriber_id, event_id)
            where event.subscriber_id = @id
            order by event.occurred_at, event.kind, event.event_id;
            select event_id, purpose_id, kind::text, occurred_at, null::timestamptz as expires_at, false as has_evidence
            from suppression
            where subscriber_id = @id;
            select exists (select from legal_hold where subscriber_id = @id);
            select exists (select from subscriber where subscriber_id = @id);
            select request_id, received_at, closed_at from rights_request where subscriber_id = @id;
            select happened_at from audit_entry where about_subscriber = @id;
            select purpose_id, kind::text, occurred_at, purged_at from purge_record where subscriber_id = @id order by purged_at, event_id;
            select requested_at from erasure where subscriber_id = @id;
            select created_at, finished_at from mail_outbox where subscriber_id = @id;
            select received_at from sign_up where subscriber_id = @id or guardian_id = @id
            """;
        var all = (await purposes.ListAsync(cancellation)).ToDictionary(purpose => purpose.Id);
        var states = await ledger.ReadStatesAsync(subscriber, cancellation);
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var results = await connection.QueryMultipleAsync(new CommandDefinition(Sql, new { id = subscriber.Value }, cancellationToken: cancellation));
        var events = (await results.ReadAsync<Row>()).Select(row => row.ToRecord()).ToList();
        var kept = (await results.ReadAsync<Row>()).Select(row => row.ToRecord()).ToList();
        var held = await results.ReadSingleAsync<bool>();
        var addressed = await results.ReadSingleAsync<bool>();
        var requests = (await results.ReadAsync<(Guid Id, DateTimeOffset ReceivedAt, DateTimeOffset? ClosedAt)>())
            .Select(row => OfRequest(row.Id, row.ReceivedAt, row.ClosedAt, now)).ToList();
        var audited = (await results.ReadAsync<DateTimeOffset>()).Select(happenedAt => OfAudit(happenedAt, now)).ToList();
        var keys = new PurposeKeys(all.Values);
        var rest = kept.Select(no => OfKept(RetainedRecord.Suppression, no.OccurredAt) with { Purpose = keys.Of(no.Purpose), Kind = no.Kind, EventId = no.Id })
            .Concat((await results.ReadAsync<Gone>()).Select(gone => OfKept(RetainedRecord.Deletion, gone.PurgedAt) with
            {
                Purpose = gone.PurposeId is { } purpose ? keys.Of(new PurposeId(purpose)) : PurposeKey.All,
                Kind = gone.Kind is { } kind ? Label<EventKind>.Parse(kind) : null,
            }))
            .Concat((await results.ReadAsync<DateTimeOffset>()).Select(requestedAt => OfKept(RetainedRecord.Erasure, requestedAt)))
            .Concat((await results.ReadAsync<(DateTimeOffset CreatedAt, DateTimeOffset? FinishedAt)>())
                .Select(mail => OfPassing(RetainedRecord.Mail, mail.CreatedAt, mail.FinishedAt, MailOutbox.Kept, now)))
            .Concat((await results.ReadAsync<DateTimeOffset>()).Select(receivedAt => OfPassing(RetainedRecord.SignUp, receivedAt, receivedAt, SignUpStore.Kept, now)))
            .ToList();
        var restricted = states.Any(state => state is { Purpose.Value: -2, Kind: EventKind.Restricted });
        return new ExplainedSubscriber(
            held ? RetentionHeldBy.LegalHold : restricted ? RetentionHeldBy.Restriction : null,
            [.. Explain(all, events, kept, addressed, now).Concat(requests).Concat(audited).Concat(rest).OrderBy(record => record.GoesAt ?? DateTimeOffset.MaxValue)]);
    }

    /// <summary>A request that is open stays until some time after it is closed.</summary>
    private ExplainedRecord OfRequest(Guid id, DateTimeOffset receivedAt, DateTimeOffset? closedAt, DateTimeOffset now)
    {
        var fate = closedAt is { } closed ? new Fate(PurgeRule.Requests, closed, options.Accountability.Requests) : Fate.None;
        return fate.Explain(RetainedRecord.Request, PurposeKey.All, receivedAt, now) with { RequestId = id };
    }

    private ExplainedRecord OfAudit(DateTimeOffset happenedAt, DateTimeOffset now) =>
        new Fate(PurgeRule.Audit, happenedAt, options.Accountability.Audit).Explain(RetainedRecord.AuditEntry, PurposeKey.All, happenedAt, now);

    /// <summary>What stays for as long as it is needed: under the keyed id, so that a no stays in force and a deletion can be shown.</summary>
    private static ExplainedRecord OfKept(RetainedRecord record, DateTimeOffset occurredAt) => Fate.None.Explain(record, PurposeKey.All, occurredAt, occurredAt);

    /// <summary>What is deleted some days after it is done with, by no rule of a purpose.</summary>
    private static ExplainedRecord OfPassing(RetainedRecord record, DateTimeOffset occurredAt, DateTimeOffset? doneAt, TimeSpan kept, DateTimeOffset now) =>
        (doneAt is { } done ? new Fate(null, done, new Period(0, kept.Days)) : Fate.None).Explain(record, PurposeKey.All, occurredAt, now);

    /// <summary>When each record goes. What is due already goes now: the rules then decide in their own order.</summary>
    internal static IEnumerable<ExplainedRecord> Explain(
        IReadOnlyDictionary<PurposeId, Purpose> purposes, IReadOnlyList<KeptEvent> events, IReadOnlyList<KeptEvent> suppressions, bool addressed,
        DateTimeOffset now)
    {
        var explained = new List<ExplainedRecord>();
        foreach (var pair in events.GroupBy(@event => @event.Purpose))
        {
            var key = pair.Key.IsFacet ? PurposeKey.All : purposes[pair.Key].Key;
            foreach (var (@event, fate) in pair.Key.IsFacet
                ? pair.Select(one => (one, new Fate(PurgeRule.Facets, one.OccurredAt, FacetsKept)))
                : OfPair(purposes[pair.Key], [.. pair], [.. suppressions.Where(one => one.Purpose == pair.Key)], now))
            {
                var goes = fate.GoesAt(now);
                explained.Add(fate.Explain(RetainedRecord.Event, key, @event.OccurredAt, now) with { Kind = @event.Kind, EventId = @event.Id });
                if (!@event.HasEvidence)
                {
                    continue;
                }

                var alone = pair.Key.IsFacet || purposes[pair.Key].Retention.Evidence is not { } period ? Fate.None : new Fate(PurgeRule.Evidence, @event.OccurredAt, period);
                var first = alone.GoesAt(now) is { } evidenceGoes && (goes is null || evidenceGoes < goes) ? alone : fate;
                explained.Add(first.Explain(RetainedRecord.Evidence, key, @event.OccurredAt, now) with { Kind = @event.Kind, EventId = @event.Id });
            }
        }

        if (addressed)
        {
            // The address goes with the last event. One that never had any goes with the last of nothing, which is never.
            var going = explained.Where(record => record.Record == RetainedRecord.Event).Select(record => record.GoesAt).ToList();
            var last = going.Count == 0 || going.Contains(null) ? null : going.Max();
            explained.Add(new ExplainedRecord(RetainedRecord.Address, PurposeKey.All, null, null, null, last is null ? null : PurgeRule.Address, null, null, last));
        }

        return explained;
    }

    /// <summary>
    /// The events of one purpose: they go together, by how the subscriber stands. Only requests that nothing followed go
    /// by themselves, and what is left then goes by what it comes to without them.
    /// </summary>
    private static IEnumerable<(KeptEvent Event, Fate Fate)> OfPair(Purpose purpose, IReadOnlyList<KeptEvent> events, IReadOnlyList<KeptEvent> suppressions, DateTimeOffset now)
    {
        if (events.Count == 0)
        {
            yield break;
        }

        var stands = events.Concat(suppressions).Select(one => one.State).Aggregate((ConsentState?)null, (state, next) => ConsentState.Fold(state, next))!.Value;
        DateTimeOffset? lapsedAt = stands.Kind switch
        {
            EventKind.Requested => null,
            var kind when kind.Permits() => stands.ExpiresAt,
            _ => stands.ExpiresAt ?? stands.Since,
        };
        var ended = purpose.EndsAt is { } end ? new Fate(PurgeRule.Ended, end, purpose.Retention.Lapsed) : Fate.None;
        var lapsed = lapsedAt is { } since ? new Fate(PurgeRule.Lapsed, since, purpose.Retention.Lapsed) : Fate.None;
        var together = ended.IsNoLaterThan(lapsed, now) ? ended : lapsed;
        var pending = stands.Kind == EventKind.Requested ? new Fate(PurgeRule.Pending, stands.Since, purpose.Retention.Pending) : Fate.None;
        if (pending.Rule is null || together.IsNoLaterThan(pending, now))
        {
            foreach (var @event in events)
            {
                yield return (@event, together);
            }

            yield break;
        }

        var answered = events.Concat(suppressions).Where(one => one.Kind != EventKind.Requested).Select(one => one.State).ToList();
        var goes = events.ToLookup(one => one.Kind == EventKind.Requested && !answered.Exists(answer => answer.Beats(one.State)));
        foreach (var @event in goes[true])
        {
            yield return (@event, pending);
        }

        foreach (var (left, fate) in OfPair(purpose, [.. goes[false]], suppressions, pending.GoesAt(now)!.Value))
        {
            // While the request stands, what it hides does not lapse.
            yield return (left, fate with { NotBefore = fate.GoesAt(pending.GoesAt(now)!.Value) });
        }
    }

    /// <summary>An event as far as its retention goes.</summary>
    internal sealed record KeptEvent(EventId Id, PurposeId Purpose, EventKind Kind, DateTimeOffset OccurredAt, DateTimeOffset? ExpiresAt, bool HasEvidence)
    {
        public ConsentState State => new(Purpose, Kind, null, OccurredAt, ExpiresAt, Id);
    }

    private readonly record struct Fate(PurgeRule? Rule, DateTimeOffset? CountsFrom, Period? Period, DateTimeOffset? NotBefore = null)
    {
        public static readonly Fate None = new(null, null, null);

        /// <summary>When, but not before <paramref name="now"/>; null for never.</summary>
        public DateTimeOffset? GoesAt(DateTimeOffset now) =>
            CountsFrom is not { } from ? null : new[] { Period!.Value.After(from), NotBefore ?? now, now }.Max();

        /// <summary>A record that has it, of no event yet.</summary>
        public ExplainedRecord Explain(RetainedRecord record, string purpose, DateTimeOffset occurredAt, DateTimeOffset now) =>
            new(record, purpose, null, null, occurredAt, Rule, CountsFrom, Period, GoesAt(now));

        public bool IsNoLaterThan(Fate other, DateTimeOffset now) =>
            GoesAt(now) is { } mine && (other.GoesAt(now) is not { } others || mine <= others);
    }

    private sealed record Gone(int? PurposeId, string? Kind, DateTimeOffset? OccurredAt, DateTimeOffset PurgedAt);

    private sealed record Row(Guid EventId, int PurposeId, string Kind, DateTimeOffset OccurredAt, DateTimeOffset? ExpiresAt, bool HasEvidence)
    {
        public KeptEvent ToRecord() => new(
            new Ledger.EventId(EventId), new PurposeId(PurposeId), Label<EventKind>.Parse(Kind), OccurredAt, ExpiresAt, HasEvidence);
    }
}

/// <summary>What is kept of a subscriber.</summary>
/// <param name="HeldBy">What keeps all of it for now, whatever is due; null if nothing does.</param>
/// <param name="Records">Each record, the one that goes first first.</param>
public sealed record ExplainedSubscriber(RetentionHeldBy? HeldBy, IReadOnlyList<ExplainedRecord> Records);

/// <summary>A record, and when it goes.</summary>
/// <param name="Record">What it is.</param>
/// <param name="Purpose">The purpose's key; <c>*</c> for all.</param>
/// <param name="Kind">What happened; null for what is no event's.</param>
/// <param name="EventId">The event; null for what is no event's.</param>
/// <param name="OccurredAt">When that happened, the request came or the record was made; null for the address.</param>
/// <param name="Rule">The rule by which it goes; null while nothing ends it.</param>
/// <param name="CountsFrom">From when its period counts; null for the address, which goes with the last event.</param>
/// <param name="Period">How long it is kept from then.</param>
/// <param name="GoesAt">When it goes, if nothing else happens and nothing holds it; the next run after that takes it. Null for as long as it is needed.</param>
/// <param name="RequestId">The request; null for what is none.</param>
public sealed record ExplainedRecord(
    RetainedRecord Record, string Purpose, EventKind? Kind, EventId? EventId, DateTimeOffset? OccurredAt, PurgeRule? Rule,
    DateTimeOffset? CountsFrom, Period? Period, DateTimeOffset? GoesAt, Guid? RequestId = null);

/// <summary>What is kept.</summary>
[JsonConverter(typeof(LabelJsonConverter<RetainedRecord>))]
public enum RetainedRecord
{
    /// <summary>Something that happened.</summary>
    Event,

    /// <summary>What shows how it came about.</summary>
    Evidence,

    /// <summary>The sealed address.</summary>
    Address,

    /// <summary>What the person asked for, with what was done about it.</summary>
    Request,

    /// <summary>That somebody did something about the person.</summary>
    AuditEntry,

    /// <summary>That the person said no, under the keyed id alone: what it forbids stays forbidden.</summary>
    Suppression,

    /// <summary>That something was deleted, and by which rule; nothing of what it said.</summary>
    Deletion,

    /// <summary>That the person was erased.</summary>
    Erasure,

    /// <summary>That a mail was sent, and how that went.</summary>
    Mail,

    /// <summary>What a form sent.</summary>
    SignUp,

    /// <summary>What a child's evidence says of the person as the guardian.</summary>
    Guardianship,
}

/// <summary>What keeps everything of a subscriber.</summary>
[JsonConverter(typeof(LabelJsonConverter<RetentionHeldBy>))]
public enum RetentionHeldBy
{
    /// <summary>A legal hold.</summary>
    LegalHold,

    /// <summary>A restriction of processing (Art 18).</summary>
    Restriction,
}
