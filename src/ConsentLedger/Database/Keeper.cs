namespace ConsentLedger.Database;

/// <summary>
/// Keeps something up to date with the database: looks every second, by real time, since it is about disks and outages. While
/// the database is away what there is to do waits in it, and no defect ends the keeping.
/// </summary>
/// <param name="what">What is kept, for the log.</param>
/// <param name="log">Where defects are told.</param>
public abstract partial class Keeper(string what, ILogger log) : BackgroundService
{
    private static readonly TimeSpan Look = TimeSpan.FromSeconds(1);

    /// <summary>Does what there is to do.</summary>
    protected abstract Task KeepAsync(CancellationToken cancellation);

    /// <inheritdoc />
    protected sealed override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await KeepAsync(stoppingToken);
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                return;
            }
            catch (Exception away) when (DatabaseResilience.MeansAway(away))
            {
                // What there is to do is in the database and waits there.
            }
#pragma warning disable CA1031 // One defect must not end the keeping.
            catch (Exception defect)
#pragma warning restore CA1031
            {
                LogDefect(log, what, defect);
            }

            await Task.Delay(Look, TimeProvider.System, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    [LoggerMessage(LogLevel.Error, "Keeping {What} met a defect and goes on")]
    private static partial void LogDefect(ILogger log, string what, Exception defect);
}
