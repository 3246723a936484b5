using System.Text.Json.Serialization;
using ConsentLedger.Database;

namespace ConsentLedger.Retention;

/// <summary>
/// Why something goes. In the order in which a run applies them: what several rules would take goes by the first. The
/// database's enum type has the same order, and <c>erasure</c>, by which no run deletes, before the last two.
/// </summary>
[JsonConverter(typeof(LabelJsonConverter<PurgeRule>))]
public enum PurgeRule
{
    /// <summary>The purpose ended, and its <c>retention.lapsed</c> has run out since: everything recorded for it.</summary>
    Ended,

    /// <summary>The consent was withdrawn, refused, revoked, invalidated, objected to or has expired, and <c>retention.lapsed</c> has run out since.</summary>
    Lapsed,

    /// <summary>A sign-up that nothing followed for <c>retention.pending</c>.</summary>
    Pending,

    /// <summary>Evidence older than <c>retention.evidence</c>; its event stays.</summary>
    Evidence,

    /// <summary>An event at <c>*</c> older than 24 months; what it forbids stays in force.</summary>
    Facets,

    /// <summary>The sealed address of a subscriber of whom no event is left; it goes with the last one.</summary>
    Address,

    /// <summary>What a person asked for, with all that was done about it, closed long enough ago. What is open never goes.</summary>
    Requests,

    /// <summary>The audit trail, of long enough ago.</summary>
    Audit,
}

/// <summary>
/// The rules in SQL, once: the forecast and the run are made of the same pieces. <c>state</c>, <c>event</c>,
/// <c>evidence</c> and <c>purpose</c> are the tables of those names; periods are intervals on UTC instants, as
/// <see cref="Purposes.Period.After"/> counts them.
/// </summary>
internal static class RuleSql
{
    /// <summary>What ends a permission, at one purpose. The index consent_state_lapsed names the same.</summary>
    public const string LapsedKinds = "('expired', 'invalidated', 'refused', 'withdrawn', 'revoked', 'objected')";

    /// <summary>What permits. The index consent_state_running_out names the same.</summary>
    public const string PermittingKinds = "('permitted', 'given', 'renewed')";

    public const string EndedDue = "purpose.ends_at + purpose.retention_lapsed";

    /// <summary>When a state lapsed: what ran out, when it ran out. The index consent_state_lapsed names the same.</summary>
    public const string LapsedAt = "coalesce(state.expires_at, state.occurred_at)";

    public const string LapsedDue = $"{LapsedAt} + purpose.retention_lapsed";

    public const string PendingDue = "state.occurred_at + purpose.retention_pending";

    public const string EvidenceDue = "evidence.occurred_at + purpose.retention_evidence";

    public const string RequestsDue = "request.closed_at + @requestsKept::interval";

    public const string AuditDue = "entry.happened_at + @auditKept::interval";

    public const string FacetsDue = "event.occurred_at + interval '24 months'";

    /// <summary>Two months of different length are at most three days apart, so this lets an index bound what the rules then decide exactly.</summary>
    public const string Slack = "interval '4 days'";

    /// <summary>A request that no event of another kind followed.</summary>
    public const string Unanswered = """
        event.kind = 'requested' and not exists (
            select from consent_event answer
            where answer.subscriber_id = event.subscriber_id and answer.purpose_id = event.purpose_id
                and answer.kind <> 'requested'
                and (answer.occurred_at, answer.kind, answer.event_id) > (event.occurred_at, event.kind, event.event_id))
        """;
}
