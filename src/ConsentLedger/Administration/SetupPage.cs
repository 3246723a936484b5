using ConsentLedger.Http;
using ConsentLedger.Pages;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.Administration;

/// <summary>Setting up a new installation in a browser: <c>GET</c> and <c>POST /setup/{token}</c>.</summary>
public static class SetupPage
{
    /// <summary>Adds what setting up needs.</summary>
    public static IServiceCollection AddSetup(this IServiceCollection services) => services.AddSingleton<SetupLink>();

    /// <summary>Maps the routes.</summary>
    public static void MapSetup(this IEndpointRouteBuilder app)
    {
        app.MapMethods("/setup/{token}", PageHeaders.GetAndHead, AskAsync).AsPage();
        app.MapPost("/setup/{token}", MakeKeyAsync).AsPage();
    }

    private static async Task<Results<PageResult, Problem>> AskAsync(string token, SetupLink link, CancellationToken cancellation) =>
        await link.OpensAsync(token, cancellation) ? PageResult.Of<SetupPrompt>() : Problem.NotFound();

    /// <summary>
    /// Makes the key and shows it. A crash in between leaves a key that nobody has seen; <c>consentledger keys create</c>
    /// makes another.
    /// </summary>
    private static async Task<Results<PageResult, Problem>> MakeKeyAsync(
        string token, HttpContext context, SetupLink link, CancellationToken cancellation)
    {
        if (!await link.OpensAsync(token, cancellation))
        {
            return Problem.NotFound();
        }

        if (await PageForm.ReadOnlyFieldAsync(context.Request, cancellation) != PageForm.Pressed)
        {
            return Problem.Invalid("body", "This is the form of the set-up page, and nothing else.");
        }

        return await link.MakeKeyAsync(context.SetUpLink(), token, cancellation) is { } key ? PageResult.Of<SetupDone>(new { Key = key }) : Problem.NotFound();
    }
}
