using Cronos;

namespace ConsentLedger.Database;

/// <summary>Reads settings that say when something is done.</summary>
public static class CronSetting
{
    private const string Off = "off";

    /// <summary>A cron schedule, in UTC: what is set, or by default this one; null if it is set to off.</summary>
    /// <exception cref="StartupException">It is no schedule, or one whose time never comes.</exception>
    public static CronExpression? Read(IConfiguration configuration, string setting, string byDefault)
    {
        var text = configuration[setting];
        if (string.IsNullOrWhiteSpace(text))
        {
            text = byDefault;
        }

        if (text.Trim() == Off)
        {
            return null;
        }

        // A schedule that names a day no month has parses and never comes.
        return CronExpression.TryParse(text, out var schedule) && schedule.GetNextOccurrence(DateTime.UnixEpoch) is not null
            ? schedule
            : throw new StartupException($"{setting} is not a cron schedule: give minute, hour, day, month and weekday in UTC, such as {byDefault}, or {Off}.");
    }
}
