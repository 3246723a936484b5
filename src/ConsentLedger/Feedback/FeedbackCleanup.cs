using Dapper;
using Npgsql;

namespace ConsentLedger.Feedback;

/// <summary>
/// Deletes what has served its time, once an hour: soft bounces that don't count any more, and Mailgun's tokens that are
/// too old to be shown again. Several instances may do so at once.
/// </summary>
internal sealed partial class FeedbackCleanup(NpgsqlDataSource database, SoftBounces bounces, TimeProvider clock, ILogger<FeedbackCleanup> log) : BackgroundService
{
    private static readonly TimeSpan Interval = TimeSpan.FromHours(1);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        using var timer = new PeriodicTimer(Interval, clock);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            try
            {
                await using var connection = await database.OpenConnectionAsync(stoppingToken);
                await connection.ExecuteAsync(new CommandDefinition(
                    "delete from soft_bounce where occurred_at <= @since", new { since = bounces.Since }, cancellationToken: stoppingToken));
                await connection.ExecuteAsync(new CommandDefinition(
                    "delete from mailgun_token where used_at <= @since",
                    new { since = clock.GetUtcNow() - FeedbackOptions.Tolerance - FeedbackOptions.Tolerance },
                    cancellationToken: stoppingToken));
            }
            catch (Exception exception) when (exception is not OperationCanceledException || !stoppingToken.IsCancellationRequested)
            {
                // Whatever it is, it must not end the service.
                LogPutOff(exception.GetType().Name, (exception as NpgsqlException)?.SqlState);
            }
        }
    }

    [LoggerMessage(LogLevel.Warning, "Old feedback could not be deleted and will be in an hour: {Type} {SqlState}")]
    private partial void LogPutOff(string type, string? sqlState);
}
