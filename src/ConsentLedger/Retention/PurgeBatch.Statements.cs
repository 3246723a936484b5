using ConsentLedger.Ledger;
using ConsentLedger.PersonalData;

namespace ConsentLedger.Retention;

/// <content>
/// What a batch says to the database: how the rows of each rule are found and locked, what is deleted, and what stays of it.
/// </content>
internal sealed partial class PurgeBatch
{
    /// <summary>The event that the state is by, if it says no more than a suppression of that event would.</summary>
    private const string StandsBy = "case when state.expires_at is null then state.event_id end as stands_by";

    /// <summary>More than a suppression is kept of the pair.</summary>
    internal const string HasEvents = """
        exists (
            select from consent_event event
            where event.subscriber_id = state.subscriber_id and event.purpose_id = state.purpose_id)
        """;

    /// <summary>Whether the purpose ended long enough ago is asked once, and not of each of its states: of most there is nothing to read.</summary>
    private const string LockEnded = $"""
        select state.subscriber_id, state.occurred_at, {StandsBy}
        from consent_state state
        where state.purpose_id = @purpose and state.subscriber_id > @afterSubscriber
            and (select {RuleSql.EndedDue} from purpose where purpose_id = @purpose) <= @now
            and {HasEvents}
        order by state.subscriber_id
        limit @size
        for update of state skip locked
        """;

    /// <summary>Who may be due, by when it lapsed: an index says it by itself.</summary>
    private const string FindLapsed = $"""
        select state.subscriber_id, {RuleSql.LapsedAt} as occurred_at
        from consent_state state
        where state.purpose_id = @purpose and state.purpose_id > 0 and state.kind in {RuleSql.LapsedKinds}
            and ({RuleSql.LapsedAt}, state.subscriber_id) > (@afterTime, @afterSubscriber)
            and {RuleSql.LapsedAt} <= @now - (select retention_lapsed from purpose where purpose_id = @purpose) + {RuleSql.Slack}
        order by {RuleSql.LapsedAt}, state.subscriber_id
        limit @size
        """;

    private const string LockLapsed = $"""
        select state.subscriber_id, {RuleSql.LapsedAt} as occurred_at, {StandsBy}
        from consent_state state join purpose using (purpose_id)
        where state.purpose_id = @purpose and state.subscriber_id = any (@found) and state.kind in {RuleSql.LapsedKinds}
            and {RuleSql.LapsedDue} <= @now
            and {HasEvents}
        order by state.subscriber_id
        for update of state skip locked
        """;

    private const string LockPending = $"""
        select state.subscriber_id, state.occurred_at
        from consent_state state join purpose using (purpose_id)
        where state.purpose_id = @purpose and state.kind = 'requested'
            and (state.occurred_at, state.subscriber_id) > (@afterTime, @afterSubscriber)
            and state.occurred_at <= @now - (select retention_pending from purpose where purpose_id = @purpose) + {RuleSql.Slack}
            and {RuleSql.PendingDue} <= @now
        order by state.occurred_at, state.subscriber_id
        limit @size
        for update of state skip locked
        """;

    private const string LockFacets = $"""
        select state.subscriber_id, state.occurred_at
        from consent_state state
        where state.purpose_id = @purpose and state.subscriber_id > @afterSubscriber
            and exists (
                select from consent_event event
                where event.subscriber_id = state.subscriber_id and event.purpose_id = state.purpose_id
                    and event.purpose_id <= 0 and {RuleSql.FacetsDue} <= @now)
        order by state.subscriber_id
        limit @size
        for update of state skip locked
        """;

    private const string LockEvidence = $"""
        select evidence.subscriber_id, evidence.occurred_at, evidence.event_id
        from evidence join purpose using (purpose_id) join consent_state state using (subscriber_id, purpose_id)
        where evidence.purpose_id = @purpose
            and (evidence.occurred_at, evidence.subscriber_id, evidence.event_id) > (@afterTime, @afterSubscriber, @afterEvent)
            and evidence.occurred_at <= @now - (select retention_evidence from purpose where purpose_id = @purpose) + {RuleSql.Slack}
            and {RuleSql.EvidenceDue} <= @now
        order by evidence.occurred_at, evidence.subscriber_id, evidence.event_id
        limit @size
        for update of state skip locked
        """;

    private const string LockRequests = $"""
        select request.subscriber_id, request.closed_at as occurred_at, request.request_id as event_id
        from rights_request request
        where request.closed_at is not null and {RuleSql.RequestsDue} <= @now
            and (request.closed_at, request.subscriber_id, request.request_id) > (@afterTime, @afterSubscriber, @afterEvent)
            and request.closed_at <= @now - @requestsKept::interval + {RuleSql.Slack}
        order by request.closed_at, request.subscriber_id, request.request_id
        limit @size
        for update of request skip locked
        """;

    /// <summary>
    /// The newest thing that was said of each pair, requests and expiries aside, stays as a suppression, if it does
    /// (<see cref="Forbidding.Stays"/>). Nothing else is kept: no consent, no request.
    /// </summary>
    private const string KeepSuppression = $"""
        insert into suppression (subscriber_id, purpose_id, kind, basis, occurred_at, event_id, kept_at)
        select subscriber_id, purpose_id, kind, basis, occurred_at, event_id, @now
        from (
            select distinct on (subscriber_id) subscriber_id, purpose_id, kind, basis, occurred_at, event_id
            from consent_event
            where subscriber_id = any (@subscribers) and purpose_id = @purpose and kind not in ('requested', 'expired')
            order by subscriber_id, occurred_at desc, kind desc, event_id desc
        ) event
        where {RuleSql.FacetsDue} <= @now and {Forbidding.Stays}
        on conflict do nothing
        """;

    /// <summary>
    /// What goes with the events that have gone, the address of those of whom no other event is left, and the record that
    /// stays of each. The statement sees the events as they were before it, so those that go are told apart by name.
    /// </summary>
    private const string WithTheEvents = """
        evidence_gone as (
            delete from evidence using gone
            where evidence.subscriber_id = gone.subscriber_id and evidence.event_id = gone.event_id
        ),
        reminder_gone as (
            delete from renewal_reminder reminder using gone
            where reminder.subscriber_id = gone.subscriber_id and reminder.purpose_id = gone.purpose_id and reminder.event_id = gone.event_id
        ),
        address_gone as (
            delete from subscriber
            where subscriber_id = any (@subscribers)
                and not exists (
                    select from consent_event event
                    where event.subscriber_id = subscriber.subscriber_id
                        and (event.subscriber_id, event.event_id) not in (select subscriber_id, event_id from gone))
            returning subscriber_id
        ),
        recorded as (
            insert into purge_record (subscriber_id, run_id, event_id, rule, purpose_id, kind, occurred_at, purged_at)
            select subscriber_id, @runId, event_id, @rule::purge_rule, purpose_id, kind, occurred_at, @now from gone
            union all
            select subscriber_id, @runId, '00000000-0000-0000-0000-000000000000', 'address', null, null, null, @now from address_gone
            on conflict do nothing
            returning rule
        )
        """;

    private const string CountRecorded =
        "select count(*) filter (where rule <> 'address') as events, count(*) filter (where rule = 'address') as addresses from recorded";

    /// <summary>
    /// All that was recorded of each pair, with its evidence and what was sent about it. Leaves a record of each event, the
    /// suppressions by the rule of <see cref="KeepSuppression"/>, and the state that these come to; most states are by the
    /// very event that is kept, and are not touched.
    /// </summary>
    private const string DeletePairs = $"""
        with gone as (
            delete from consent_event event
            where event.subscriber_id = any (@subscribers) and event.purpose_id = @purpose
            returning event.subscriber_id, event.event_id, event.purpose_id, event.kind, event.basis, event.occurred_at
        ),
        {WithTheEvents},
        refused as materialized (
            select subscriber_id, kind, basis, occurred_at, event_id
            from (
                select distinct on (subscriber_id) subscriber_id, kind, basis, occurred_at, event_id
                from gone
                where kind not in ('requested', 'expired')
                order by subscriber_id, occurred_at desc, kind desc, event_id desc
            ) newest
            where kind in {Forbidding.Kinds}
        ),
        kept as (
            insert into suppression (subscriber_id, purpose_id, kind, basis, occurred_at, event_id, kept_at)
            select subscriber_id, @purpose, kind, basis, occurred_at, event_id, @now from refused
            on conflict do nothing
        ),
        rebuilt as materialized (
            select distinct on (subscriber_id) subscriber_id, kind, basis, occurred_at, event_id
            from (
                select subscriber_id, kind, basis, occurred_at, event_id from refused
                union all
                select subscriber_id, kind, basis, occurred_at, event_id from suppression
                where subscriber_id = any (@subscribers) and purpose_id = @purpose
            ) refusal
            order by subscriber_id, occurred_at desc, kind desc, event_id desc
        ),
        changed as materialized (
            select subscriber_id, rebuilt.event_id is null as without_refusal
            from unnest(@subscribers, @standBy) as state (subscriber_id, stands_by) left join rebuilt using (subscriber_id)
            where rebuilt.event_id is distinct from state.stands_by or state.stands_by is null
        ),
        removed as (
            delete from consent_state state using changed
            where state.subscriber_id = changed.subscriber_id and state.purpose_id = @purpose and changed.without_refusal
        ),
        mended as (
            update consent_state state
            set kind = rebuilt.kind, basis = rebuilt.basis, occurred_at = rebuilt.occurred_at, expires_at = null, event_id = rebuilt.event_id
            from changed join rebuilt using (subscriber_id)
            where state.subscriber_id = rebuilt.subscriber_id and state.purpose_id = @purpose
        )
        {CountRecorded}
        """;

    /// <summary>Deletes some of the events of a pair, with what goes with them, and leaves a record of each.</summary>
    private const string DeleteUnanswered = $"""
        {DeleteOfPairs} {RuleSql.Unanswered} {AndRecord}
        """;

    private const string DeleteFacets = $"""
        {DeleteOfPairs} {RuleSql.FacetsDue} <= @now {AndRecord}
        """;

    private const string DeleteOfPairs = """
        with gone as (
            delete from consent_event event
            where event.subscriber_id = any (@subscribers) and event.purpose_id = @purpose and
        """;

    private const string AndRecord = $"""
            returning event.subscriber_id, event.event_id, event.purpose_id, event.kind, event.occurred_at
        ),
        {WithTheEvents}
        {CountRecorded}
        """;

    private const string DeleteEvidence = """
        with gone as (
            delete from evidence
            using unnest(@subscribers, @events) as due (subscriber_id, event_id)
            where evidence.subscriber_id = due.subscriber_id and evidence.event_id = due.event_id
            returning evidence.subscriber_id, evidence.event_id, evidence.purpose_id, evidence.occurred_at
        ),
        recorded as (
            insert into purge_record (subscriber_id, run_id, event_id, rule, purpose_id, kind, occurred_at, purged_at)
            select gone.subscriber_id, @runId, gone.event_id, 'evidence', gone.purpose_id, event.kind, gone.occurred_at, @now
            from gone left join consent_event event using (subscriber_id, event_id)
            on conflict do nothing
            returning 1
        )
        select count(*) from recorded
        """;

    /// <summary>What sql/rebuild_state.sql says, for these pairs; their states are there, and locked.</summary>
    private const string RecomputeStates = """
        with history as (
            select subscriber_id, purpose_id, kind, basis, occurred_at, expires_at, event_id
            from consent_event
            where subscriber_id = any (@subscribers) and purpose_id = @purpose
            union all
            select subscriber_id, purpose_id, kind, basis, occurred_at, null, event_id
            from suppression
            where subscriber_id = any (@subscribers) and purpose_id = @purpose
        ),
        rebuilt as (
            select distinct on (subscriber_id) subscriber_id, kind, basis, occurred_at, expires_at, event_id
            from history
            order by subscriber_id, occurred_at desc, kind desc, event_id desc, expires_at nulls last
        ),
        removed as (
            delete from consent_state state
            where state.subscriber_id = any (@subscribers) and state.purpose_id = @purpose
                and state.subscriber_id not in (select subscriber_id from rebuilt)
        )
        update consent_state state
        set kind = rebuilt.kind, basis = rebuilt.basis, occurred_at = rebuilt.occurred_at,
            expires_at = rebuilt.expires_at, event_id = rebuilt.event_id
        from rebuilt
        where state.subscriber_id = rebuilt.subscriber_id and state.purpose_id = @purpose
            and (state.kind, state.basis, state.occurred_at, state.expires_at, state.event_id)
                is distinct from (rebuilt.kind, rebuilt.basis, rebuilt.occurred_at, rebuilt.expires_at, rebuilt.event_id)
        """;

    private const string DeleteRequests = """
        with due as materialized (
            select * from unnest(@subscribers, @events) as due (subscriber_id, request_id)
        ),
        steps_gone as (
            delete from rights_request_step step using due
            where step.subscriber_id = due.subscriber_id and step.request_id = due.request_id
        ),
        gone as (
            delete from rights_request request using due
            where request.subscriber_id = due.subscriber_id and request.request_id = due.request_id
            returning request.subscriber_id, request.request_id, request.closed_at
        ),
        recorded as (
            insert into purge_record (subscriber_id, run_id, event_id, rule, occurred_at, purged_at)
            select subscriber_id, @runId, request_id, 'requests', closed_at, @now from gone
            on conflict do nothing
            returning 1
        )
        select count(*) from recorded
        """;

    /// <summary>
    /// The oldest of the trail, what is about somebody whose records are held aside. What has gone is not there for the next
    /// batch, which so needs no place to go on from.
    /// </summary>
    private const string DeleteAudit = $"""
        with due as materialized (
            select entry.audit_id
            from audit_entry entry cross join lateral (select entry.about_subscriber as subscriber_id) state
            where {RuleSql.AuditDue} <= @now and entry.happened_at <= @now - @auditKept::interval + {RuleSql.Slack}
                and {LegalHold.NotHeld}
            order by entry.happened_at, entry.audit_id
            limit @size
        ),
        gone as (
            delete from audit_entry using due where audit_entry.audit_id = due.audit_id returning 1
        )
        select count(*) from gone
        """;

    /// <summary>
    /// Of those whose states are locked, the ones that may go: under no hold that was placed since they were read, and with
    /// their address locked too, if it is kept. An append locks the address of whom it is for until it commits.
    /// </summary>
    private const string LockAddresses = $"""
        with taken as materialized (
            select subscriber_id from subscriber
            where subscriber_id = any (@subscribers)
            order by subscriber_id
            for update skip locked
        )
        select state.subscriber_id
        from unnest(@subscribers) as state (subscriber_id) left join taken using (subscriber_id)
        where {LegalHold.NotHeld}
            and (taken.subscriber_id is not null
                or not exists (select from subscriber where subscriber.subscriber_id = state.subscriber_id))
        """;
}
