namespace ConsentLedger.Events;

/// <summary>What goes into the ledger, and what it says of a subscriber.</summary>
public static class EventsApi
{
    /// <summary>Maps the routes.</summary>
    public static void MapEvents(this IEndpointRouteBuilder app)
    {
        app.MapRecordEvent();
        app.MapHistory();
        app.MapLookup();
    }
}
