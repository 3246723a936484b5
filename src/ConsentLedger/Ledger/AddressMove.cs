using ConsentLedger.Subscribers;

namespace ConsentLedger.Ledger;

/// <summary>
/// What a <c>revoked</c> event says that closed an address because its holder has moved to another. It is no refusal: the
/// person has taken nothing back.
/// </summary>
public static class AddressMove
{
    private const string How = "rectification";

    /// <summary>The event's evidence.</summary>
    public static Evidence Evidence(SubscriberId to) =>
        Ledger.Evidence.Of(new Dictionary<string, object?> { ["how"] = How, ["subscriberId"] = to.ToString() })!;

    /// <summary>Where the holder went; null for any other event.</summary>
    public static SubscriberId? To(ConsentEvent @event) =>
        @event is { Kind: EventKind.Revoked, Evidence.Details: { } details }
            && details.GetValueOrDefault("how") as string == How
            && SubscriberId.TryParse(details.GetValueOrDefault("subscriberId") as string, null, out var next) ? next : null;
}
