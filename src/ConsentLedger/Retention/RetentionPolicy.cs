using System.ComponentModel.DataAnnotations;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.Retention;

/// <summary><c>GET /v1/retention/policy</c> and <c>POST /v1/retention/preview</c>: what is kept for how long, and of one person.</summary>
public static class RetentionPolicy
{
    /// <summary>Maps the routes.</summary>
    public static void MapRetentionPolicy(this IEndpointRouteBuilder app)
    {
        var retention = app.MapGroup("/v1/retention").WithTags("Retention");
        retention.MapGet("/policy", PolicyAsync)
            .RequireScope(Scope.RetentionRead)
            .WithExample(answer: Policy(
                [
                    Item("newsletter", PurgeRule.Pending, new Period(0, 30)), Item("newsletter", PurgeRule.Lapsed, new Period(24, 0)),
                    Item(PurposeKey.All, PurgeRule.Facets, RetentionExplanation.FacetsKept),
                ]))
            .WithName("GetRetentionPolicy").WithSummary("Says how long records are kept, by purpose and rule");
        retention.MapPost("/preview", ExplainAsync)
            .RequireScope(Scope.RetentionRead)
            .Refuses(ProblemType.Validation, ProblemType.PurposeNotPermitted)
            .WithExample(new ExplainRequest { Address = "ada@example.org" }, Example)
            .WithName("PreviewSubscriberRetention").WithSummary("Says of one person when each record will go, and by which rule");
    }

    private static readonly DateTimeOffset ExampleTime = new(2026, 11, 22, 9, 30, 0, TimeSpan.Zero);

    private static readonly RetentionOfSubscriber Example = new(
        SubscriberId.Parse("5b1d7c3e-2f0a-4c7d-8e69-1a2b3c4d5e6f", null), ExampleTime, null,
        [
            new ExplainedRecord(
                RetainedRecord.Event, "newsletter", EventKind.Withdrawn, new EventId(Guid.Parse("019aab3c-5f00-7c3e-9a41-5d0f6b2c8e17")), ExampleTime,
                PurgeRule.Lapsed, ExampleTime, new Period(24, 0), ExampleTime.AddMonths(24)),
            new ExplainedRecord(RetainedRecord.Address, PurposeKey.All, null, null, null, PurgeRule.Address, null, null, ExampleTime.AddMonths(24)),
        ]);

    /// <summary>How long records are kept.</summary>
    /// <param name="Items">By purpose and rule; what is about all purposes last.</param>
    public sealed record RetentionPolicyView(IReadOnlyList<RetentionPolicyItem> Items);

    /// <summary>How long something is kept.</summary>
    /// <param name="Purpose">The purpose's key; <c>*</c> for all.</param>
    /// <param name="Rule">The rule.</param>
    /// <param name="Period">How long, in months and days; null for what goes with something else.</param>
    /// <param name="CountsFrom">What the period counts from, in words.</param>
    /// <param name="EndsAt">Of <c>ended</c>: when the purpose ends.</param>
    public sealed record RetentionPolicyItem(string Purpose, PurgeRule Rule, Period? Period, string CountsFrom, DateTimeOffset? EndsAt);

    /// <summary>Of whom: an address, or a subscriber's id.</summary>
    public sealed record ExplainRequest
    {
        /// <summary>The address.</summary>
        [MaxLength(Subscribers.Address.MaxLength)]
        public string? Address { get; init; }

        /// <summary>The subscriber's id, in place of an address.</summary>
        public SubscriberId? SubscriberId { get; init; }
    }

    /// <summary>What is kept of one person.</summary>
    /// <param name="SubscriberId">The holder of the address.</param>
    /// <param name="GeneratedAt">As of when.</param>
    /// <param name="HeldBy">What keeps all of it for now, whatever is due; null if nothing does.</param>
    /// <param name="Records">Each record, the one that goes first first. That this was asked is one of them.</param>
    public sealed record RetentionOfSubscriber(
        SubscriberId SubscriberId, DateTimeOffset GeneratedAt, RetentionHeldBy? HeldBy, IReadOnlyList<ExplainedRecord> Records);

    private static async Task<Ok<RetentionPolicyView>> PolicyAsync(HttpContext context, PurposeCatalogue purposes, RetentionOptions options, CancellationToken cancellation)
    {
        var caller = context.Caller();
        var items = new List<RetentionPolicyItem>();
        foreach (var purpose in (await purposes.ListAsync(cancellation)).Where(purpose => caller.MayUse(purpose.Key)))
        {
            items.Add(Item(purpose.Key, PurgeRule.Pending, purpose.Retention.Pending));
            items.Add(Item(purpose.Key, PurgeRule.Lapsed, purpose.Retention.Lapsed));
            if (purpose.EndsAt is { } end)
            {
                items.Add(Item(purpose.Key, PurgeRule.Ended, purpose.Retention.Lapsed) with { EndsAt = end });
            }

            if (purpose.Retention.Evidence is { } evidence)
            {
                items.Add(Item(purpose.Key, PurgeRule.Evidence, evidence));
            }
        }

        items.Add(Item(PurposeKey.All, PurgeRule.Facets, RetentionExplanation.FacetsKept));
        items.Add(Item(PurposeKey.All, PurgeRule.Address, null));
        items.Add(Item(PurposeKey.All, PurgeRule.Requests, options.Accountability.Requests));
        items.Add(Item(PurposeKey.All, PurgeRule.Audit, options.Accountability.Audit));
        return TypedResults.Ok(Policy(items));
    }

    /// <summary>Of somebody unknown nothing is held, and that is the answer. That it was asked is on record first.</summary>
    private static async Task<Results<Ok<RetentionOfSubscriber>, Problem>> ExplainAsync(
        ExplainRequest request, HttpContext context, SubscriberIds subscribers, RetentionExplanation explanation, AuditTrail audit, TimeProvider clock,
        CancellationToken cancellation)
    {
        var errors = new InputErrors();
        Address? address = null;
        if (request.Address is null == request.SubscriberId is null)
        {
            errors.Add("address", "Either this or subscriberId is required.");
        }
        else if (request.Address is not null)
        {
            address = errors.RequireAddress("address", request.Address);
        }

        if (errors.Any)
        {
            return errors.ToProblem();
        }

        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        var subscriber = request.SubscriberId ?? subscribers.Of(address!);
        await audit.WriteAsync(context.Actor(), new AuditEntry(AuditAction.RetentionExplained) { SubscriberId = subscriber.Value }, cancellation);
        var now = Instant.Of(clock.GetUtcNow());
        var explained = await explanation.ExplainAsync(subscriber, now, cancellation);
        return TypedResults.Ok(new RetentionOfSubscriber(subscriber, now, explained.HeldBy, explained.Records));
    }

    private static RetentionPolicyView Policy(IReadOnlyList<RetentionPolicyItem> items) => new(items);

    private static RetentionPolicyItem Item(string purpose, PurgeRule rule, Period? period) => new(purpose, rule, period, CountsFrom(rule), null);

    private static string CountsFrom(PurgeRule rule) => rule switch
    {
        PurgeRule.Ended => "the end of the purpose",
        PurgeRule.Lapsed => "the withdrawal, refusal, revocation, objection or expiry",
        PurgeRule.Pending => "the sign-up that nobody confirmed",
        PurgeRule.Evidence => "the event that the evidence belongs to, which stays",
        PurgeRule.Facets => "the objection, suppression or restriction, which stays in force",
        PurgeRule.Requests => "the day on which what a person asked for was completed or refused",
        PurgeRule.Audit => "the day on which it was done",
        _ => "goes with the last event of its holder",
    };
}
