using ConsentLedger.Subscribers;

namespace ConsentLedger.Purposes;

/// <summary>What of a purpose decides who may be written to, and how.</summary>
/// <param name="Id">The number tokens and the ledger use.</param>
/// <param name="Key">The slug it is called by.</param>
/// <param name="Channel">How messages for it are sent.</param>
/// <param name="Basis">What makes writing for it lawful.</param>
/// <param name="EndsAt">When it ends; null for never.</param>
public sealed record PurposeTerms(PurposeId Id, string Key, Channel Channel, LawfulBasis Basis, DateTimeOffset? EndsAt)
{
    /// <summary>True from the instant <see cref="EndsAt"/> passes.</summary>
    public bool HasEnded(DateTimeOffset now) => EndsAt <= now;
}
