using System.ComponentModel.DataAnnotations;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.Unsubscribe;

/// <summary>Links for senders that don't ask a check first: <c>POST /v1/unsubscribe-links</c>.</summary>
public static class UnsubscribeLinksApi
{
    /// <summary>Maps the route.</summary>
    public static void MapUnsubscribeLinks(this IEndpointRouteBuilder app) =>
        app.MapPost("/v1/unsubscribe-links", MakeAsync)
            .RequireScope(Scope.ChecksRead)
            .Refuses(ProblemType.Validation, ProblemType.PurposeNotPermitted, ProblemType.NotFound)
            .WithTags("Unsubscribe").WithName("MakeUnsubscribeLink").WithSummary("Makes the link and the header fields of one message");

    /// <summary>Who is written to, and for what.</summary>
    public sealed record UnsubscribeLinkRequest
    {
        /// <summary>The address the message goes to.</summary>
        [Required]
        public string? Address { get; init; }

        /// <summary>The key of the purpose it is sent for.</summary>
        [Required]
        public string? Purpose { get; init; }
    }

    /// <summary>Writes nothing, and says nothing of whether the address is known.</summary>
    private static async Task<Results<Ok<UnsubscribeLink>, Problem>> MakeAsync(
        UnsubscribeLinkRequest request, HttpContext context, PurposeCatalogue purposes, SubscriberIds subscribers, UnsubscribeLinks links,
        CancellationToken cancellation)
    {
        var errors = new InputErrors();
        var address = errors.RequireAddress("address", request.Address);
        if (string.IsNullOrEmpty(request.Purpose))
        {
            errors.Add("purpose", "This is required.");
        }

        if (errors.Any)
        {
            return errors.ToProblem();
        }

        if (!PurposeKey.TryParse(request.Purpose, null, out var key) || await purposes.FindAsync(key, cancellation) is not { } purpose)
        {
            return Problem.NotFound("There is no such purpose.");
        }

        if (!context.Caller().MayUse(purpose.Key))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        return address!.Fits(purpose.Channel)
            ? TypedResults.Ok(links.For(purpose.Terms, subscribers.Of(address)))
            : Problem.Invalid("address", "Messages for this purpose can't go to an address of this kind.");
    }
}
