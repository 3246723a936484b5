using ConsentLedger.Database;

namespace ConsentLedger.Http;

/// <summary>Deletes kept answers that nobody can ask for any more.</summary>
internal sealed class IdempotencyCleanup(IdempotencyStore store, TimeProvider clock, ILogger<IdempotencyCleanup> log)
    : HourlyCleanup("Kept answers", clock, log)
{
    protected override Task DeleteAsync(CancellationToken cancellation) => store.DeleteOutlivedAsync(cancellation);
}
