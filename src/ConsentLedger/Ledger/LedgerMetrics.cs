using System.Diagnostics.Metrics;
using ConsentLedger.Database;

namespace ConsentLedger.Ledger;

/// <summary>What the ledger counts for <c>/metrics</c>. Labels are kinds and reasons; never an address or an id.</summary>
public sealed class LedgerMetrics : IDisposable
{
    /// <summary>The meter's name, for whoever collects.</summary>
    public const string MeterName = "ConsentLedger";

    private readonly Meter meter;
    private readonly Counter<long> events;
    private readonly Counter<long> checks;
    private long spooled;

    /// <summary>Makes the instruments.</summary>
    public LedgerMetrics(IMeterFactory meters)
    {
        meter = meters.Create(MeterName);
        events = meter.CreateCounter<long>("consentledger.events.appended", description: "Consent events appended, by kind.");
        checks = meter.CreateCounter<long>("consentledger.checks.answered", description: "Purpose checks answered, by reason.");
        meter.CreateObservableGauge(
            "consentledger.unsubscribes.spooled", () => UnsubscribesSpooled,
            description: "Unsubscribes that wait on disk for the database to come back.");
    }

    /// <summary>How many unsubscribes wait on the disk of this instance for the database to come back.</summary>
    public long UnsubscribesSpooled
    {
        get => Interlocked.Read(ref spooled);
        set => Interlocked.Exchange(ref spooled, value);
    }

    /// <summary>Counts events that were appended.</summary>
    public void Appended(EventKind kind, long count) => events.Add(count, new KeyValuePair<string, object?>("kind", Label<EventKind>.Of(kind)));

    /// <summary>Counts checks that were answered.</summary>
    public void Checked(CheckReason reason, long count) => checks.Add(count, new KeyValuePair<string, object?>("reason", Label<CheckReason>.Of(reason)));

    /// <inheritdoc />
    public void Dispose() => meter.Dispose();
}
