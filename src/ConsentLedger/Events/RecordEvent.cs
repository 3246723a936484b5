using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.Events;

/// <summary><c>POST /v1/events</c>: one event enters the ledger.</summary>
public static class RecordEvent
{
    /// <summary>Maps the route.</summary>
    public static void MapRecordEvent(this IEndpointRouteBuilder app) =>
        app.MapPost("/v1/events", HandleAsync)
            .RequireScope(Scope.EventsWrite)
            .Refuses(ProblemType.PurposeNotPermitted, ProblemType.NotFound, ProblemType.EventConflict)
            .WithExample(EventExamples.Request, EventExamples.Answer)
            .WithName("RecordEvent").WithTags("Events").WithSummary("Appends a consent event to the ledger");

    /// <summary>An event to append; <c>address</c>, <c>purpose</c>, <c>kind</c> and <c>source</c> are required.</summary>
    public sealed record EventRequest
    {
        /// <summary>A UUID of the caller's; the same id with the same content again changes nothing. Made here if left out.</summary>
        public EventId? Id { get; init; }

        /// <summary>Whose consent it is about: an e-mail address, <c>tel:+44…</c> or <c>ref:…</c>.</summary>
        [Required, MaxLength(Subscribers.Address.MaxLength)]
        public string? Address { get; init; }

        /// <summary>The purpose's key; <c>*</c> for all of them.</summary>
        [Required]
        public string? Purpose { get; init; }

        /// <summary>What happened.</summary>
        [Required]
        public EventKind? Kind { get; init; }

        /// <summary>The basis, if it is another than the purpose's.</summary>
        public LawfulBasis? Basis { get; init; }

        /// <summary>When it happened; now if left out.</summary>
        public DateTimeOffset? OccurredAt { get; init; }

        /// <summary>What the person was shown; required for <c>given</c> where the purpose has notices.</summary>
        public NoticeReference? Notice { get; init; }

        /// <summary>How it came to be known.</summary>
        [Required]
        public SourceRequest? Source { get; init; }

        /// <summary>What shows how it came about: text, whole numbers, booleans and objects of these; at most 4 KiB.</summary>
        public JsonElement? Evidence { get; init; }

        /// <summary>When the permission runs out, if not after the purpose's consent lifetime.</summary>
        public DateTimeOffset? ExpiresAt { get; init; }

        /// <summary>Who consented for a child.</summary>
        public JsonElement? Guardian { get; init; }
    }

    /// <summary>How an event came to be known.</summary>
    public sealed record SourceRequest
    {
        /// <summary>By which way.</summary>
        [Required]
        public SourceKind? Kind { get; init; }

        /// <summary>What the source is called: the name of a list, the number of a form; at most 200 characters.</summary>
        [MaxLength(200)]
        public string? Reference { get; init; }

        /// <summary>The page it happened on.</summary>
        [MaxLength(2000)]
        public string? Url { get; init; }
    }

    /// <summary>What is in the ledger now.</summary>
    /// <param name="Event">The event.</param>
    /// <param name="State">What follows for this subscriber and purpose; another event's if that one beats this.</param>
    /// <param name="SubscriberId">The holder of the address.</param>
    public sealed record EventAnswer(EventView Event, StateView State, SubscriberId SubscriberId);

    /// <summary>Appends the event; it is durable before this answers 201, and was when it answers 200.</summary>
    private static async Task<Results<Created<EventAnswer>, Ok<EventAnswer>, Problem>> HandleAsync(
        EventRequest request, HttpContext context, PurposeCatalogue purposes, LedgerStore ledger, SubscriberIds subscribers, KeyRing keys,
        TimeProvider clock, CancellationToken cancellation)
    {
        var now = Instant.Of(clock.GetUtcNow());
        var errors = new InputErrors();
        var address = errors.RequireAddress("address", request.Address);
        var key = errors.RequireText("purpose", request.Purpose, 64);
        var kind = errors.Require("kind", request.Kind);
        var source = ReadSource(request, errors);
        var evidence = ReadEvidence(request, errors);
        if (request.Notice is { Version: null })
        {
            errors.Add("notice.version", "This is required.");
        }

        if (errors.Any)
        {
            return errors.ToProblem();
        }

        if (!context.Caller().MayUse(key))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        Purpose? purpose = null;
        if (key != PurposeKey.All
            && (!PurposeKey.TryParse(key, null, out var parsed) || (purpose = await purposes.FindAsync(parsed, cancellation)) is null))
        {
            return Problem.NotFound("There is no such purpose.");
        }

        var draft = new EventDraft
        {
            Address = address!,
            Purpose = purpose,
            Kind = kind!.Value,
            Basis = request.Basis,
            NoticeVersion = request.Notice?.Version,
            Source = source!.Value,
            OccurredAt = request.OccurredAt is { } occurredAt ? Instant.Of(occurredAt) : now,
            ExpiresAt = request.ExpiresAt is { } expiresAt ? Instant.Of(expiresAt) : null,
            Evidence = evidence,
        };
        foreach (var fault in EventRules.Check(draft, now))
        {
            errors.Add(fault.Path, fault.Detail);
        }

        if (errors.Any)
        {
            return errors.ToProblem();
        }

        var subscriber = subscribers.Of(address!);
        var id = request.Id ?? (request.OccurredAt is null ? EventId.New(now) : EventRules.IdByContent(draft, subscriber, keys));
        var @event = EventRules.Accept(draft, subscriber, id, now);
        if (purpose is not null)
        {
            await purposes.MarkInUseAsync(purpose, now, cancellation);
        }

        switch (await ledger.AppendAsync(@event, address, cancellation))
        {
            case AppendOutcome.Conflict:
                return new Problem(ProblemType.EventConflict);
            case AppendOutcome.AlreadyThere:
                var first = await ledger.FindAsync(subscriber, id, cancellation) ?? @event;
                return TypedResults.Ok(await AnswerAsync(first, key, ledger, now, cancellation));
            case AppendOutcome.Appended:
                return Created(new EventAnswer(EventView.Of(@event, key), StateView.Of(ConsentState.Of(@event), key, now), subscriber));
            default:
                return Created(await AnswerAsync(@event, key, ledger, now, cancellation));
        }
    }

    private static Created<EventAnswer> Created(EventAnswer answer) =>
        TypedResults.Created($"/v1/subscribers/{answer.SubscriberId}/events", answer);

    private static async Task<EventAnswer> AnswerAsync(
        ConsentEvent @event, string purpose, LedgerStore ledger, DateTimeOffset now, CancellationToken cancellation)
    {
        var states = await ledger.ReadStatesAsync(@event.SubscriberId, cancellation);
        var state = states.Where(state => state.Purpose == @event.Purpose).DefaultIfEmpty(ConsentState.Of(@event)).First();
        return new EventAnswer(EventView.Of(@event, purpose), StateView.Of(state, purpose, now), @event.SubscriberId);
    }

    private static SourceKind? ReadSource(EventRequest request, InputErrors errors)
    {
        if (request.Source is null)
        {
            errors.Add("source", "This is required.");
            return null;
        }

        errors.AcceptText("source.reference", request.Source.Reference, 200);
        errors.AcceptUrl("source.url", request.Source.Url);
        return errors.Require("source.kind", request.Source.Kind);
    }

    private static Evidence? ReadEvidence(EventRequest request, InputErrors errors) => Evidence.Of(
        ReadMembers("evidence", request.Evidence, errors),
        request.Source?.Reference,
        request.Source?.Url,
        ReadMembers("guardian", request.Guardian, errors));

    private static Dictionary<string, object?>? ReadMembers(string path, JsonElement? json, InputErrors errors)
    {
        if (json is not { } value || value.ValueKind == JsonValueKind.Null)
        {
            return null;
        }

        if (Evidence.TryRead(value, out var members, out var problem))
        {
            return members;
        }

        errors.Add(path, problem!);
        return null;
    }
}
