using Npgsql;

namespace ConsentLedger.Database;

/// <summary>
/// Deletes what has served its time, once an hour. Several instances may do so at once. Whatever goes wrong is put off for an
/// hour: it must not end the service.
/// </summary>
/// <param name="what">What is deleted, as the first words of a sentence.</param>
/// <param name="clock">The time.</param>
/// <param name="log">Where it is told that it was put off.</param>
public abstract partial class HourlyCleanup(string what, TimeProvider clock, ILogger log) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromHours(1);

    /// <summary>Deletes it. A crash half way leaves the rest for the next hour.</summary>
    protected abstract Task DeleteAsync(CancellationToken cancellation);

    /// <inheritdoc />
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, clock);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                await DeleteAsync(stoppingToken);
            }
            catch (Exception exception) when (exception is not OperationCanceledException || !stoppingToken.IsCancellationRequested)
            {
                LogPutOff(log, what, exception.GetType().Name, (exception as NpgsqlException)?.SqlState);
            }
        }
    }

    [LoggerMessage(LogLevel.Warning, "{What} could not be deleted and will be in an hour: {Type} {SqlState}")]
    private static partial void LogPutOff(ILogger log, string what, string type, string? sqlState);
}
