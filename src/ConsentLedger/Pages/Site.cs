using ConsentLedger.Http;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.Pages;

/// <summary>The pages that belong to no feature: home, what problems mean, errors, and what they all look like.</summary>
public static class Site
{
    // What programs talk to answers programs, whatever they accept.
    private static readonly PathString[] ForPrograms = ["/v1", "/openapi", "/health", "/metrics", "/ledger"];

    /// <summary>Adds what pages need.</summary>
    public static IServiceCollection AddPages(this IServiceCollection services) =>
        services
            .AddSingleton(provider => Organisation.Read(provider.GetRequiredService<IConfiguration>()))
            .AddSingleton<SiteAssets>();

    /// <summary>From here on a person's browser gets a page where a program gets a problem. Goes before what may refuse.</summary>
    public static WebApplication UsePages(this WebApplication app)
    {
        app.Use((context, next) =>
        {
            if (IsForPerson(context.Request))
            {
                context.Features.Set<ProblemPage>(ShowProblemAsync);
            }

            return next(context);
        });
        return app;
    }

    /// <summary>Maps the routes. Wrong settings of the brand are found here, at the start, and not by the first visitor.</summary>
    public static void MapSite(this IEndpointRouteBuilder app)
    {
        var assets = app.ServiceProvider.GetRequiredService<SiteAssets>();
        app.MapMethods("/assets/{name}", PageHeaders.GetAndHead, assets.Serve).ExcludeFromDescription();
        app.MapMethods("/", PageHeaders.GetAndHead, () => PageResult.Of<HomePage>()).AsPage();
        app.MapMethods("/problems", PageHeaders.GetAndHead, () => PageResult.Of<ProblemsPage>()).AsPage();
        app.MapMethods("/problems/{slug}", PageHeaders.GetAndHead, ShowProblemType).AsPage();
    }

    /// <summary>True if the client says it takes HTML, and likes it no less than JSON: a browser does, a program does not.</summary>
    public static bool IsForPerson(HttpRequest request)
    {
        if (ForPrograms.Any(path => request.Path.StartsWithSegments(path, StringComparison.OrdinalIgnoreCase)))
        {
            return false;
        }

        var accepted = request.GetTypedHeaders().Accept;
        var html = Quality(accepted, "text/html");
        return html > 0 && html >= Quality(accepted, "application/json") && html >= Quality(accepted, "application/problem+json");
    }

    /// <summary>True if the client asks for JSON by name, and not for HTML before it: a script does, a browser that opens a page does not.</summary>
    public static bool IsForScript(HttpRequest request) =>
        Quality(request.GetTypedHeaders().Accept, "application/json") > 0 && !IsForPerson(request);

    private static double Quality(IList<Microsoft.Net.Http.Headers.MediaTypeHeaderValue> accepted, string type) =>
        accepted.Where(range => range.MediaType.Equals(type, StringComparison.OrdinalIgnoreCase)).Max(range => (double?)(range.Quality ?? 1)) ?? 0;

    private static Results<PageResult, Problem> ShowProblemType(string slug) =>
        ProblemType.All.FirstOrDefault(type => type.Slug == slug) is { } type
            ? PageResult.Of<ProblemTypePage>(new { Type = type })
            : Problem.NotFound();

    private static Task ShowProblemAsync(HttpContext context, Problem problem) =>
        PageResult.Of<ErrorPage>(new { problem.Type }, problem.Type.Status).ExecuteAsync(context);
}
