using ConsentLedger.Database;
using Dapper;
using Npgsql;

namespace ConsentLedger.Retention;

/// <summary>
/// What a run would delete, without deleting it: by the rules of <see cref="RuleSql"/>, in the run's own order, and in
/// the unit of the purge records it would make. It takes as long as there is to count: a statement that is given up for its
/// length would only be begun again, for ever.
/// </summary>
public sealed class RetentionForecast(NpgsqlDataSource database, RetentionOptions options)
{
    private const string Held = """
        held as materialized (
            select subscriber_id from legal_hold
            union
            select subscriber_id from consent_state where purpose_id = -2 and kind = 'restricted'
        )
        """;

    /// <summary>The records of everybody.</summary>
    private const string OfEverybody = """
        their_state as not materialized (select * from consent_state),
        their_event as not materialized (select * from consent_event),
        their_evidence as not materialized (select * from evidence),
        their_request as not materialized (select * from rights_request),
        their_audit as not materialized (select * from audit_entry)
        """;

    /// <summary>The records of those alone whose records are held: they are few, and everything begins with them.</summary>
    private const string OfHeld = """
        their_state as not materialized (select consent_state.* from held join consent_state using (subscriber_id)),
        their_event as not materialized (select consent_event.* from held join consent_event using (subscriber_id)),
        their_evidence as not materialized (select evidence.* from held join evidence using (subscriber_id)),
        their_request as not materialized (select rights_request.* from held join rights_request using (subscriber_id)),
        their_audit as not materialized (select audit_entry.* from held join audit_entry on audit_entry.about_subscriber = held.subscriber_id)
        """;

    /// <summary>
    /// Everything of theirs that is due by @horizon, one row each with the rule it goes by and when. Times before @now count as
    /// now, because one run takes all of that, and then the rules' order decides; later on the earlier time does. A
    /// state that has run out by then stands as expired, and the expired event, which is yet to come, goes with it.
    /// </summary>
    private const string Due = $"""
        candidate as (
            select state.subscriber_id, state.purpose_id
            from purpose join their_state state using (purpose_id)
            where {RuleSql.EndedDue} <= @horizon and {PurgeBatch.HasEvents}
            union
            select state.subscriber_id, state.purpose_id
            from purpose join their_state state using (purpose_id)
            where state.kind in {RuleSql.LapsedKinds} and state.purpose_id > 0
                and {RuleSql.LapsedAt} <= @horizon - purpose.retention_lapsed + {RuleSql.Slack}
                and {PurgeBatch.HasEvents}
            union
            select state.subscriber_id, state.purpose_id
            from purpose join their_state state using (purpose_id)
            where state.kind in {RuleSql.PermittingKinds} and state.expires_at <= @horizon
            union
            select state.subscriber_id, state.purpose_id
            from purpose join their_state state using (purpose_id)
            where state.kind = 'requested'
                and state.occurred_at <= @horizon - purpose.retention_pending + {RuleSql.Slack}
        ),
        standing as (
            select
                subscriber_id, purpose_id,
                case when runs_out then 'expired' else kind end as kind,
                case when runs_out or kind = 'expired' then coalesce(expires_at, occurred_at) else occurred_at end as occurred_at,
                case when runs_out then expires_at end as expires_at
            from (
                select *, kind in {RuleSql.PermittingKinds} and expires_at <= @horizon as runs_out
                from candidate join consent_state using (subscriber_id, purpose_id)
            ) candidate_state
        ),
        pair as (
            select
                state.subscriber_id, state.purpose_id, state.expires_at,
                case when purpose.ends_at is not null then greatest({RuleSql.EndedDue}, @now) else 'infinity' end as ended_due,
                case when state.kind in {RuleSql.LapsedKinds} then greatest({RuleSql.LapsedDue}, @now) else 'infinity' end as lapsed_due,
                case when state.kind = 'requested' then greatest({RuleSql.PendingDue}, @now) else 'infinity' end as pending_due
            from standing state join purpose using (purpose_id)
        ),
        going as (
            select
                event.subscriber_id, event.event_id, event.purpose_id,
                case when pending then 'pending' when ended_due <= lapsed_due then 'ended' else 'lapsed' end::purge_rule as rule,
                case when pending then pending_due else least(ended_due, lapsed_due) end as due
            from pair
            join consent_event event using (subscriber_id, purpose_id)
            cross join lateral (select pending_due < least(ended_due, lapsed_due) and {RuleSql.Unanswered} as pending) is_pending
            union all
            select subscriber_id, null, purpose_id, case when ended_due <= lapsed_due then 'ended' else 'lapsed' end::purge_rule, least(ended_due, lapsed_due)
            from pair
            where expires_at <= least(ended_due, lapsed_due)
            union all
            select event.subscriber_id, event.event_id, event.purpose_id, 'facets', greatest({RuleSql.FacetsDue}, @now)
            from their_event event
            where event.purpose_id <= 0
        ),
        event_due as (
            select * from going where due <= @horizon
        ),
        due as (
            select subscriber_id, purpose_id, rule, due from event_due
            union all
            select evidence.subscriber_id, evidence.purpose_id, 'evidence', greatest({RuleSql.EvidenceDue}, @now)
            from purpose
            join their_evidence evidence using (purpose_id)
            left join event_due using (subscriber_id, event_id)
            where evidence.occurred_at <= @horizon - purpose.retention_evidence + {RuleSql.Slack}
                and {RuleSql.EvidenceDue} <= @horizon
                and greatest({RuleSql.EvidenceDue}, @now) < coalesce(event_due.due, 'infinity')
            union all
            select subscriber_id, null, 'address', max(due)
            from event_due
            where subscriber_id in (select subscriber_id from subscriber)
            group by subscriber_id
            having count(event_id) = (select count(*) from consent_event event where event.subscriber_id = event_due.subscriber_id)
            union all
            select request.subscriber_id, null, 'requests', greatest({RuleSql.RequestsDue}, @now)
            from their_request request
            where request.closed_at <= @horizon - @requestsKept::interval + {RuleSql.Slack} and {RuleSql.RequestsDue} <= @horizon
            union all
            select coalesce(entry.about_subscriber, '00000000-0000-0000-0000-000000000000'), null, 'audit', greatest({RuleSql.AuditDue}, @now)
            from their_audit entry
            where entry.happened_at <= @horizon - @auditKept::interval + {RuleSql.Slack} and {RuleSql.AuditDue} <= @horizon
        )
        """;

    /// <summary>
    /// How many records go now, and by 30 and 90 days from now, by purpose (null at <c>*</c>) and rule; nothing is listed
    /// where nothing goes. A forecast of a run each night over what is known today.
    /// </summary>
    public async Task<IReadOnlyList<Row>> CountAsync(DateTimeOffset now, CancellationToken cancellation)
    {
        const string Sql = $"""
            with {Held}, {OfEverybody}, {Due}
            select
                case when due.purpose_id > 0 then due.purpose_id end as purpose_id,
                due.rule::text,
                count(*) filter (where due <= @now) as now,
                count(*) filter (where due <= @in30Days) as in_30_days,
                count(*) as in_90_days
            from due
            where subscriber_id not in (select subscriber_id from held)
            group by 1, due.rule
            """;
        return await ReadAsync(
            async connection => (await connection.QueryAsync<Row>(new CommandDefinition(
                Sql,
                new
                {
                    now = now.UtcDateTime,
                    in30Days = now.AddDays(30).UtcDateTime,
                    horizon = now.AddDays(90).UtcDateTime,
                    requestsKept = options.Accountability.Requests.ToString(),
                    auditKept = options.Accountability.Audit.ToString(),
                },
                commandTimeout: 0,
                cancellationToken: cancellation))).AsList(),
            cancellation);
    }

    /// <summary>How many subscribers have something due now and keep it.</summary>
    public async Task<long> CountHeldBackAsync(DateTimeOffset now, CancellationToken cancellation)
    {
        const string Sql = $"""
            with {Held}, {OfHeld}, {Due}
            select count(distinct subscriber_id) from due
            where exists (select from held) -- Looked at first, and mostly the end of it.
            """;
        return await ReadAsync(
            connection => connection.ExecuteScalarAsync<long>(new CommandDefinition(
                Sql,
                new
                {
                    now = now.UtcDateTime,
                    horizon = now.UtcDateTime,
                    requestsKept = options.Accountability.Requests.ToString(),
                    auditKept = options.Accountability.Audit.ToString(),
                },
                commandTimeout: 0,
                cancellationToken: cancellation)),
            cancellation);
    }

    /// <summary>How many states have run out and not been recorded as expired.</summary>
    public async Task<long> CountRunOutAsync(DateTimeOffset now, CancellationToken cancellation)
    {
        const string Sql = $"select count(*) from consent_state where kind in {RuleSql.PermittingKinds} and expires_at <= @now";
        return await ReadAsync(
            connection => connection.ExecuteScalarAsync<long>(new CommandDefinition(Sql, new { now = now.UtcDateTime }, commandTimeout: 0, cancellationToken: cancellation)),
            cancellation);
    }

    private async Task<T> ReadAsync<T>(Func<NpgsqlConnection, Task<T>> read, CancellationToken cancellation) =>
        await DatabaseResilience.Repeatable.ExecuteAsync(
            async token =>
            {
                await using var connection = await database.OpenConnectionAsync(token);
                return await read(connection);
            },
            cancellation);

    /// <summary>What goes of one purpose by one rule.</summary>
    /// <param name="PurposeId">The purpose; null at <c>*</c>.</param>
    /// <param name="Rule">A label of <see cref="PurgeRule"/>.</param>
    /// <param name="Now">By now.</param>
    /// <param name="In30Days">By 30 days from now.</param>
    /// <param name="In90Days">By 90 days from now.</param>
    public sealed record Row(int? PurposeId, string Rule, long Now, long In30Days, long In90Days);
}
