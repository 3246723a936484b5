using ConsentLedger.Database;
using Npgsql;
using Polly;
using Polly.Retry;

namespace ConsentLedger.Retention;

/// <summary>
/// Asks for a run at each time of the schedule and does whatever run is open, whoever asked for it: on its own time, when
/// a call wakes it, and within a minute where another instance was asked or has gone. A time that was missed because the
/// service was not running is made up for at its next start, once.
/// </summary>
public sealed partial class RetentionSchedule : BackgroundService
{
    private static readonly TimeSpan Look = TimeSpan.FromMinutes(1);

    private readonly WakeUp wakeUp;
    private readonly RetentionOptions options;
    private readonly RetentionRunner runner;
    private readonly PurgeRuns runs;
    private readonly TimeProvider clock;
    private readonly ILogger<RetentionSchedule> log;
    private readonly ResiliencePipeline untilItIsBack;
    private DateTimeOffset? next;

    /// <summary>Prepares it; nothing runs yet.</summary>
    public RetentionSchedule(RetentionOptions options, RetentionRunner runner, PurgeRuns runs, TimeProvider clock, ILogger<RetentionSchedule> log)
    {
        this.options = options;
        this.runner = runner;
        this.runs = runs;
        this.clock = clock;
        this.log = log;
        wakeUp = new WakeUp(clock);
        untilItIsBack = new ResiliencePipelineBuilder { TimeProvider = clock }
            .AddRetry(new RetryStrategyOptions
            {
                ShouldHandle = new PredicateBuilder().Handle<NpgsqlException>(DatabaseResilience.IsAway),
                MaxRetryAttempts = int.MaxValue,
                Delay = TimeSpan.FromSeconds(1),
                MaxDelay = TimeSpan.FromMinutes(1),
                BackoffType = DelayBackoffType.Exponential,
                UseJitter = true,
                OnRetry = retry =>
                {
                    if (retry.AttemptNumber == 0)
                    {
                        LogAway(retry.Outcome.Exception!.GetType().Name, (retry.Outcome.Exception as PostgresException)?.SqlState);
                    }

                    return default;
                },
            })
            .Build();
    }

    /// <summary>Looks for an open run now instead of within a minute.</summary>
    public void Wake() => wakeUp.Call();

    /// <inheritdoc />
    public override Task StartAsync(CancellationToken cancellationToken)
    {
        next = NextAfter(clock.GetUtcNow());
        return base.StartAsync(cancellationToken);
    }

    /// <inheritdoc />
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        var missed = options.Schedule?.GetPreviousOccurrence(clock.GetUtcNow(), TimeZoneInfo.Utc, inclusive: true);
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                await untilItIsBack.ExecuteAsync(
                    async token =>
                    {
                        await AskAsync(missed, token);
                        missed = null;
                        await runner.WorkOffAsync(progress: null, token);
                    },
                    stoppingToken);
                var wait = next - clock.GetUtcNow() is { } untilNext && untilNext < Look ? untilNext : Look;
                if (wait > TimeSpan.Zero)
                {
                    await wakeUp.WaitAsync(wait, stoppingToken);
                }
            }
            catch (OperationCanceledException) when (stoppingToken.IsCancellationRequested)
            {
                // A run under way stays as it is after its last batch; the next leader goes on with it.
                return;
            }
#pragma warning disable CA1031 // Whatever it is, it must not end the schedule for good: it is logged, and tried again.
            catch (Exception defect)
#pragma warning restore CA1031
            {
                LogDefect(defect);
                await Task.Delay(Look, clock, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            }
        }
    }

    private async Task AskAsync(DateTimeOffset? missed, CancellationToken cancellation)
    {
        if (missed is { } last && await runs.IsMissedAsync(last, cancellation))
        {
            await runs.RequestScheduledAsync(last, cancellation);
        }

        var now = clock.GetUtcNow();
        if (NextAfter(now) < next)
        {
            // The clock had leapt ahead, and was put right.
            next = NextAfter(now);
        }

        if (next <= now)
        {
            // However long the clock leapt, one run takes all that is due.
            await runs.RequestScheduledAsync(options.Schedule!.GetPreviousOccurrence(now, TimeZoneInfo.Utc, inclusive: true)!.Value, cancellation);
            next = NextAfter(now);
        }
    }

    private DateTimeOffset? NextAfter(DateTimeOffset time) => options.Schedule?.GetNextOccurrence(time, TimeZoneInfo.Utc);

    [LoggerMessage(LogLevel.Warning, "Retention waits for the database: {Type} {SqlState}")]
    private partial void LogAway(string type, string? sqlState);

    [LoggerMessage(LogLevel.Error, "Retention met a defect and tries again in a minute")]
    private partial void LogDefect(Exception defect);
}
