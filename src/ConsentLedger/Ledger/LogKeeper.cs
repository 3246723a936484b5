using ConsentLedger.Database;

namespace ConsentLedger.Ledger;

/// <summary>
/// Enters events in the log within about a second. Several instances look; one at a time does it. After each batch it rests
/// three times as long as that took, so that a list of a million holds nobody up; its log then follows within minutes.
/// </summary>
internal sealed class LogKeeper(LedgerLog ledgerLog, ILogger<LogKeeper> log) : Keeper("the log", log)
{
    private const int RestFor = 3;

    protected override async Task KeepAsync(CancellationToken cancellation)
    {
        var start = TimeProvider.System.GetTimestamp();
        await foreach (var _ in ledgerLog.EnterAsync(wait: false, cancellation))
        {
            await Task.Delay(RestFor * TimeProvider.System.GetElapsedTime(start), TimeProvider.System, cancellation);
            start = TimeProvider.System.GetTimestamp();
        }
    }
}
