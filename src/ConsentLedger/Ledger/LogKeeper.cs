using System.Diagnostics;
using ConsentLedger.Database;
using Npgsql;

namespace ConsentLedger.Ledger;

/// <summary>
/// Enters events in the log within about a second. Several instances look; one at a time does it. After each batch it rests
/// three times as long as that took, so that a list of a million holds nobody up; its log then follows within minutes.
/// </summary>
internal sealed partial class LogKeeper(LedgerLog ledgerLog, ILogger<LogKeeper> log) : BackgroundService
{
    private const int RestFor = 3;

    // By real time: it is about processors and outages.
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                var start = Stopwatch.GetTimestamp();
                await foreach (var _ in ledgerLog.EnterAsync(wait: false, stoppingToken))
                {
                    await Task.Delay(RestFor * Stopwatch.GetElapsedTime(start), TimeProvider.System, stoppingToken);
                    start = Stopwatch.GetTimestamp();
                }
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception away) when (DatabaseResilience.MeansAway(away))
            {
                // What waits for its position waits in the database.
            }
#pragma warning disable CA1031 // One defect must not end the keeping of the log.
            catch (Exception defect)
#pragma warning restore CA1031
            {
                LogDefect(defect, (defect as NpgsqlException)?.SqlState);
            }

            await Task.Delay(Look, TimeProvider.System, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    [LoggerMessage(LogLevel.Error, "Keeping the log met a defect and goes on: {SqlState}")]
    private partial void LogDefect(Exception defect, string? sqlState);
}
