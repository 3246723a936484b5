using System.Diagnostics.Metrics;
using ConsentLedger.Ledger;

namespace ConsentLedger.Renewals;

/// <summary>What reminders count for <c>/metrics</c>; renewals are events, and are counted as such.</summary>
public sealed class ReminderMetrics : IDisposable
{
    private readonly Meter meter;
    private readonly Counter<long> reminded;

    /// <summary>Makes the instrument.</summary>
    public ReminderMetrics(IMeterFactory meters)
    {
        meter = meters.Create(LedgerMetrics.MeterName);
        reminded = meter.CreateCounter<long>("consentledger.renewals.reminded", description: "Reminders queued that a consent runs out.");
    }

    /// <summary>Counts one.</summary>
    public void Reminded() => reminded.Add(1);

    /// <inheritdoc />
    public void Dispose() => meter.Dispose();
}
