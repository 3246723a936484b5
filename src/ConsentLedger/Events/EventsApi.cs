namespace ConsentLedger.Events;

/// <summary>What goes into the ledger, and what it says of a subscriber.</summary>
public static class EventsApi
{
    /// <summary>Adds what they need.</summary>
    public static IServiceCollection AddEvents(this IServiceCollection services) => services.AddSingleton<Importer>();

    /// <summary>Maps the routes.</summary>
    public static void MapEvents(this IEndpointRouteBuilder app)
    {
        app.MapRecordEvent();
        app.MapImport();
        app.MapHistory();
        app.MapLookup();
    }
}
