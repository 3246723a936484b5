using ConsentLedger.Choices;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Preferences;

/// <summary>Everything somebody can choose, and what stands in the way.</summary>
/// <param name="Address">The address, if it is kept.</param>
/// <param name="Facets">What holds for all of it.</param>
/// <param name="All">One for each purpose, by name.</param>
/// <param name="IsKnown">True if anything is kept.</param>
public sealed record PreferenceChoices(Address? Address, SubscriberState Facets, IReadOnlyList<PurposeChoice> All, bool IsKnown)
{
    /// <summary>Says how each stands: those that messages to the address are sent for, and those that something is known about.</summary>
    public static PreferenceChoices Of(IEnumerable<Purpose> active, IReadOnlyList<ConsentState> states, Address? address, DateTimeOffset now)
    {
        var facets = SubscriberState.Of(states);
        var choices =
            from purpose in active
            let state = states.Where(state => state.Purpose == purpose.Id).Select(state => (ConsentState?)state).FirstOrDefault()
            where state is not null || (address?.Fits(purpose.Channel) ?? purpose.Channel == Channel.Email)
            orderby purpose.Name
            select new PurposeChoice(purpose, facets with { Purpose = state }, address, now);
        return new PreferenceChoices(address, facets, [.. choices], address is not null || states.Count > 0);
    }

    /// <summary>How one stands; null if it is not among them.</summary>
    public PurposeChoice? Find(string? key) => All.FirstOrDefault(choice => choice.Purpose.Key == key);
}

/// <summary>How one purpose stands for somebody.</summary>
public sealed class PurposeChoice
{
    private readonly SubscriberState state;
    private readonly Address? address;

    /// <summary>Looks at what is known of somebody for one purpose.</summary>
    public PurposeChoice(Purpose purpose, SubscriberState state, Address? address, DateTimeOffset now)
    {
        this.state = state;
        this.address = address;
        Purpose = purpose;

        // What stands in the way of everything is said once, above; here is what the person chose.
        Reason = (state with { Suppression = null, Restriction = null }).Decide(purpose.Terms, now).Reason;
    }

    /// <summary>What it is about.</summary>
    public Purpose Purpose { get; }

    /// <summary>How it stands, but for what suppression and restriction forbid.</summary>
    public CheckReason Reason { get; }

    /// <summary>True if it is chosen.</summary>
    public bool IsOn => Reason is CheckReason.Given or CheckReason.Renewed or CheckReason.Permitted or CheckReason.Service;

    /// <summary>True while a mail waits to be answered.</summary>
    public bool IsPending => Reason == CheckReason.Pending;

    /// <summary>Since when it stands so; null if it always has.</summary>
    public DateTimeOffset? Since =>
        Reason == CheckReason.Objected && state.Purpose?.Kind != EventKind.Objected ? state.Objection?.Since
        : Reason == CheckReason.Expired && state.Purpose?.Kind != EventKind.Expired ? state.Purpose?.ExpiresAt
        : state.Purpose?.Since;

    /// <summary>When it runs out, if it does.</summary>
    public DateTimeOffset? Until => IsOn ? state.Purpose?.ExpiresAt : null;

    /// <summary>True if asking for it counts only once it is confirmed from the address itself.</summary>
    public bool NeedsConfirmation => Confirmations.AreNeededFor(Purpose, state);

    /// <summary>
    /// True if it can be turned on here: the address is kept, messages for it can go there, and so can a mail that asks to
    /// confirm, where one is needed. Nothing can while the address is suppressed or restricted.
    /// </summary>
    public bool CanTurnOn =>
        !IsOn && !state.IsSuppressed && !state.IsRestricted && address is not null && address.Fits(Purpose.Channel)
        && (!NeedsConfirmation || address.Kind == AddressKind.Email);

    /// <summary>This instant, or one later than all that was said of it before.</summary>
    public DateTimeOffset After(DateTimeOffset now)
    {
        var last = new[] { state.Purpose?.Since, state.Objection?.Since }.Max();
        return last >= now ? last.Value.AddMicroseconds(1) : now;
    }
}

/// <summary>What was done, to be said at the top of the page.</summary>
/// <param name="Text">The key of its text.</param>
/// <param name="Purpose">The purpose's name; null where it was about all.</param>
/// <param name="Undo">What undoes it; null where nothing does.</param>
public sealed record ChoiceOutcome(string Text, string? Purpose, string? Undo = null);
