using ConsentLedger.Purposes;

namespace ConsentLedger.Ledger;

/// <summary>
/// Which rows of a list would bring back someone who said no. Decided one subscriber at a time, in the order of the
/// list, from the history before it and the rows already taken.
/// </summary>
/// <remarks>
/// A row is held against two states: the one in the ledger, and the one that this list, read in order, comes to without
/// what the ledger already has from it. The second makes the same list come to the same again: a row between two
/// refusals that was held back at first would otherwise pass as history once the later one is in.
/// <para>
/// Both are looked at past any request: what was said before a <c>requested</c> event still stands. Anyone can sign up a
/// stranger's address, and a request nobody confirmed must not open the door that a refusal shut. The projected state
/// does show the request, because there the newer event wins: to let a refusal stay in it, arrivals out of order would
/// need the events it had passed over, and the projection is only ever the greatest of them.
/// </para>
/// </remarks>
public static class Resubscription
{
    /// <summary>
    /// The lines to hold back. A row that is in the ledger already is passed over, one that is held back leaves no
    /// trace on those after it, and one that is older than the refusal is history and taken.
    /// </summary>
    /// <param name="history">What is in the ledger about the subscriber, in any order.</param>
    /// <param name="rows">The rows about this subscriber, in the order of the list.</param>
    public static IEnumerable<long> HeldBack(IReadOnlyCollection<ConsentState> history, IReadOnlyCollection<ListedEvent> rows)
    {
        var listed = rows.Select(row => row.State.EventId).ToHashSet();
        var taken = history.Select(state => state.EventId).ToHashSet();
        var ledger = new Dictionary<PurposeId, ConsentState>();
        var list = new Dictionary<PurposeId, ConsentState>();
        foreach (var state in history)
        {
            Fold(ledger, state);
            if (!listed.Contains(state.EventId))
            {
                Fold(list, state);
            }
        }

        ConsentState? erasure = history.Where(state => state is { Purpose.Value: 0, Kind: EventKind.Revoked }).Cast<ConsentState?>().MaxBy(state => state!.Value.Since);
        foreach (var (line, state) in rows)
        {
            if (state.Since <= erasure?.Since)
            {
                // Not even as history: a list from before would bring back what was erased.
                yield return line;
                continue;
            }

            if (!taken.Contains(state.EventId) && state.Kind.Permits() && (Forbids(ledger, state) || Forbids(list, state)))
            {
                yield return line;
                continue;
            }

            taken.Add(state.EventId);
            Fold(ledger, state);
            Fold(list, state);
        }
    }

    private static void Fold(Dictionary<PurposeId, ConsentState> states, ConsentState next)
    {
        if (next.Kind != EventKind.Requested)
        {
            states[next.Purpose] = ConsentState.Fold(states.TryGetValue(next.Purpose, out var current) ? current : null, next);
        }
    }

    private static bool Forbids(Dictionary<PurposeId, ConsentState> states, ConsentState permission)
    {
        ConsentState? current = states.TryGetValue(permission.Purpose, out var found) ? found : null;
        ConsentState? objection = states.TryGetValue(PurposeId.Objection, out found) ? found : null;
        return Undoes(permission, current) || Passes(permission, current, objection);
    }

    private static bool Undoes(ConsentState permission, ConsentState? current) =>
        current is { } state && state.Kind.Refuses() && permission.Beats(state);

    /// <summary>
    /// An objection to everything stands until the person has consented to this purpose since. A permission does not
    /// count as that: it never passes an objection.
    /// </summary>
    private static bool Passes(ConsentState permission, ConsentState? current, ConsentState? objection) =>
        objection is { } refusal && permission.Since > refusal.Since
        && !(current is { Kind: not EventKind.Permitted } state && state.Since > refusal.Since);
}

/// <summary>A row of a list, as far as <see cref="Resubscription"/> looks at it.</summary>
/// <param name="Line">Where it stands in the list.</param>
/// <param name="State">What it alone comes to.</param>
public readonly record struct ListedEvent(long Line, ConsentState State);
