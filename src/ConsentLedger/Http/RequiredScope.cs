using ConsentLedger.Security;

namespace ConsentLedger.Http;

/// <summary>Says which scope a route needs.</summary>
/// <param name="Scope">One of <see cref="Security.Scope.All"/>.</param>
public sealed record RequiredScope(string Scope);

/// <summary>Says that the key may come as the password of HTTP Basic, as metadata.</summary>
public sealed record KeyAsPassword;

/// <summary>What routes say of themselves.</summary>
public static class RouteConventions
{
    /// <summary>Lets in only callers whose key has this scope; others get 401 or 403.</summary>
    public static TBuilder RequireScope<TBuilder>(this TBuilder route, string scope)
        where TBuilder : IEndpointConventionBuilder =>
        route.WithMetadata(new RequiredScope(scope), new Refusals(ProblemType.Unauthenticated, ProblemType.InsufficientScope));

    /// <summary>
    /// Lets callers that can't send a Bearer header show their key as the password of HTTP Basic, which is what a URL with
    /// a password in it comes to; the user's name is of no account.
    /// </summary>
    public static TBuilder AcceptsKeyAsPassword<TBuilder>(this TBuilder route)
        where TBuilder : IEndpointConventionBuilder => route.WithMetadata(new KeyAsPassword());

    /// <summary>Lists what a route refuses with, for the OpenAPI document.</summary>
    public static TBuilder Refuses<TBuilder>(this TBuilder route, params ProblemType[] types)
        where TBuilder : IEndpointConventionBuilder => route.WithMetadata(new Refusals(types));

    /// <summary>The caller that <see cref="RequireScope"/> let in.</summary>
    public static Caller Caller(this HttpContext context) =>
        context.Features.Get<Caller>() ?? throw new InvalidOperationException("This route requires no scope, so nobody is known to call it.");
}

/// <summary>The refusals a route can answer with, as metadata.</summary>
/// <param name="Types">Which.</param>
public sealed record Refusals(params ProblemType[] Types);
