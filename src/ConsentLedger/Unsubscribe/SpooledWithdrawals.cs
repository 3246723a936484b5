using ConsentLedger.Choices;
using ConsentLedger.Database;

namespace ConsentLedger.Unsubscribe;

/// <summary>Applies what is in the <see cref="WithdrawalSpool"/>, as soon as the ledger can be asked.</summary>
public sealed partial class SpooledWithdrawals(WithdrawalSpool spool, Withdrawals withdrawals, LedgerDatabase database, ILogger<SpooledWithdrawals> log)
    : BackgroundService
{
    // By real time, as the outage.
    private static readonly TimeSpan TryAgain = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan TryRefusedAgain = TimeSpan.FromMinutes(1);

    /// <inheritdoc />
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        try
        {
            while (true)
            {
                await spool.WaitAsync(stoppingToken);
                while (await ApplyAsync(stoppingToken) is { } pause)
                {
                    await Task.Delay(pause, TimeProvider.System, stoppingToken);
                }
            }
        }
        catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
        {
            // What is left is on disk, for the next start.
        }
    }

    /// <summary>Applies what there is. Null when that is all, otherwise how long to wait before the next attempt.</summary>
    private async Task<TimeSpan?> ApplyAsync(CancellationToken cancellation)
    {
        TimeSpan? pause = null;
        var applied = 0;
        try
        {
            foreach (var (id, withdrawal) in spool.Read())
            {
                try
                {
                    await database.ShortWork.ExecuteAsync(
                        async token => await withdrawals.ApplyKeptAsync(id, withdrawal, token), cancellation);
                    spool.Remove(id);
                    applied++;
                }
#pragma warning disable CA1031 // What is the matter with one must not keep the others waiting.
                catch (Exception defect) when (defect is not OperationCanceledException && !DatabaseResilience.MeansAway(defect))
#pragma warning restore CA1031
                {
                    LogDefect(defect, id);
                    pause = TryRefusedAgain;
                }
            }
        }
        catch (Exception fault) when (DatabaseResilience.MeansAway(fault))
        {
            pause = TryAgain;
        }
        catch (IOException fault)
        {
            LogUnreadable(fault);
            pause = TryRefusedAgain;
        }

        if (applied > 0)
        {
            LogApplied(applied);
        }

        return pause;
    }

    [LoggerMessage(LogLevel.Information, "Unsubscribes applied that were kept on disk: {Count}")]
    private partial void LogApplied(int count);

    [LoggerMessage(LogLevel.Error, "An unsubscribe that is kept on disk can't be applied yet: {Record}")]
    private partial void LogDefect(Exception defect, Guid record);

    [LoggerMessage(LogLevel.Error, "The unsubscribes that are kept on disk can't be read")]
    private partial void LogUnreadable(Exception fault);
}
