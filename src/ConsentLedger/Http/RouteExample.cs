namespace ConsentLedger.Http;

/// <summary>An example for the OpenAPI document, as metadata: made of the route's own types, so that it can't go stale.</summary>
/// <param name="Request">The body sent: a record, or a text for a body that is not JSON. Null where there is none.</param>
/// <param name="Answer">The body of the first successful answer, likewise.</param>
public sealed record RouteExample(object? Request, object? Answer);

/// <summary>How a route gives one.</summary>
public static class RouteExamples
{
    /// <summary>Shows what is sent to this route and what it answers. Every route under <c>/v1</c> does.</summary>
    public static TBuilder WithExample<TBuilder>(this TBuilder route, object? request = null, object? answer = null)
        where TBuilder : IEndpointConventionBuilder => route.WithMetadata(new RouteExample(request, answer));
}
