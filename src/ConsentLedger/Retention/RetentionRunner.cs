using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.Retention;

/// <summary>
/// Does the purge runs. One instance at a time, the leader, by an advisory lock on the very connection that deletes: a
/// leader that loses its connection can't commit any more, and the next one goes on with the run.
///
/// A run first appends what has run out as <c>expired</c> events, then deletes what is due, rule by rule and purpose by
/// purpose, in batches (<see cref="PurgeBatch"/>). Nothing but the run's row and the records of what it deleted is kept of
/// its progress: what has gone is not due any more, so a run that was interrupted starts over under its own id, finds the
/// rest, and its counters go on.
/// </summary>
public sealed partial class RetentionRunner(
    LedgerDatabase database, LedgerStore ledger, LedgerLog ledgerLog, KeyRing keys, PurgeRuns runs, RetentionForecast forecast,
    PurgeCertificates certificates, RetentionMetrics retentionMetrics, LedgerMetrics ledgerMetrics, RetentionOptions options, TimeProvider clock, ILogger<RetentionRunner> log)
{
    private const long AdvisoryLock = 0x434C_5055_5247_45;

    /// <summary>
    /// Asks for a run and does it, and returns it as it then stands. While a run is open already, that one is done
    /// instead; while another instance leads, this returns at once and the run is still open (<see cref="PurgeRun.IsOpen"/>).
    /// </summary>
    /// <param name="by">Who asks.</param>
    /// <param name="trigger">From where.</param>
    /// <param name="dryRun">True to count only.</param>
    /// <param name="progress">Told after each batch how the run stands.</param>
    /// <param name="cancellation">Stops after the batch under way; the next leader goes on with the run.</param>
    /// <exception cref="NpgsqlException">The database went away; the next leader goes on with the run.</exception>
    public async Task<PurgeRun> RunAsync(Actor by, PurgeTrigger trigger, bool dryRun, IProgress<PurgeRun>? progress, CancellationToken cancellation)
    {
        var run = await runs.RequestAsync(by, trigger, dryRun, cancellation);
        await WorkOffAsync(progress, cancellation);
        return (await runs.FindAsync(run.Id, cancellation))!;
    }

    /// <summary>Does the run that is open, if there is one and no other instance leads.</summary>
    /// <param name="progress">Told after each batch how the run stands.</param>
    /// <param name="cancellation">Stops after the batch under way; the next leader goes on with the run.</param>
    /// <exception cref="NpgsqlException">The database went away; the next leader goes on with the run.</exception>
    public async Task WorkOffAsync(IProgress<PurgeRun>? progress, CancellationToken cancellation)
    {
        if (await runs.FindOpenAsync(cancellation) is null)
        {
            return;
        }

        await using var session = database.OpenPurgeSession();
        await session.OpenAsync(cancellation);
        database.GiveWay(session);
        if (!await session.ExecuteScalarAsync<bool>("select pg_try_advisory_lock(@AdvisoryLock)", new { AdvisoryLock }))
        {
            return;
        }

        while (await runs.FindOpenAsync(cancellation) is { } run)
        {
            await DoAsync(session, run, progress, cancellation);
        }
    }

    private async Task DoAsync(NpgsqlConnection session, PurgeRun run, IProgress<PurgeRun>? progress, CancellationToken cancellation)
    {
        // One instant for the whole of it; a run that goes on after a crash takes what has become due meanwhile as well.
        var now = Instant.Of(clock.GetUtcNow());
        await session.ExecuteAsync(new CommandDefinition(
            "update purge_run set status = 'running', started_at = coalesce(started_at, @now) where run_id = @id",
            new { id = run.Id, now = now.UtcDateTime },
            cancellationToken: cancellation));
        try
        {
            if (run.DryRun)
            {
                await CountAsync(session, run.Id, now, cancellation);
            }
            else
            {
                await ExpireAsync(run.Id, now, progress, cancellation);
                await DeleteAsync(session, run.Id, now, progress, cancellation);
            }

            await FinishAsync(session, run.Id, PurgeStatus.Completed, await forecast.CountHeldBackAsync(now, cancellation), cancellation);
        }
        catch (Exception defect) when (defect is not OperationCanceledException && (defect is not NpgsqlException fault || !DatabaseResilience.IsAway(fault)))
        {
            LogDefect(defect, run.Id);
            await FinishAsync(session, run.Id, PurgeStatus.Failed, heldBack: 0, cancellation);
            return;
        }

        if (!run.DryRun)
        {
            retentionMetrics.Completed(clock.GetUtcNow());
        }

        if (await runs.FindAsync(run.Id, cancellation) is { } done)
        {
            progress?.Report(done);
            LogCompleted(done.Id, done.DryRun, done.Purged.Total, done.Expired, done.HeldBack);
        }
    }

    /// <summary>A dry run: everything a run would do, counted by the same rules.</summary>
    private async Task CountAsync(NpgsqlConnection session, Guid runId, DateTimeOffset now, CancellationToken cancellation)
    {
        const string Sql = """
            update purge_run
            set ended = @Ended, lapsed = @Lapsed, pending = @Pending, evidence = @Evidence, facets = @Facets, address = @Address, requests = @Requests, audit = @Audit,
                expired = @expired
            where run_id = @runId
            """;
        var rows = await forecast.CountAsync(now, cancellation);
        var expired = await forecast.CountRunOutAsync(now, cancellation);
        await session.ExecuteAsync(new CommandDefinition(
            Sql,
            new
            {
                Ended = Of(PurgeRule.Ended),
                Lapsed = Of(PurgeRule.Lapsed),
                Pending = Of(PurgeRule.Pending),
                Evidence = Of(PurgeRule.Evidence),
                Facets = Of(PurgeRule.Facets),
                Address = Of(PurgeRule.Address),
                Requests = Of(PurgeRule.Requests),
                Audit = Of(PurgeRule.Audit),
                expired,
                runId,
            },
            cancellationToken: cancellation));

        long Of(PurgeRule rule) => rows.Where(row => row.Rule == Label<PurgeRule>.Of(rule)).Sum(row => row.Now);
    }

    /// <summary>
    /// Appends an <c>expired</c> event for what has run out. Checks say so from the instant it runs out; this writes it
    /// into the history and starts the time after which it lapses. A batch of events and its count are durable together.
    /// </summary>
    private async Task ExpireAsync(Guid runId, DateTimeOffset now, IProgress<PurgeRun>? progress, CancellationToken cancellation)
    {
        const string Sql = $"""
            select purpose_id, kind::text, basis::text, occurred_at, expires_at, event_id, subscriber_id
            from consent_state
            where kind in {RuleSql.PermittingKinds} and expires_at <= $1
                and (expires_at, subscriber_id, purpose_id) > ($2, $3, $4)
            order by expires_at, subscriber_id, purpose_id
            limit $5
            """;
        var (afterTime, afterSubscriber, afterPurpose) = (PurgeBatch.Cursor.Start.OccurredAt, Guid.Empty, int.MinValue);
        while (true)
        {
            var due = await DatabaseResilience.Repeatable.ExecuteAsync(
                async token =>
                {
                    await using var command = database.Service.CreateCommand(Sql);
                    command.Parameters.AddWithValue(now.UtcDateTime);
                    command.Parameters.AddWithValue(afterTime.UtcDateTime);
                    command.Parameters.AddWithValue(afterSubscriber);
                    command.Parameters.AddWithValue(afterPurpose);
                    command.Parameters.AddWithValue(options.BatchSize);
                    await using var reader = await command.ExecuteReaderAsync(token);
                    var states = new List<(SubscriberId Subscriber, ConsentState State)>();
                    while (await reader.ReadAsync(token))
                    {
                        states.Add((new SubscriberId(reader.GetGuid(6)), LedgerStore.ReadState(reader)));
                    }

                    return states;
                },
                cancellation);
            if (due.Count == 0)
            {
                return;
            }

            var appended = await AppendExpiredAsync(runId, due, now, cancellation);
            ledgerMetrics.Appended(EventKind.Expired, appended);
            await ReportAsync(runId, progress, cancellation);
            var (subscriber, state) = due[^1];
            (afterTime, afterSubscriber, afterPurpose) = (state.ExpiresAt!.Value, subscriber.Value, state.Purpose.Value);
        }
    }

    private async Task<int> AppendExpiredAsync(
        Guid runId, List<(SubscriberId Subscriber, ConsentState State)> due, DateTimeOffset now, CancellationToken cancellation) =>
        await DatabaseResilience.Repeatable.ExecuteAsync(
            async token =>
            {
                await using var connection = await database.Service.OpenConnectionAsync(token);
                await using var transaction = await connection.BeginTransactionAsync(token);
                var ordered = due.OrderBy(row => row.Subscriber.ToString(), StringComparer.Ordinal).ThenBy(row => row.State.Purpose.Value);
                var appended = await ledger.AppendExpiredAsync(connection, ordered, keys.EventIdKey, now, token);
                await connection.ExecuteAsync(new CommandDefinition(
                    "update purge_run set expired = expired + @appended where run_id = @runId", new { appended, runId }, cancellationToken: token));
                await transaction.CommitAsync(token);
                return appended;
            },
            cancellation);

    private async Task DeleteAsync(NpgsqlConnection session, Guid runId, DateTimeOffset now, IProgress<PurgeRun>? progress, CancellationToken cancellation)
    {
        var purposes = (await session.QueryAsync<int>(new CommandDefinition(
            "select purpose_id from purpose order by purpose_id", cancellationToken: cancellation))).AsList();
        var batch = new PurgeBatch(session, runId, now, options);
        foreach (var purpose in purposes)
        {
            await DeleteAsync(PurgeRule.Ended, purpose);
            await DeleteLapsedAsync(purpose);
            await DeleteAsync(PurgeRule.Pending, purpose);
            await DeleteAsync(PurgeRule.Evidence, purpose);
        }

        foreach (var facet in (int[])[0, -1, -2])
        {
            await DeleteAsync(PurgeRule.Facets, facet);
        }

        await DeleteAsync(PurgeRule.Requests, 0);
        await DeleteAsync(PurgeRule.Audit, 0);

        async Task DeleteAsync(PurgeRule rule, int purpose)
        {
            var after = PurgeBatch.Cursor.Start;
            while (await batch.DeleteAsync(rule, purpose, after, cancellation) is { } outcome)
            {
                after = outcome.Last;
                await NoteAsync(rule, outcome);
            }
        }

        async Task DeleteLapsedAsync(int purpose)
        {
            var after = PurgeBatch.Cursor.Start;
            while (await batch.FindLapsedAsync(purpose, after, cancellation) is ({ Length: > 0 } found, var last))
            {
                foreach (var some in found.Chunk(options.BatchSize))
                {
                    await NoteAsync(PurgeRule.Lapsed, await batch.DeleteLapsedAsync(purpose, some, cancellation));
                }

                after = last;
            }
        }

        async Task NoteAsync(PurgeRule rule, PurgeBatch.Outcome outcome)
        {
            retentionMetrics.Purged(rule, outcome.Deleted);
            retentionMetrics.Purged(PurgeRule.Address, outcome.Addresses);
            await ReportAsync(runId, progress, cancellation);
        }
    }

    private async Task ReportAsync(Guid runId, IProgress<PurgeRun>? progress, CancellationToken cancellation)
    {
        if (progress is not null && await runs.FindAsync(runId, cancellation) is { } run)
        {
            progress.Report(run);
        }
    }

    /// <summary>Ends a run, with its certificate: the two are there together, or the run goes on.</summary>
    private async Task FinishAsync(NpgsqlConnection session, Guid runId, PurgeStatus status, long heldBack, CancellationToken cancellation)
    {
        const string Sql = """
            update purge_run
            set status = @status::purge_status, finished_at = @now, held_back = @heldBack, certificate = @certificate, certificate_signature = @signature
            where run_id = @runId
            """;
        var now = Instant.Of(clock.GetUtcNow());
        var (certificate, signature) = ((byte[]?)null, (string?)null);
        if (await runs.FindAsync(runId, cancellation) is { DryRun: false } run)
        {
            // It names the positions of what went.
            await ledgerLog.CatchUpAsync(cancellation);
            (certificate, signature) = await certificates.MakeAsync(run with { Status = status, FinishedAt = now, HeldBack = heldBack }, cancellation);
        }

        await session.ExecuteAsync(new CommandDefinition(
            Sql,
            new { status = Label<PurgeStatus>.Of(status), now = now.UtcDateTime, heldBack, certificate, signature, runId },
            cancellationToken: cancellation));
    }

    [LoggerMessage(LogLevel.Information, "Purge run {RunId} (dry run: {DryRun}) is done: {Purged} records purged, {Expired} consents expired, {HeldBack} subscribers held back")]
    private partial void LogCompleted(Guid runId, bool dryRun, long purged, long expired, long heldBack);

    [LoggerMessage(LogLevel.Error, "Purge run {RunId} ended in a defect; what it had deleted is recorded, and the next run starts over")]
    private partial void LogDefect(Exception defect, Guid runId);
}
