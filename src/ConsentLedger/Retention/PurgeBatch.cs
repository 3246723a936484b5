using ConsentLedger.Database;
using ConsentLedger.PersonalData;
using Dapper;
using Npgsql;

namespace ConsentLedger.Retention;

/// <summary>
/// One batch of one rule: a short transaction as consentledger_purge. The states it is about are locked first, then the
/// rows of the addresses, so that an append for one of them is either seen by everything that follows or waits, survives,
/// and is compared with the state this leaves. Who locks states locks nothing before; what somebody else has locked, a
/// state or an address, is left for the next run. So nobody waits for two things, and there is no deadlock. A check is a
/// plain read and waits for nothing.
///
/// What is deleted, the addresses of those of whom no event is left, the purge records, the suppressions that stay and the
/// run's counters commit together: a crash leaves the whole batch or nothing of it.
/// </summary>
internal sealed partial class PurgeBatch(NpgsqlConnection connection, Guid runId, DateTimeOffset now, RetentionOptions options)
{
    /// <summary>How many candidates are sorted at a time: a few megabytes.</summary>
    private const int FoundAtOnce = 100_000;

    /// <summary>
    /// Deletes the next batch and commits, or returns null if nothing is left after <paramref name="after"/>.
    /// </summary>
    /// <param name="rule">Which rule; what has lapsed goes by <see cref="DeleteLapsedAsync"/>.</param>
    /// <param name="purpose">Which purpose or facet.</param>
    /// <param name="after">Where the last batch ended: what was passed by is not met again in this run.</param>
    /// <param name="cancellation">Ends the wait; nothing of the batch is kept then.</param>
    public async Task<Outcome?> DeleteAsync(PurgeRule rule, int purpose, Cursor after, CancellationToken cancellation)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        if (rule is PurgeRule.Requests or PurgeRule.Audit)
        {
            // Whose they are may have no state to lock.
            await connection.ExecuteAsync(new CommandDefinition(
                "select pg_advisory_xact_lock_shared(@AdvisoryLock)", new { LegalHold.AdvisoryLock }, cancellationToken: cancellation));
        }

        if (rule == PurgeRule.Audit)
        {
            var gone = await ScalarAsync(
                DeleteAudit, new { now = now.UtcDateTime, size = options.BatchSize, auditKept = options.Accountability.Audit.ToString() }, cancellation);
            if (gone == 0)
            {
                return null;
            }

            await CountAsync(rule, new Outcome(gone, 0, after), cancellation);
            await transaction.CommitAsync(cancellation);
            return new Outcome(gone, 0, after);
        }

        var locked = await LockAsync(rule, purpose, after, cancellation);
        return locked.Count == 0 ? null : await DeleteAsync(transaction, rule, purpose, locked, cancellation);
    }

    /// <summary>
    /// The next of those whose pair may have lapsed for long enough, for <see cref="DeleteLapsedAsync"/>; nobody if nobody is left
    /// after <paramref name="after"/>. They are found in the order of time and handed out in that of their ids, in which everything
    /// about them lies: a page of an index is then read and written once for all whom it is about.
    /// </summary>
    /// <param name="purpose">Which purpose.</param>
    /// <param name="after">Where the last that were found end.</param>
    /// <param name="cancellation">Ends the wait.</param>
    public async Task<(Guid[] Subscribers, Cursor Last)> FindLapsedAsync(int purpose, Cursor after, CancellationToken cancellation)
    {
        var found = Cursors(await connection.QueryAsync<CursorRow>(new CommandDefinition(
            FindLapsed,
            new { purpose, now = now.UtcDateTime, size = FoundAtOnce, afterTime = after.OccurredAt.UtcDateTime, afterSubscriber = after.SubscriberId },
            cancellationToken: cancellation)));
        return ([.. Subscribers(found).Order()], found.LastOrDefault(after));
    }

    /// <summary>Deletes what has lapsed of these, as far as it is due once they are locked, and commits.</summary>
    public async Task<Outcome> DeleteLapsedAsync(int purpose, Guid[] found, CancellationToken cancellation)
    {
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var locked = Cursors(await connection.QueryAsync<CursorRow>(new CommandDefinition(
            LockLapsed, new { purpose, now = now.UtcDateTime, found }, cancellationToken: cancellation)));
        return locked.Count == 0 ? default : await DeleteAsync(transaction, PurgeRule.Lapsed, purpose, locked, cancellation);
    }

    private async Task<Outcome> DeleteAsync(NpgsqlTransaction transaction, PurgeRule rule, int purpose, List<Cursor> locked, CancellationToken cancellation)
    {
        // A hold that was placed since the candidates were read is seen here. One that is being placed waits for the
        // states that are locked, so once it is answered nothing more of that subscriber goes.
        var free = await LockAddressesAsync(locked, cancellation);
        var due = locked.Where(row => free.Contains(row.SubscriberId)).ToList();
        var outcome = due.Count == 0 ? new Outcome(0, 0, locked[^1])
            : rule == PurgeRule.Evidence ? new Outcome(await DeleteOneByOneAsync(DeleteEvidence, due, cancellation), 0, locked[^1])
            : rule == PurgeRule.Requests ? new Outcome(await DeleteOneByOneAsync(DeleteRequests, due, cancellation), 0, locked[^1])
            : await DeleteEventsAsync(rule, purpose, due, locked[^1], cancellation);
        await CountAsync(rule, outcome, cancellation);
        await transaction.CommitAsync(cancellation);
        return outcome;
    }

    private async Task<List<Cursor>> LockAsync(PurgeRule rule, int purpose, Cursor after, CancellationToken cancellation)
    {
        var sql = rule switch
        {
            PurgeRule.Ended => LockEnded,
            PurgeRule.Pending => LockPending,
            PurgeRule.Evidence => LockEvidence,
            PurgeRule.Requests => LockRequests,
            _ => LockFacets,
        };
        var rows = await connection.QueryAsync<CursorRow>(new CommandDefinition(
            sql,
            new
            {
                purpose,
                now = now.UtcDateTime,
                size = options.BatchSize,
                requestsKept = options.Accountability.Requests.ToString(),
                afterTime = after.OccurredAt.UtcDateTime,
                afterSubscriber = after.SubscriberId,
                afterEvent = after.EventId,
            },
            cancellationToken: cancellation));
        return Cursors(rows);
    }

    private static List<Cursor> Cursors(IEnumerable<CursorRow> rows) =>
        [.. rows.Select(row => new Cursor(row.OccurredAt, row.SubscriberId, row.EventId, row.StandsBy))];

    private async Task<HashSet<Guid>> LockAddressesAsync(List<Cursor> locked, CancellationToken cancellation)
    {
        var subscribers = Subscribers(locked).Distinct().ToArray();
        return [.. await connection.QueryAsync<Guid>(new CommandDefinition(LockAddresses, new { subscribers }, cancellationToken: cancellation))];
    }

    private async Task<Outcome> DeleteEventsAsync(PurgeRule rule, int purpose, List<Cursor> due, Cursor last, CancellationToken cancellation)
    {
        var parameters = new
        {
            // Side by side: of these rules a subscriber has one state.
            subscribers = Subscribers(due),
            standBy = due.Select(row => row.StandsBy).ToArray(),
            purpose,
            runId,
            rule = Label<PurgeRule>.Of(rule),
            now = now.UtcDateTime,
        };
        if (rule == PurgeRule.Facets)
        {
            await connection.ExecuteAsync(new CommandDefinition(KeepSuppression, parameters, cancellationToken: cancellation));
        }

        var delete = rule switch { PurgeRule.Facets => DeleteFacets, PurgeRule.Pending => DeleteUnanswered, _ => DeletePairs };
        var (events, addresses) = await connection.QuerySingleAsync<(long, long)>(new CommandDefinition(delete, parameters, cancellationToken: cancellation));
        if (rule is PurgeRule.Facets or PurgeRule.Pending)
        {
            await connection.ExecuteAsync(new CommandDefinition(RecomputeStates, parameters, cancellationToken: cancellation));
        }

        return new Outcome(events, addresses, last);
    }

    private Task<long> DeleteOneByOneAsync(string sql, List<Cursor> due, CancellationToken cancellation) => ScalarAsync(
        sql,
        new
        {
            // Side by side: a subscriber stands once for each.
            subscribers = Subscribers(due),
            events = due.Select(row => row.EventId).ToArray(),
            runId,
            now = now.UtcDateTime,
        },
        cancellation);

    private async Task CountAsync(PurgeRule rule, Outcome outcome, CancellationToken cancellation)
    {
        const string Sql = """
            update purge_run
            set ended = ended + case when @rule = 'ended' then @deleted else 0 end,
                lapsed = lapsed + case when @rule = 'lapsed' then @deleted else 0 end,
                pending = pending + case when @rule = 'pending' then @deleted else 0 end,
                evidence = evidence + case when @rule = 'evidence' then @deleted else 0 end,
                facets = facets + case when @rule = 'facets' then @deleted else 0 end,
                requests = requests + case when @rule = 'requests' then @deleted else 0 end,
                audit = audit + case when @rule = 'audit' then @deleted else 0 end,
                address = address + @addresses
            where run_id = @runId
            """;
        await connection.ExecuteAsync(new CommandDefinition(
            Sql, new { outcome.Deleted, outcome.Addresses, runId, rule = Label<PurgeRule>.Of(rule) }, cancellationToken: cancellation));
    }

    private static Guid[] Subscribers(List<Cursor> rows) => [.. rows.Select(row => row.SubscriberId)];

    private Task<long> ScalarAsync(string sql, object parameters, CancellationToken cancellation) =>
        connection.ExecuteScalarAsync<long>(new CommandDefinition(sql, parameters, cancellationToken: cancellation));

    /// <summary>Where a batch ended.</summary>
    internal readonly record struct Cursor(DateTimeOffset OccurredAt, Guid SubscriberId, Guid EventId, Guid? StandsBy = null)
    {
        /// <summary>Before everything.</summary>
        public static readonly Cursor Start = new(DateTimeOffset.UnixEpoch.AddDays(-1), Guid.Empty, Guid.Empty);
    }

    /// <summary>What a batch did.</summary>
    /// <param name="Deleted">How many records went by its rule.</param>
    /// <param name="Addresses">How many addresses went with the last event of their holder.</param>
    /// <param name="Last">Where it ended.</param>
    internal readonly record struct Outcome(long Deleted, long Addresses, Cursor Last);

    /// <summary>Filled by name; the rules read different columns.</summary>
    private sealed class CursorRow
    {
        public Guid SubscriberId { get; init; }

        public DateTimeOffset OccurredAt { get; init; }

        public Guid EventId { get; init; }

        public Guid? StandsBy { get; init; }
    }
}
