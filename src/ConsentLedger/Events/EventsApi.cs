namespace ConsentLedger.Events;

/// <summary>Events.</summary>
public static class EventsApi
{
    /// <summary>Maps the routes.</summary>
    public static void MapEvents(this IEndpointRouteBuilder app)
    {
    }
}
