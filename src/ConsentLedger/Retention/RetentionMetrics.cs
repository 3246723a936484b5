using System.Diagnostics.Metrics;
using ConsentLedger.Database;
using ConsentLedger.Ledger;

namespace ConsentLedger.Retention;

/// <summary>What retention counts for <c>/metrics</c>. Labels are rules; never an address or an id.</summary>
public sealed class RetentionMetrics : IDisposable
{
    private readonly Meter meter;
    private readonly Counter<long> purged;
    private long lastRun;

    /// <summary>Makes the instruments.</summary>
    public RetentionMetrics(IMeterFactory meters)
    {
        meter = meters.Create(LedgerMetrics.MeterName);
        purged = meter.CreateCounter<long>("consentledger.retention.purged", description: "Records purged, by rule.");
        meter.CreateObservableGauge(
            "consentledger.retention.last_run",
            () => Interlocked.Read(ref lastRun) is var time and > 0 ? [new Measurement<long>(time)] : Array.Empty<Measurement<long>>(),
            unit: "s",
            description: "When this instance last completed a purge run, in Unix seconds.");
    }

    /// <summary>Counts records that were purged.</summary>
    public void Purged(PurgeRule rule, long count) => purged.Add(count, new KeyValuePair<string, object?>("rule", Label<PurgeRule>.Of(rule)));

    /// <summary>Notes that a run was completed.</summary>
    public void Completed(DateTimeOffset now) => Interlocked.Exchange(ref lastRun, now.ToUnixTimeSeconds());

    /// <inheritdoc />
    public void Dispose() => meter.Dispose();
}
