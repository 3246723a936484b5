using Npgsql;
using Polly;
using Polly.Retry;

namespace ConsentLedger.Database;

/// <summary>
/// What happens when the database falters: what can be repeated is, at once and twice, which carries a request over a
/// restart of the server and over pooled connections that died with it. After that the caller is told (503).
/// </summary>
public static class DatabaseResilience
{
    /// <summary>For single statements that may run twice: reads, and appends, whose event id makes them safe to repeat.</summary>
    public static ResiliencePipeline Repeatable { get; } = new ResiliencePipelineBuilder()
        .AddRetry(new RetryStrategyOptions
        {
            ShouldHandle = new PredicateBuilder().Handle<NpgsqlException>(IsAway),
            MaxRetryAttempts = 2,
            Delay = TimeSpan.FromMilliseconds(20),
            BackoffType = DelayBackoffType.Exponential,
            UseJitter = true,
        })
        .Build();

    /// <summary>True if this says that the database can't be asked now, and not that it was asked something wrong.</summary>
    public static bool IsAway(NpgsqlException exception) =>
        exception.IsTransient
        || exception is { InnerException: IOException or System.Net.Sockets.SocketException or TimeoutException }
        || exception is PostgresException
        {
            SqlState: PostgresErrorCodes.AdminShutdown or PostgresErrorCodes.CrashShutdown or PostgresErrorCodes.CannotConnectNow
            or PostgresErrorCodes.TooManyConnections,
        };
}
