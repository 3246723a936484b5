using ConsentLedger.Database;
using ConsentLedger.Security;
using Dapper;
using Npgsql;

namespace ConsentLedger.Retention;

/// <summary>The purge runs in the database: asked for and read as the service. What moves them on is the runner's.</summary>
public sealed class PurgeRuns(NpgsqlDataSource database, AuditTrail audit, TimeProvider clock)
{
    private const string Columns = """
        run_id, status::text, trigger::text, dry_run, requested_at, started_at, finished_at,
        ended, lapsed, pending, evidence, facets, address, requests, audit, expired, held_back
        """;

    /// <summary>
    /// Asks for a run, and returns it, or the one that waits or runs already: there is one at a time. Durable when this
    /// returns; whichever instance leads takes it up, after a crash too.
    /// </summary>
    public async Task<PurgeRun> RequestAsync(Actor by, PurgeTrigger trigger, bool dryRun, CancellationToken cancellation)
    {
        while (true)
        {
            var id = await InsertAsync(by, trigger, dryRun, scheduledFor: null, cancellation);
            var run = id is { } made ? await FindAsync(made, cancellation) : await FindOpenAsync(cancellation);
            if (run is not null)
            {
                return run;
            }

            // The one that was in the way ended between the two statements: now there is room.
        }
    }

    /// <summary>
    /// Asks for the run of one time of the schedule. Every instance does so; one of them gets it, once. While another run
    /// is open this does nothing: that one does the work.
    /// </summary>
    public Task RequestScheduledAsync(DateTimeOffset scheduledFor, CancellationToken cancellation) =>
        InsertAsync(Actor.Service, PurgeTrigger.Schedule, dryRun: false, scheduledFor, cancellation);

    /// <summary>True if the installation was there at that time and no run was asked for since: its schedule was missed.</summary>
    public Task<bool> IsMissedAsync(DateTimeOffset scheduledFor, CancellationToken cancellation) =>
        ReadAsync(
            connection => connection.ExecuteScalarAsync<bool>(new CommandDefinition(
                """
                select exists (select from installation where created_at <= @time)
                    and not exists (select from purge_run where not dry_run and requested_at >= @time)
                """,
                new { time = scheduledFor.UtcDateTime },
                cancellationToken: cancellation)),
            cancellation);

    /// <summary>One run, or null.</summary>
    public Task<PurgeRun?> FindAsync(Guid id, CancellationToken cancellation) =>
        FirstAsync($"select {Columns} from purge_run where run_id = @id", new { id }, cancellation);

    /// <summary>The run that waits or runs, or null.</summary>
    public Task<PurgeRun?> FindOpenAsync(CancellationToken cancellation) =>
        FirstAsync($"select {Columns} from purge_run where status in ('pending', 'running')", null, cancellation);

    /// <summary>Runs, the one asked for last first: those before <paramref name="before"/>, at most <paramref name="limit"/>.</summary>
    public async Task<IReadOnlyList<PurgeRun>> ListAsync(Guid? before, int limit, CancellationToken cancellation)
    {
        const string Sql = $"select {Columns} from purge_run where run_id < @before order by run_id desc limit @limit";
        return await ReadAsync(
            async connection =>
            {
                var rows = await connection.QueryAsync<Row>(new CommandDefinition(
                    Sql, new { before = before ?? Guid.AllBitsSet, limit }, cancellationToken: cancellation));
                return rows.Select(row => row.ToRun()).ToList();
            },
            cancellation);
    }

    private async Task<Guid?> InsertAsync(
        Actor by, PurgeTrigger trigger, bool dryRun, DateTimeOffset? scheduledFor, CancellationToken cancellation)
    {
        // The id is made here, so that a repeat whose first answer was lost can't make two.
        const string Sql = """
            insert into purge_run (run_id, trigger, dry_run, scheduled_for, requested_at)
            values (@id, @trigger::purge_trigger, @dryRun, @scheduledFor, @now)
            on conflict do nothing
            """;
        var now = Instant.Of(clock.GetUtcNow());
        var id = Guid.CreateVersion7(now);
        await ReadAsync(
            async connection =>
            {
                await using var transaction = await connection.BeginTransactionAsync(cancellation);
                var made = await connection.ExecuteAsync(new CommandDefinition(
                    Sql,
                    new { id, trigger = Label<PurgeTrigger>.Of(trigger), dryRun, scheduledFor = scheduledFor?.UtcDateTime, now = now.UtcDateTime },
                    cancellationToken: cancellation));
                if (made == 1)
                {
                    await audit.WriteAsync(connection, by, Requested(id, dryRun), cancellation);
                    await transaction.CommitAsync(cancellation);
                }

                return made;
            },
            cancellation);
        return (await FindAsync(id, cancellation))?.Id;
    }

    private static AuditEntry Requested(Guid id, bool dryRun) => new(AuditAction.PurgeRequested)
    {
        Target = id.ToString("D"),
        Details = new Dictionary<string, string> { ["dryRun"] = dryRun ? "true" : "false" },
    };

    private async Task<PurgeRun?> FirstAsync(string sql, object? parameters, CancellationToken cancellation) =>
        await ReadAsync(
            async connection => (await connection.QueryFirstOrDefaultAsync<Row>(new CommandDefinition(sql, parameters, cancellationToken: cancellation)))?.ToRun(),
            cancellation);

    private async Task<T> ReadAsync<T>(Func<NpgsqlConnection, Task<T>> read, CancellationToken cancellation) =>
        await DatabaseResilience.Repeatable.ExecuteAsync(
            async token =>
            {
                await using var connection = await database.OpenConnectionAsync(token);
                return await read(connection);
            },
            cancellation);

    /// <summary>In the order of <see cref="Columns"/>, as Dapper needs it.</summary>
    private sealed record Row(
        Guid RunId, string Status, string Trigger, bool DryRun, DateTimeOffset RequestedAt, DateTimeOffset? StartedAt, DateTimeOffset? FinishedAt,
        long Ended, long Lapsed, long Pending, long Evidence, long Facets, long Address, long Requests, long Audit, long Expired, long HeldBack)
    {
        public PurgeRun ToRun() => new(
            RunId, Label<PurgeStatus>.Parse(Status), Label<PurgeTrigger>.Parse(Trigger), DryRun, RequestedAt, StartedAt, FinishedAt,
            new PurgeCounts(Ended, Lapsed, Pending, Evidence, Facets, Address, Requests, Audit), Expired, HeldBack);
    }
}
