using System.ComponentModel.DataAnnotations;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.Checks;

/// <summary><c>POST /v1/checks</c>: one address, one purpose, one answer with its reason.</summary>
public static class Check
{
    // A full queue is some tens of round trips long.
    private static readonly TimeSpan WhenFull = TimeSpan.FromSeconds(1);

    /// <summary>Maps the route.</summary>
    public static void MapCheck(this IEndpointRouteBuilder app) =>
        app.MapPost("/v1/checks", HandleAsync)
            .RequireScope(Scope.ChecksRead)
            .Refuses(ProblemType.PurposeNotPermitted, ProblemType.NotFound, ProblemType.RateLimited)
            .WithExample(CheckExamples.Request, CheckExamples.Answer)
            .WithName("Check").WithTags("Checks").WithSummary("Says whether an address may be written to for a purpose");

    /// <summary>What to check.</summary>
    public sealed record CheckRequest
    {
        /// <summary>The address a message would go to.</summary>
        [Required, MaxLength(Subscribers.Address.MaxLength)]
        public string? Address { get; init; }

        /// <summary>The key of the purpose the message is for.</summary>
        [Required]
        public string? Purpose { get; init; }

        /// <summary>To ask what the service would have answered then, from what had been recorded by then.</summary>
        public DateTimeOffset? AsOf { get; init; }
    }

    /// <summary>The answer to a check.</summary>
    /// <param name="Allowed">True if a message may be sent; anything else means no.</param>
    /// <param name="Reason">The one reason.</param>
    /// <param name="Purpose">The purpose that was asked for.</param>
    /// <param name="Status">The kind of the event that holds for the purpose; null where there is none.</param>
    /// <param name="Basis">The basis that permission rests on.</param>
    /// <param name="Since">When the status came to hold.</param>
    /// <param name="ExpiresAt">When the permission runs out; null for never.</param>
    /// <param name="SubscriberId">The holder of the address.</param>
    /// <param name="EventId">The event the status follows from.</param>
    /// <param name="CheckedAt">The instant the answer is about.</param>
    /// <param name="Unsubscribe">How the recipient leaves: put it into the message. Only for allowed e-mail.</param>
    public sealed record CheckAnswer(
        bool Allowed, CheckReason Reason, string Purpose, EventKind? Status, LawfulBasis? Basis, DateTimeOffset? Since,
        DateTimeOffset? ExpiresAt, SubscriberId SubscriberId, EventId? EventId, DateTimeOffset CheckedAt, UnsubscribeLink? Unsubscribe);

    private static async Task<Results<CheckAnswered, Problem>> HandleAsync(
        CheckRequest request, HttpContext context, CheckReader reader, LedgerStore ledger, SubscriberIds subscribers, UnsubscribeLinks links,
        LedgerMetrics metrics, TimeProvider clock, CancellationToken cancellation)
    {
        var now = Instant.Of(clock.GetUtcNow());
        if (!Address.TryParse(request.Address, out var address, out var problem))
        {
            return Problem.Invalid("address", problem);
        }

        if (string.IsNullOrEmpty(request.Purpose))
        {
            return Problem.Invalid("purpose", "This is required.");
        }

        if (request.AsOf > now + EventRules.ClockTolerance)
        {
            return Problem.Invalid("asOf", "This is later than now: nobody knows yet.");
        }

        if (!context.Caller().MayUse(request.Purpose))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        var subscriber = subscribers.Of(address);
        CheckReading? reading;
        try
        {
            reading = PurposeKey.TryParse(request.Purpose, null, out var key) ? await reader.ReadAsync(key, subscriber, cancellation) : null;
        }
        catch (RoundTripsFullException)
        {
            return new Problem(ProblemType.RateLimited) { RetryAfter = WhenFull };
        }

        if (reading is null)
        {
            return Problem.NotFound("There is no such purpose.");
        }

        var purpose = reading.Purpose;
        if (!address.Fits(purpose.Channel))
        {
            return Problem.Invalid("address", $"Messages for this purpose go by {Label<Channel>.Of(purpose.Channel)}; this is another kind of address.");
        }

        var at = request.AsOf is { } asOf ? Instant.Of(asOf) : now;
        var state = request.AsOf is null ? reading.State : await ledger.ReadStateAsOfAsync(subscriber, purpose.Id, at, cancellation);
        var decision = state.Decide(purpose, at);
        metrics.Checked(decision.Reason, 1);
        return new CheckAnswered(new CheckAnswer(
            decision.Allowed, decision.Reason, purpose.Key, state.Purpose?.StatusAt(at), state.Purpose?.Basis, state.Purpose?.Since,
            state.Purpose?.ExpiresAt, subscriber, state.Purpose?.EventId, at,
            decision.Allowed && purpose.Channel == Channel.Email ? links.For(purpose, subscriber) : null));
    }
}
