using Npgsql;
using Polly;
using Polly.CircuitBreaker;
using Polly.Retry;
using Polly.Timeout;

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

    /// <summary>
    /// A circuit of one database's own. Once a fifth of what was asked in three seconds failed, and twice at least, it
    /// opens: for half a second nothing is asked, and callers are told at once instead of after a timeout each; then one
    /// of them tries. It goes by real time, like the outage.
    /// </summary>
    public static ResiliencePipeline NewCircuit() => new ResiliencePipelineBuilder()
        .AddCircuitBreaker(new CircuitBreakerStrategyOptions
        {
            ShouldHandle = new PredicateBuilder().Handle<NpgsqlException>(IsAway).Handle<TimeoutRejectedException>(),
            FailureRatio = 0.2,
            MinimumThroughput = 2,
            SamplingDuration = TimeSpan.FromSeconds(3),
            BreakDuration = TimeSpan.FromMilliseconds(500),
        })
        .Build();

    /// <summary>What is repeatable, behind a circuit, and given up for lost after some time.</summary>
    public static ResiliencePipeline Behind(ResiliencePipeline circuit, TimeSpan patience) =>
        new ResiliencePipelineBuilder().AddPipeline(circuit).AddTimeout(patience).AddPipeline(Repeatable).Build();

    /// <summary>True if this says that the database can't be asked now, whoever found out.</summary>
    public static bool MeansAway(Exception exception) =>
        exception is BrokenCircuitException or TimeoutRejectedException or RoundTripsFullException || (exception is NpgsqlException failed && IsAway(failed));

    /// <summary>True if this says that the database can't be asked now, and not that it was asked something wrong.</summary>
    public static bool IsAway(NpgsqlException exception) =>
        exception.IsTransient
        || exception is { InnerException: IOException or System.Net.Sockets.SocketException or TimeoutException }
        || exception is PostgresException
        {
            SqlState: PostgresErrorCodes.AdminShutdown or PostgresErrorCodes.CrashShutdown or PostgresErrorCodes.CannotConnectNow
            or PostgresErrorCodes.TooManyConnections or PostgresErrorCodes.ObjectNotInPrerequisiteState,
        };
}
