using System.ComponentModel.DataAnnotations;
using ConsentLedger.Http;
using ConsentLedger.Pages;
using ConsentLedger.PersonalData;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.SubjectRights;

/// <summary><c>POST /v1/requests/{id}/complete</c>: does what a person asked for, and closes the request.</summary>
public static class CompleteRequest
{
    /// <summary>Maps the route.</summary>
    public static void MapComplete(this IEndpointRouteBuilder requests) =>
        requests.MapPost("/{id:guid}/complete", HandleAsync)
            .Takes()
            .Refuses(ProblemType.CannotBeMailed)
            .WithExample(new RequestCompletion { Reason = "The copy was handed over at the desk.", Delivered = RequestDelivery.ByHand }, RequestsApi.Example)
            .WithName("CompleteRequest").WithSummary("Does what was asked, or notes that it was done: sends a copy, erases, carries over to a new address, objects, restricts");

    /// <summary>What was done.</summary>
    public sealed record RequestCompletion
    {
        /// <summary>What was done by hand, or told to the person; at most 2,000 characters, kept sealed.</summary>
        [MaxLength(RequestsApi.MaxReason)]
        public string? Reason { get; init; }

        /// <summary>Of a rectification: the address that the person's choices are carried over to; left out, something else was put right by hand.</summary>
        [MaxLength(Subscribers.Address.MaxLength)]
        public string? NewAddress { get; init; }

        /// <summary>
        /// Of a request for a copy (access, portability): <c>mail</c>, and the person is sent a link to it, or <c>by-hand</c>,
        /// if they have it already, also once it was completed and the mail came back. By mail if left out.
        /// </summary>
        public RequestDelivery? Delivered { get; init; }

        /// <summary>The language of that mail, <c>en</c> or <c>cy</c>; English if left out.</summary>
        [MaxLength(8)]
        public string? Language { get; init; }
    }

    /// <summary>What came of an erasure or a rectification, to tell the person.</summary>
    /// <param name="Kept">What was not erased yet, and why; empty where nothing stands in the way.</param>
    /// <param name="HeldBack">Purposes whose consent was not carried over, because the new address says no to them.</param>
    /// <param name="ChildrensConsentsEnded">How many consents ended that the person gave as the guardian of a child.</param>
    public sealed record RequestOutcome(IReadOnlyList<EraseSubscriber.KeptRecords> Kept, IReadOnlyList<string> HeldBack, int ChildrensConsentsEnded = 0);

    /// <summary>
    /// Nothing is done before everything that was sent is known to be right. An erasure and a rectification are durable by
    /// themselves before the request is closed: a crash in between leaves them done and the request open, and completing it
    /// again finds nothing left to do. The mail with the link to a copy and the completion are there together or not at all,
    /// so there is one.
    /// </summary>
    private static async Task<Results<Ok<RequestsApi.RequestView>, Problem>> HandleAsync(
        Guid id, HttpContext context, RequestRegister register, Erasure erasure, Rectification rectification, TimeProvider clock,
        CancellationToken cancellation, RequestCompletion? body = null)
    {
        Address? next = null;
        if (body?.NewAddress is { } newAddress && !Address.TryParse(newAddress, out next, out var problem))
        {
            return Problem.Invalid("newAddress", problem);
        }

        var language = body?.Language ?? PageTexts.DefaultLanguage;
        if (!PageTexts.All.ContainsKey(language))
        {
            return Problem.Invalid("language", $"This is one of: {string.Join(", ", PageTexts.All.Keys.Order(StringComparer.Ordinal))}.");
        }

        RequestOutcome? outcome = null;
        var step = new RequestRegister.Step(
            RequestStep.Completed, (request, now) => request.Complete(body?.Delivered ?? RequestDelivery.Mail, now), body?.Reason)
        {
            Language = language,
            Do = async (entry, token) => entry.Request.Kind switch
            {
                _ when body?.Delivered is not null && !entry.Request.AsksForCopy =>
                    Problem.Invalid("delivered", "This is for requests for a copy: access and portability."),
                RequestKind.Erasure => await EraseAsync(entry, token),
                RequestKind.Rectification when next is not null => await RectifyAsync(entry, next, token),
                _ => null,
            },
        };
        var answer = await RequestsApi.TakeAsync(id, step, needsReason: false, context, register, clock, cancellation);
        return answer.Result is Ok<RequestsApi.RequestView> { Value: { } completed } ? TypedResults.Ok(completed with { Outcome = outcome }) : answer;

        async Task<Problem?> EraseAsync(RequestRegister.Entry entry, CancellationToken token)
        {
            if (!context.Caller().Has(Scope.SubscribersErase))
            {
                return new Problem(ProblemType.InsufficientScope, $"Completing this erases: it needs the scope {Scope.SubscribersErase} as well.") { Scope = Scope.SubscribersErase };
            }

            var erased = await erasure.EraseAsync(entry.Request.SubscriberId, $"Request {id:D}", context.Actor(), token);
            outcome = new RequestOutcome(EraseSubscriber.KeptRecords.Of(erased), [], erased.ChildrensConsentsEnded);
            return null;
        }

        async Task<Problem?> RectifyAsync(RequestRegister.Entry entry, Address next, CancellationToken token)
        {
            if (entry.Address is not { } given)
            {
                return new Problem(ProblemType.RequestTransition, "The person was erased since, and there is nothing left to carry over.");
            }

            var old = Address.Parse(given, provider: null);
            if (old.Equals(next) || old.Kind != next.Kind)
            {
                return Problem.Invalid("newAddress", "This is the same address, or another kind of address.");
            }

            if (await rectification.RectifyAsync(old, next, context.Actor(), token) is not { } rectified)
            {
                return new Problem(
                    ProblemType.RequestTransition, "Nothing is known of the address that asks, so there is nothing to carry over. Leave newAddress out if something else was put right.");
            }

            outcome = new RequestOutcome([], rectified.HeldBack);
            return null;
        }
    }
}
