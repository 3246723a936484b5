using System.ComponentModel.DataAnnotations;
using ConsentLedger.Http;
using ConsentLedger.PersonalData;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.SubjectRights;

/// <summary><c>POST /v1/subscribers/rectify</c>: a person's choices move to a new address.</summary>
public static class RectifySubscriber
{
    private static readonly RectifyAnswer Example = new(
        SubscriberId.Parse("6f1c2a94-0d3b-5e77-a1c8-9b20f4d5e613", null), SubscriberId.Parse("5b1d7c3e-2f0a-4c7d-8e69-1a2b3c4d5e6f", null), 2, []);

    /// <summary>Maps the route.</summary>
    public static void MapRectify(this IEndpointRouteBuilder app) =>
        app.MapPost("/v1/subscribers/rectify", HandleAsync)
            .RequireScope(Scope.RightsWrite)
            .AcceptsIdempotencyKey()
            .Refuses(ProblemType.PurposeNotPermitted, ProblemType.NotFound)
            .WithExample(new RectifyRequest { Address = "ada@example.org", NewAddress = "ada.lovelace@example.org" }, Example)
            .WithName("RectifySubscriber").WithTags("Subject rights").WithSummary("Carries a person's choices over to a new address");

    /// <summary>Which address, and which instead.</summary>
    public sealed record RectifyRequest
    {
        /// <summary>The address as it is known.</summary>
        [Required, MaxLength(Subscribers.Address.MaxLength)]
        public string? Address { get; init; }

        /// <summary>The address that is right, of the same kind.</summary>
        [Required, MaxLength(Subscribers.Address.MaxLength)]
        public string? NewAddress { get; init; }
    }

    /// <summary>What became of it.</summary>
    /// <param name="SubscriberId">The holder of the old address; nothing is sent there any more.</param>
    /// <param name="NewSubscriberId">The holder of the new one.</param>
    /// <param name="CarriedOver">How many events were appended at the new address; 0 if it was done before.</param>
    /// <param name="HeldBack">Purposes whose consent was not carried over, because the new address says no to them.</param>
    public sealed record RectifyAnswer(SubscriberId SubscriberId, SubscriberId NewSubscriberId, int CarriedOver, IReadOnlyList<string> HeldBack);

    private static async Task<Results<Ok<RectifyAnswer>, Problem>> HandleAsync(
        RectifyRequest request, HttpContext context, Rectification rectification, CancellationToken cancellation)
    {
        var errors = new InputErrors();
        var old = errors.RequireAddress("address", request.Address);
        var next = errors.RequireAddress("newAddress", request.NewAddress);
        if (old is not null && next is not null)
        {
            if (old.Equals(next))
            {
                errors.Add("newAddress", "This is the same address.");
            }
            else if (old.Kind != next.Kind)
            {
                errors.Add("newAddress", "This is another kind of address: choices for one channel can't be carried over to another.");
            }
        }

        if (errors.Any)
        {
            return errors.ToProblem();
        }

        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        return await rectification.RectifyAsync(old!, next!, context.Actor(), cancellation) is { } outcome
            ? TypedResults.Ok(new RectifyAnswer(outcome.From, outcome.To, outcome.CarriedOver, outcome.HeldBack))
            : Problem.NotFound("Nothing is known of this address.");
    }
}
