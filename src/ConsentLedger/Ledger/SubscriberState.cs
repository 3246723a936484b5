using ConsentLedger.Purposes;

namespace ConsentLedger.Ledger;

/// <summary>
/// Everything a check looks at: the state for the purpose, and the three facets at <c>*</c>. A missing one means that
/// nothing of the kind is known.
/// </summary>
public readonly record struct SubscriberState(
    ConsentState? Purpose = null, ConsentState? Objection = null, ConsentState? Suppression = null, ConsentState? Restriction = null)
{
    /// <summary>True while the address is suppressed.</summary>
    public bool IsSuppressed => Suppression?.Kind == EventKind.Suppressed;

    /// <summary>True while processing is restricted.</summary>
    public bool IsRestricted => Restriction?.Kind == EventKind.Restricted;

    /// <summary>True once all direct marketing was objected to; a newer consent permits its own purpose only.</summary>
    public bool HasObjected => Objection is { Kind: not EventKind.Revoked };

    /// <summary>
    /// True once the person was erased: what stays at <c>*</c> then forbids as an objection does, but whoever signs up anew
    /// may be asked to confirm it, as a stranger may.
    /// </summary>
    public bool WasErased => Objection is { Kind: EventKind.Revoked };

    /// <summary>Of all states of a subscriber those that a check for this purpose looks at; without one the facets at <c>*</c> alone.</summary>
    public static SubscriberState Of(IEnumerable<ConsentState> states, PurposeId? purpose = null) =>
        states.Where(state => state.Purpose.IsFacet || state.Purpose == purpose).Aggregate(default(SubscriberState), (all, one) => all.With(one));

    /// <summary>This with one more row of the subscriber's range; rows of other purposes than the one asked for are not for here.</summary>
    public SubscriberState With(ConsentState state) => state.Purpose.Value switch
    {
        0 => this with { Objection = state },
        -1 => this with { Suppression = state },
        -2 => this with { Restriction = state },
        _ => this with { Purpose = state },
    };

    /// <summary>May this address be written to for this purpose at this instant? The one place that decides it.</summary>
    public Decision Decide(PurposeTerms purpose, DateTimeOffset now) =>
        IsRestricted ? Decision.Deny(CheckReason.Restricted)
        : IsSuppressed ? Decision.Deny(CheckReason.Suppressed)
        : purpose.HasEnded(now) ? Decision.Deny(CheckReason.PurposeEnded)
        : purpose.Basis == LawfulBasis.Service ? DecideService()
        : IsVoidedByObjection() ? Decision.Of(Objection!.Value.Kind)
        : Purpose is { } state ? Decision.Of(state.StatusAt(now))
        : Decision.Deny(CheckReason.Unknown);

    /// <summary>A service message needs no event and passes an objection; a plain no to this very purpose still counts.</summary>
    private Decision DecideService() =>
        Purpose is { } state && (state.Kind.Refuses() || state.Kind == EventKind.Invalidated)
            ? Decision.Of(state.Kind)
            : new Decision(Allowed: true, CheckReason.Service);

    /// <summary>
    /// An objection is a watermark: whatever is not newer is void for ever, and so is every permission that rests on
    /// something other than consent, before it has run out and after.
    /// </summary>
    private bool IsVoidedByObjection() =>
        Objection is { } objection
        && (Purpose is not { } state
            || state.Since <= objection.Since
            || state.Kind == EventKind.Permitted
            || (state.Kind == EventKind.Expired && state.Basis?.IsConsent() == false));
}
