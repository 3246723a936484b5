using ConsentLedger.Purposes;

namespace ConsentLedger.Ledger;

/// <summary>
/// What follows from the events of one subscriber and one purpose (or one facet at <c>*</c>): the one that wins.
/// </summary>
/// <param name="Purpose">The purpose, or the facet.</param>
/// <param name="Kind">What happened last.</param>
/// <param name="Basis">The basis that established.</param>
/// <param name="Since">When it happened.</param>
/// <param name="ExpiresAt">When the permission runs out; null for never.</param>
/// <param name="EventId">The event it follows from.</param>
public readonly record struct ConsentState(
    PurposeId Purpose, EventKind Kind, LawfulBasis? Basis, DateTimeOffset Since, DateTimeOffset? ExpiresAt, EventId EventId)
{
    /// <summary>What one event alone comes to.</summary>
    public static ConsentState Of(ConsentEvent @event) =>
        new(@event.Purpose, @event.Kind, @event.Basis, @event.OccurredAt, @event.ExpiresAt, @event.Id);

    /// <summary>
    /// The state after another event, whichever of the two arrived first: the newer wins, on a tie the one that
    /// forbids, then the greater id so that there is always one answer. The append statement compares the same three.
    /// </summary>
    public static ConsentState Fold(ConsentState? state, ConsentState next) =>
        state is { } current && !next.Beats(current) ? current : next;

    /// <summary>True if this happened later than the other, or at the same instant and takes precedence.</summary>
    public bool Beats(ConsentState other)
    {
        var order = Since.CompareTo(other.Since);
        order = order != 0 ? order : Kind.CompareTo(other.Kind);

        // The database compares uuids by their bytes in order, which is how their hexadecimal text sorts.
        order = order != 0 ? order : string.CompareOrdinal(EventId.ToString(), other.EventId.ToString());
        return order > 0;
    }

    /// <summary>The kind as it stands at an instant: a permission whose expiry has passed has expired, job or no job.</summary>
    public EventKind StatusAt(DateTimeOffset now) => Kind.Permits() && ExpiresAt <= now ? EventKind.Expired : Kind;
}
