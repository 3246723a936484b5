using Npgsql;

namespace ConsentLedger.Http;

/// <summary>
/// Deletes kept answers that nobody can ask for any more, once an hour. Several instances may do so at once; a crash
/// between batches leaves the rest for the next hour.
/// </summary>
internal sealed partial class IdempotencyCleanup(IdempotencyStore store, TimeProvider clock, ILogger<IdempotencyCleanup> log) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromHours(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, clock);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                await store.DeleteOutlivedAsync(stoppingToken);
            }
            catch (Exception exception) when (exception is not OperationCanceledException || !stoppingToken.IsCancellationRequested)
            {
                // Whatever it is, it must not end the service.
                LogPutOff(exception.GetType().Name, (exception as NpgsqlException)?.SqlState);
            }
        }
    }

    [LoggerMessage(LogLevel.Warning, "Kept answers could not be deleted and will be in an hour: {Type} {SqlState}")]
    private partial void LogPutOff(string type, string? sqlState);
}
