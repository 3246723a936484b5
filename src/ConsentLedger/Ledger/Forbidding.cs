namespace ConsentLedger.Ledger;

/// <summary>What says no, in SQL.</summary>
internal static class Forbidding
{
    /// <summary>
    /// What stays in force after its event has gone, where a suppression keeps it (FACTS 32, 34), and what a database that
    /// is restored has to learn of again.
    /// </summary>
    public const string Kinds = "('invalidated', 'refused', 'withdrawn', 'revoked', 'objected', 'suppressed', 'restricted')";

    /// <summary>
    /// Of <c>event</c>, the newest of its pair, requests and expiries aside: whether it stays in force as a suppression after it
    /// has gone (FACTS 32, 34). What forbids does; what lifts a suppression or a restriction does only where an older one is
    /// kept that it has to beat.
    /// </summary>
    public const string Stays = $"""
        (event.kind in {Kinds}
            or event.kind in ('released', 'unrestricted') and exists (
                select from suppression kept
                where kept.subscriber_id = event.subscriber_id and kept.purpose_id = event.purpose_id))
        """;
}
