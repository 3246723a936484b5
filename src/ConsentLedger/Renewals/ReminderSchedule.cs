using ConsentLedger.Database;
using Npgsql;

namespace ConsentLedger.Renewals;

/// <summary>
/// Has reminders sent at each time of the schedule, and at the start, so that a time that was missed is made up for. What
/// could not be done, because the database was away or another instance is at it and may yet go, is tried again in a minute.
/// </summary>
internal sealed partial class ReminderSchedule(ReminderOptions options, Reminders reminders, TimeProvider clock, ILogger<ReminderSchedule> log)
    : BackgroundService
{
    private static readonly TimeSpan Look = TimeSpan.FromMinutes(1);

    /// <inheritdoc />
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        if (options.Schedule is not { } schedule)
        {
            return;
        }

        DateTimeOffset? next = clock.GetUtcNow();
        while (!stoppingToken.IsCancellationRequested)
        {
            try
            {
                var now = clock.GetUtcNow();
                if (schedule.GetNextOccurrence(now, TimeZoneInfo.Utc) is { } soonest && soonest < next)
                {
                    // The clock had leapt ahead, and was put right.
                    next = soonest;
                }

                if (next <= now && await reminders.SendDueAsync(stoppingToken))
                {
                    next = schedule.GetNextOccurrence(now, TimeZoneInfo.Utc);
                }
            }
            catch (NpgsqlException away) when (DatabaseResilience.IsAway(away))
            {
                LogAway(away.GetType().Name, away.SqlState);
            }
            catch (Exception defect) when (defect is not OperationCanceledException || !stoppingToken.IsCancellationRequested)
            {
                LogDefect(defect);
            }

            await Task.Delay(Look, clock, stoppingToken).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    [LoggerMessage(LogLevel.Warning, "Reminders wait, because the ledger can't be asked: {Type} {SqlState}")]
    private partial void LogAway(string type, string? sqlState);

    [LoggerMessage(LogLevel.Error, "Sending reminders met a defect and is tried again in a minute")]
    private partial void LogDefect(Exception defect);
}
