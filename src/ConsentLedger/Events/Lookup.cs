using System.ComponentModel.DataAnnotations;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.Events;

/// <summary><c>POST /v1/subscribers/lookup</c>: how one address stands.</summary>
public static class Lookup
{
    /// <summary>Maps the route.</summary>
    public static void MapLookup(this IEndpointRouteBuilder app) =>
        app.MapPost("/v1/subscribers/lookup", HandleAsync)
            .RequireScope(Scope.SubscribersRead)
            .Refuses(ProblemType.NotFound)
            .WithExample(EventExamples.LookupRequest, EventExamples.Subscriber)
            .WithName("LookUpSubscriber").WithTags("Subscribers").WithSummary("Shows how an address stands for each purpose");

    /// <summary>Which address to look up.</summary>
    public sealed record LookupRequest
    {
        /// <summary>The address.</summary>
        [Required, MaxLength(Subscribers.Address.MaxLength)]
        public string? Address { get; init; }
    }

    /// <summary>How an address stands.</summary>
    /// <param name="SubscriberId">Its holder.</param>
    /// <param name="Address">As it was first given; null once erased.</param>
    /// <param name="States">One for each purpose that has events, by key.</param>
    /// <param name="Objected">True if all direct marketing was objected to.</param>
    /// <param name="Suppressed">True while the address is suppressed.</param>
    /// <param name="Restricted">True while processing is restricted.</param>
    /// <param name="Held">True while a legal hold keeps its records from being purged.</param>
    public sealed record SubscriberView(
        SubscriberId SubscriberId, string? Address, IReadOnlyList<StateView> States, bool Objected, bool Suppressed, bool Restricted, bool Held);

    private static async Task<Results<Ok<SubscriberView>, Problem>> HandleAsync(
        LookupRequest request, HttpContext context, SubscriberIds subscribers, LedgerStore ledger, PurposeCatalogue purposes, AuditTrail audit,
        TimeProvider clock, CancellationToken cancellation)
    {
        if (!Address.TryParse(request.Address, out var address, out var problem))
        {
            return Problem.Invalid("address", problem);
        }

        var subscriber = subscribers.Of(address);
        await audit.WriteAsync(context.Actor(), new AuditEntry(AuditAction.SubscriberLookedUp) { SubscriberId = subscriber.Value }, cancellation);
        var states = await ledger.ReadStatesAsync(subscriber, cancellation);
        var (given, held) = await ledger.FindSubscriberAsync(subscriber, cancellation);
        if (states.Count == 0 && given is null)
        {
            return Problem.NotFound("Nothing is known of this address.");
        }

        var now = clock.GetUtcNow();
        var caller = context.Caller();
        var keys = await purposes.KeysAsync(cancellation);
        var facets = SubscriberState.Of(states);
        return TypedResults.Ok(new SubscriberView(
            subscriber,
            given?.Given,
            [.. states.Where(state => !state.Purpose.IsFacet && caller.MayUse(keys.Of(state.Purpose)))
                .Select(state => StateView.Of(state, keys.Of(state.Purpose), now))
                .OrderBy(state => state.Purpose, StringComparer.Ordinal)],
            facets.HasObjected, facets.IsSuppressed, facets.IsRestricted, held));
    }
}
