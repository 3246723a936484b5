using ConsentLedger.Database;
using Cronos;

namespace ConsentLedger.Renewals;

/// <summary>The settings under <c>ConsentLedger:Renewals</c>.</summary>
/// <param name="Schedule">When reminders are sent, in UTC; null for never.</param>
internal sealed record ReminderOptions(CronExpression? Schedule)
{
    /// <summary>Every morning at 09:43 UTC: these are mails to people, who should not be woken by them.</summary>
    public const string DefaultSchedule = "43 9 * * *";

    /// <summary>Reads them.</summary>
    /// <exception cref="StartupException">One can't be what it says.</exception>
    public static ReminderOptions Read(IConfiguration configuration) =>
        new(CronSetting.Read(configuration, "ConsentLedger:Renewals:Schedule", DefaultSchedule));
}
