using System.Diagnostics.Metrics;
using ConsentLedger.Ledger;

namespace ConsentLedger.Mail;

/// <summary>What mail counts for <c>/metrics</c> and <c>/health/ready</c>. Labels are outcomes; never an address or an id.</summary>
public sealed class MailMetrics : IDisposable
{
    private readonly Meter meter;
    private readonly Counter<long> handled;
    private long waiting;
    private long poison;

    /// <summary>Makes the instruments.</summary>
    public MailMetrics(IMeterFactory meters)
    {
        meter = meters.Create(LedgerMetrics.MeterName);
        handled = meter.CreateCounter<long>("consentledger.mail.handled", description: "Attempts to hand a mail over, by outcome.");
        meter.CreateObservableGauge("consentledger.mail.waiting", () => Waiting, description: "Mails waiting to be sent.");
        meter.CreateObservableGauge("consentledger.mail.poison", () => Poison, description: "Mails set aside because they can't be sent.");
    }

    /// <summary>How many mails were waiting when this instance last looked, seconds ago.</summary>
    public long Waiting => Interlocked.Read(ref waiting);

    /// <summary>How many mails had been set aside then.</summary>
    public long Poison => Interlocked.Read(ref poison);

    /// <inheritdoc />
    public void Dispose() => meter.Dispose();

    internal void Handled(string outcome) => handled.Add(1, new KeyValuePair<string, object?>("outcome", outcome));

    internal void Saw((long Waiting, long Poison) unsent)
    {
        Interlocked.Exchange(ref waiting, unsent.Waiting);
        Interlocked.Exchange(ref poison, unsent.Poison);
    }
}
