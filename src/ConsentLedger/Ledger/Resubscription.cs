using ConsentLedger.Purposes;

namespace ConsentLedger.Ledger;

/// <summary>
/// Which rows of a list would bring back someone who said no. Decided one subscriber at a time, in the order of the
/// list, from the states before it and the rows already taken.
/// </summary>
public static class Resubscription
{
    /// <summary>
    /// The lines to hold back. A row that is in the ledger already is passed over, one that is held back leaves no
    /// trace on those after it, and one that is older than the refusal is history and taken.
    /// </summary>
    /// <param name="before">The states of the subscriber, the facets at <c>*</c> among them.</param>
    /// <param name="rows">The rows about this subscriber, in the order of the list.</param>
    public static IEnumerable<long> HeldBack(IEnumerable<ConsentState> before, IEnumerable<ListedEvent> rows)
    {
        var states = before.ToDictionary(state => state.Purpose);
        var taken = new HashSet<EventId>();
        foreach (var row in rows)
        {
            if (row.IsKnown || taken.Contains(row.State.EventId))
            {
                continue;
            }

            ConsentState? current = states.TryGetValue(row.State.Purpose, out var found) ? found : null;
            ConsentState? objection = states.TryGetValue(PurposeId.Objection, out found) ? found : null;
            if (row.State.Kind.Permits() && (Undoes(row.State, current) || Passes(row.State, current, objection)))
            {
                yield return row.Line;
                continue;
            }

            taken.Add(row.State.EventId);
            states[row.State.Purpose] = ConsentState.Fold(current, row.State);
        }
    }

    private static bool Undoes(ConsentState permission, ConsentState? current) =>
        current is { } state && state.Kind.Refuses() && permission.Beats(state);

    /// <summary>
    /// An objection to everything stands until the person has consented to this purpose since. A request does not
    /// count as that, anyone can make one; nor does a permission, which never passes an objection.
    /// </summary>
    private static bool Passes(ConsentState permission, ConsentState? current, ConsentState? objection) =>
        objection is { } refusal && permission.Since > refusal.Since
        && !(current is { Kind: not (EventKind.Requested or EventKind.Permitted) } state && state.Since > refusal.Since);
}

/// <summary>A row of a list, as far as <see cref="Resubscription"/> looks at it.</summary>
/// <param name="Line">Where it stands in the list.</param>
/// <param name="State">What it alone comes to.</param>
/// <param name="IsKnown">True if it is in the ledger already.</param>
public readonly record struct ListedEvent(long Line, ConsentState State, bool IsKnown);
