using Npgsql;

namespace ConsentLedger.Database;

/// <summary>A row of a table that is worked off.</summary>
internal interface IQueuedRow
{
    /// <summary>What it is called in the log.</summary>
    Guid Id { get; }

    /// <summary>How often it could not be worked off.</summary>
    int Attempts { get; }
}

/// <summary>
/// Works off what was received into a table: at once when woken, and within seconds where another instance received it or
/// has gone. Each row is one transaction, in which whatever comes of it is durable; a crash leaves the row as it was
/// received, for the next look, here or elsewhere. One that can't be worked off is put off, ever longer, so that it does not
/// stand in the way of the others.
/// </summary>
/// <param name="database">Where the table is.</param>
/// <param name="queue">What the rows are, for the log.</param>
/// <param name="atOnce">How many are worked on at the same time, at most; there is one transaction for each.</param>
/// <param name="clock">What time it is.</param>
/// <param name="log">Where faults are told.</param>
internal abstract partial class QueueWorker<TRow>(NpgsqlDataSource database, string queue, int atOnce, TimeProvider clock, ILogger log) : BackgroundService
    where TRow : class, IQueuedRow
{
    private const int MaxDoublings = 7;
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(5);

    private readonly WakeUp wakeUp = new(clock);

    /// <summary>Has what was received worked off now instead of within seconds.</summary>
    public void Wake() => wakeUp.Call();

    protected NpgsqlDataSource Database => database;

    protected DateTimeOffset Now => Instant.Of(clock.GetUtcNow());

    /// <summary>The next row that is due, locked in the connection's transaction, and none that somebody else has locked; null if there is none.</summary>
    protected abstract Task<TRow?> TakeAsync(NpgsqlConnection connection, CancellationToken cancellation);

    /// <summary>Does what is to be done about a row, in the transaction that took it, and sees to it that the row is not due again.</summary>
    protected abstract Task WorkOffAsync(NpgsqlConnection connection, TRow row, CancellationToken cancellation);

    /// <summary>Counts an attempt, and has the row wait until then.</summary>
    protected abstract Task PutOffAsync(NpgsqlConnection connection, TRow row, DateTimeOffset until, CancellationToken cancellation);

    /// <summary>What follows once a row's transaction is durable.</summary>
    protected virtual void Committed()
    {
    }

    /// <summary>What is to be done now and then, when all is worked off.</summary>
    protected virtual Task CleanUpAsync(CancellationToken cancellation) => Task.CompletedTask;

    /// <inheritdoc />
    protected sealed override Task ExecuteAsync(CancellationToken stoppingToken) =>
        Task.WhenAll(Enumerable.Range(0, atOnce).Select(number => WorkAsync(number == 0, stoppingToken)));

    /// <summary>One looks by itself every few seconds; the others come when there is more to do than it can.</summary>
    private async Task WorkAsync(bool first, CancellationToken stop)
    {
        while (true)
        {
            try
            {
                while (await WorkOffNextAsync(stop))
                {
                    // Until there is none left.
                }

                if (first)
                {
                    await CleanUpAsync(stop);
                }
            }
            catch (Exception away) when (DatabaseResilience.MeansAway(away))
            {
                LogAway(queue, away.GetType().Name, (away as NpgsqlException)?.SqlState);
            }
            catch (Exception defect) when (defect is not OperationCanceledException || !stop.IsCancellationRequested)
            {
                LogDefect(queue, defect);
            }

            await wakeUp.WaitAsync(first ? Look : Timeout.InfiniteTimeSpan, stop);
        }
    }

    private async Task<bool> WorkOffNextAsync(CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        TRow? row;
        await using (var transaction = await connection.BeginTransactionAsync(cancellation))
        {
            row = await TakeAsync(connection, cancellation);
            if (row is null)
            {
                return false;
            }

            if (atOnce > 1)
            {
                // Where there is one there may be more.
                wakeUp.Call();
            }

            try
            {
                await WorkOffAsync(connection, row, cancellation);
                await transaction.CommitAsync(cancellation);
                Committed();
                return true;
            }
            catch (Exception fault) when (fault is not OperationCanceledException && !DatabaseResilience.MeansAway(fault))
            {
                LogPutOff(queue, row.Id, fault);
            }
        }

        await PutOffAsync(connection, row, Now.AddMinutes(Math.Pow(2, Math.Min(row.Attempts, MaxDoublings))), cancellation);
        return true;
    }

    [LoggerMessage(LogLevel.Warning, "Work on {Queue} waits, because the ledger can't be asked: {Type} {SqlState}")]
    private partial void LogAway(string queue, string type, string? sqlState);

    [LoggerMessage(LogLevel.Error, "Work on {Queue} met a defect with {Row}, which is put off")]
    private partial void LogPutOff(string queue, Guid row, Exception defect);

    [LoggerMessage(LogLevel.Error, "Work on {Queue} met a defect and goes on")]
    private partial void LogDefect(string queue, Exception defect);
}
