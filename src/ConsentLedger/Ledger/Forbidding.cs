namespace ConsentLedger.Ledger;

/// <summary>The kinds that say no, in SQL.</summary>
internal static class Forbidding
{
    /// <summary>
    /// What stays in force after its event has gone, where a suppression keeps it (FACTS 32, 34), and what a database that
    /// is restored has to learn of again.
    /// </summary>
    public const string Kinds = "('invalidated', 'refused', 'withdrawn', 'revoked', 'objected', 'suppressed', 'restricted')";
}
