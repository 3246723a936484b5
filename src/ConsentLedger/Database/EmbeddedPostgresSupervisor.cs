using Polly;
using Polly.Retry;

namespace ConsentLedger.Database;

/// <summary>
/// Looks at the private cluster once a second, and starts it again on the same port when its server process died:
/// killed by hand, by the kernel for want of memory, or stopped with <c>pg_ctl</c>. Tries until it succeeds, at longest every
/// ten seconds. Does nothing for a configured server.
/// </summary>
public sealed partial class EmbeddedPostgresSupervisor(PostgresServer server, TimeProvider clock, ILogger<EmbeddedPostgresSupervisor> logger)
    : BackgroundService
{
    /// <inheritdoc />
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (!server.IsEmbedded)
        {
            return;
        }

        var restarting = new ResiliencePipelineBuilder { TimeProvider = clock }
            .AddRetry(new RetryStrategyOptions
            {
                ShouldHandle = new PredicateBuilder().Handle<Exception>(failure => failure is not OperationCanceledException),
                MaxRetryAttempts = int.MaxValue,
                BackoffType = DelayBackoffType.Exponential,
                Delay = TimeSpan.FromMilliseconds(200),
                MaxDelay = TimeSpan.FromSeconds(10),
                OnRetry = failed =>
                {
                    LogFailed(logger, failed.Outcome.Exception?.Message);
                    return ValueTask.CompletedTask;
                },
            })
            .Build();
        using var timer = new PeriodicTimer(TimeSpan.FromSeconds(1), clock);
        while (await timer.WaitForNextTickAsync(stoppingToken))
        {
            await restarting.ExecuteAsync(
                async token =>
                {
                    if (!server.IsRunning)
                    {
                        await server.RestartAsync(token);
                        LogRestarted(logger, server.Description);
                    }
                },
                stoppingToken);
        }
    }

    [LoggerMessage(LogLevel.Warning, "The database had stopped by itself and was started again: {Description}")]
    private static partial void LogRestarted(ILogger logger, string description);

    [LoggerMessage(LogLevel.Error, "The database has stopped and does not start again yet: {Reason}")]
    private static partial void LogFailed(ILogger logger, string? reason);
}
