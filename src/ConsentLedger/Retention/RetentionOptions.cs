using System.Globalization;
using ConsentLedger.Database;
using ConsentLedger.Purposes;
using Cronos;

namespace ConsentLedger.Retention;

/// <summary>The settings under <c>ConsentLedger:Retention</c>.</summary>
/// <param name="Schedule">When to run, in UTC; null to run only when asked.</param>
/// <param name="BatchSize">How many (subscriber, purpose) pairs, or pieces of evidence, go in one transaction.</param>
/// <param name="Accountability">How long that is kept which no purpose is about.</param>
public sealed record RetentionOptions(CronExpression? Schedule, int BatchSize, AccountabilityKept Accountability)
{
    /// <summary>Every night at 03:17 UTC: a time few others chose.</summary>
    public const string DefaultSchedule = "17 3 * * *";

    /// <summary>How many go in one transaction unless set otherwise: some tens of milliseconds.</summary>
    public const int DefaultBatchSize = 1000;

    private const string ScheduleSetting = "ConsentLedger:Retention:Schedule";
    private const string BatchSizeSetting = "ConsentLedger:Retention:BatchSize";

    /// <summary>Reads them.</summary>
    /// <exception cref="StartupException">One can't be what it says.</exception>
    public static RetentionOptions Read(IConfiguration configuration) =>
        new(CronSetting.Read(configuration, ScheduleSetting, DefaultSchedule), ReadBatchSize(configuration[BatchSizeSetting]), AccountabilityKept.Read(configuration));

    private static int ReadBatchSize(string? text) =>
        string.IsNullOrWhiteSpace(text) ? DefaultBatchSize
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var size) && size is >= 1 and <= 100_000 ? size
        : throw new StartupException($"{BatchSizeSetting} is not a number from 1 to 100000.");
}
