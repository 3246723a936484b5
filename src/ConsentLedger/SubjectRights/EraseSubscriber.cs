using System.ComponentModel.DataAnnotations;
using ConsentLedger.Http;
using ConsentLedger.PersonalData;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.SubjectRights;

/// <summary><c>POST /v1/subscribers/erase</c>: everything about an address goes, and nothing brings the person back unseen.</summary>
public static class EraseSubscriber
{
    private const int MaxReason = 500;

    private static readonly SubscriberId Example = SubscriberId.Parse("6f1c2a94-0d3b-5e77-a1c8-9b20f4d5e613", null);

    /// <summary>Maps the route.</summary>
    public static void MapErase(this IEndpointRouteBuilder app) =>
        app.MapPost("/v1/subscribers/erase", HandleAsync)
            .RequireScope(Scope.SubscribersErase)
            .AcceptsIdempotencyKey()
            .Refuses(ProblemType.PurposeNotPermitted)
            .WithExample(new EraseRequest { Address = "ada@example.org", Reason = "Asked by letter of 20 November" }, new EraseAnswer(Example, 3, Suppressed: true, 0, []))
            .WithName("EraseSubscriber").WithTags("Subject rights").WithSummary("Erases everything about an address, and keeps only that it must not be written to");

    /// <summary>Whom to erase, and why.</summary>
    public sealed record EraseRequest
    {
        /// <summary>The address. One that nothing is known of is suppressed all the same.</summary>
        [Required, MaxLength(Subscribers.Address.MaxLength)]
        public string? Address { get; init; }

        /// <summary>Why, for the record; at most 500 characters, without the address.</summary>
        [Required, MaxLength(MaxReason)]
        public string? Reason { get; init; }
    }

    /// <summary>What became of it.</summary>
    /// <param name="SubscriberId">The keyed id: all that is kept.</param>
    /// <param name="EventsErased">How many events went, each with its evidence.</param>
    /// <param name="Suppressed">True: from now on the address is not to be written to, until the person consents anew.</param>
    /// <param name="ChildrensConsentsEnded">How many consents ended that this person gave as the guardian of a child, since nothing shows any more who gave them.</param>
    /// <param name="Kept">What was not erased yet, and why (UK GDPR Art 17(3)); empty where nothing stands in the way.</param>
    public sealed record EraseAnswer(SubscriberId SubscriberId, long EventsErased, bool Suppressed, int ChildrensConsentsEnded, IReadOnlyList<KeptRecords> Kept);

    /// <summary>Records that the law lets the organisation keep.</summary>
    /// <param name="What">Which.</param>
    /// <param name="Because">What stands in the way: <c>legal-hold</c>, or <c>childs-records</c> that are held.</param>
    /// <param name="Reason">Why the hold was placed; of a child's, only that there is one.</param>
    /// <param name="Until">When they go.</param>
    public sealed record KeptRecords(string What, string Because, string Reason, string Until)
    {
        internal static IReadOnlyList<KeptRecords> Of(ErasureOutcome outcome) =>
            outcome.Hold is { } hold
                ? [new KeptRecords("Everything recorded about this subscriber", "legal-hold", hold, "They are erased when the hold is lifted (UK GDPR Art 17(3)).")]
            : outcome.IsKeptForAChild
                ? [new KeptRecords(
                    "What a child's records say of this person as the guardian", "childs-records", "The child's records are under a legal hold or a restriction.",
                    "It is erased when they are free of it (UK GDPR Art 17(3)).")]
            : [];
    }

    /// <summary>It is done when this answers, or held; see <see cref="Erasure"/> for what a crash leaves.</summary>
    private static async Task<Results<Ok<EraseAnswer>, Problem>> HandleAsync(
        EraseRequest request, HttpContext context, SubscriberIds subscribers, Erasure erasure, CancellationToken cancellation)
    {
        var errors = new InputErrors();
        var address = errors.RequireAddress("address", request.Address);
        var reason = errors.RequireText("reason", request.Reason, MaxReason);
        if (address is not null && reason.Contains(address.Given, StringComparison.OrdinalIgnoreCase))
        {
            errors.Add("reason", "Leave the address out of it: the reason is kept.");
        }

        if (errors.Any)
        {
            return errors.ToProblem();
        }

        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        var outcome = await erasure.EraseAsync(subscribers.Of(address!), reason, context.Actor(), cancellation);
        return TypedResults.Ok(new EraseAnswer(outcome.Subscriber, outcome.EventsErased, Suppressed: true, outcome.ChildrensConsentsEnded, KeptRecords.Of(outcome)));
    }
}
