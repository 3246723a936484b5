using System.ComponentModel.DataAnnotations;
using System.Text.Json.Serialization;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.PersonalData;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.SubjectRights;

/// <summary>
/// <c>/v1/requests</c>: the register of what people ask for and complain of, and its clocks (FACTS 35, 36).
/// </summary>
public static class RequestsApi
{
    private const int MaxChannel = 100;
    internal const int MaxReason = 2000;

    /// <summary>Adds what it needs.</summary>
    public static IServiceCollection AddRequests(this IServiceCollection services) => services
        .AddSingleton<CopyMails>()
        .AddSingleton<RightInForce>()
        .AddSingleton<RequestRegister>()
        .AddSingleton<IPersonalRecords, RequestRecords>()
        .AddSingleton<IPersonalRecords, RequestStepRecords>();

    /// <summary>Maps the routes.</summary>
    public static void MapRequests(this IEndpointRouteBuilder app)
    {
        var requests = app.MapGroup("/v1/requests").WithTags("Subject rights");
        requests.MapPost("/", ReceiveAsync)
            .RequireScope(Scope.RightsWrite)
            .AcceptsIdempotencyKey()
            .Refuses(ProblemType.Validation, ProblemType.PurposeNotPermitted)
            .WithExample(
                new ReceivedRequest { Kind = RequestKind.Access, Address = "ada@example.org", ReceivedAt = ExampleTime, Channel = "letter" }, Example)
            .WithName("ReceiveRequest").WithSummary("Enters what a person asks for, or a complaint, and starts its clock");
        requests.MapGet("/", ListAsync)
            .RequireScope(Scope.RightsRead)
            .Refuses(ProblemType.Validation, ProblemType.PurposeNotPermitted)
            .WithExample(answer: new Page<RequestView>([Example], null))
            .WithName("ListRequests").WithSummary("Lists requests, the one due first first");
        requests.MapGet("/{id:guid}", GetAsync)
            .RequireScope(Scope.RightsRead)
            .Refuses(ProblemType.NotFound, ProblemType.PurposeNotPermitted)
            .WithExample(answer: Example)
            .WithName("GetRequest").WithSummary("Shows a request and what was done about it");
        requests.MapPost("/{id:guid}/acknowledge", AcknowledgeAsync)
            .TakesDatedStep()
            .WithName("AcknowledgeRequest").WithSummary("Notes that the person was told that it has come: of a complaint, within 30 days");
        requests.MapPost("/{id:guid}/pause", PauseAsync)
            .TakesDatedStep()
            .WithName("PauseRequest").WithSummary("Stops the clock until the person has shown who they are, or said what they mean");
        requests.MapPost("/{id:guid}/resume", ResumeAsync)
            .TakesDatedStep()
            .WithName("ResumeRequest").WithSummary("Lets the clock go on");
        requests.MapPost("/{id:guid}/extend", ExtendAsync)
            .Takes()
            .WithExample(new RequestExtension { Months = 2, Reason = "Four systems have to be searched." }, Example)
            .WithName("ExtendRequest").WithSummary("Puts the answer off by up to two months; the person is told in the first");
        requests.MapComplete();
        requests.MapPost("/{id:guid}/refuse", RefuseAsync)
            .TakesStep()
            .WithName("RefuseRequest").WithSummary("Notes that it was refused, and why");
    }

    private static RouteHandlerBuilder TakesDatedStep(this RouteHandlerBuilder route) => route
        .Takes()
        .WithExample(new DatedStep { Reason = "A copy of the passport was asked for on the telephone.", At = ExampleTime.AddHours(2) }, Example);

    private static RouteHandlerBuilder TakesStep(this RouteHandlerBuilder route) => route
        .Takes()
        .WithExample(new StepReason { Reason = "The third within a week (Article 12(5)); the person was told, and of the right to complain." }, Example);

    internal static RouteHandlerBuilder Takes(this RouteHandlerBuilder route) => route
        .RequireScope(Scope.RightsWrite)
        .AcceptsIdempotencyKey()
        .Refuses(ProblemType.Validation, ProblemType.PurposeNotPermitted, ProblemType.NotFound, ProblemType.RequestTransition);

    internal static readonly DateTimeOffset ExampleTime = new(2026, 11, 20, 9, 30, 0, TimeSpan.Zero);

    internal static readonly RequestView Example = new(
        Guid.Parse("019aa0ef-8f00-7c3e-9a41-5d0f6b2c8e17"), RequestKind.Access, RequestStatus.Open,
        SubscriberId.Parse("5b1d7c3e-2f0a-4c7d-8e69-1a2b3c4d5e6f", null), "ada@example.org", "letter", ExampleTime,
        new DateTimeOffset(2026, 12, 20, 9, 30, 0, TimeSpan.Zero), false, null, null, 0, new DateTimeOffset(2026, 12, 20, 9, 30, 0, TimeSpan.Zero), null, null,
        [
            new RequestStepView(
                RequestStep.Received, ExampleTime, new RequestStepActor(ActorKind.Key, Guid.Parse("019a9f2e-5c00-7a31-9d4e-3f1b6c8a2d10"), "Office"), null),
        ]);

    /// <summary>What a person asks for.</summary>
    public sealed record ReceivedRequest
    {
        /// <summary>What for.</summary>
        [Required]
        public RequestKind? Kind { get; init; }

        /// <summary>Whose data it is about; kept sealed.</summary>
        [Required, MaxLength(Subscribers.Address.MaxLength)]
        public string? Address { get; init; }

        /// <summary>When it came to the organisation, by whichever way: the clock runs from here. Now by default.</summary>
        public DateTimeOffset? ReceivedAt { get; init; }

        /// <summary>How it came: <c>email</c>, <c>letter</c>, <c>telephone</c>; at most 100 characters, kept sealed.</summary>
        [MaxLength(MaxChannel)]
        public string? Channel { get; init; }

        /// <summary>What they said, as far as it matters; at most 2,000 characters, kept sealed.</summary>
        [MaxLength(MaxReason)]
        public string? Note { get; init; }
    }

    /// <summary>Why a step is taken.</summary>
    public sealed record StepReason
    {
        /// <summary>
        /// What was told to the person; at most 2,000 characters, kept sealed. Required.
        /// </summary>
        [MaxLength(MaxReason)]
        public string? Reason { get; init; }
    }

    /// <summary>What was done about a request, and when.</summary>
    public sealed record DatedStep
    {
        /// <summary>What was asked of the person, done, or told to them; at most 2,000 characters, kept sealed. To pause it is required.</summary>
        [MaxLength(MaxReason)]
        public string? Reason { get; init; }

        /// <summary>When it was, if it is noted later: not before the request came, nor before its clock last stopped or went on. Now by default.</summary>
        public DateTimeOffset? At { get; init; }
    }

    /// <summary>An answer put off.</summary>
    public sealed record RequestExtension
    {
        /// <summary>By how many months, 1 or 2, counted from the first; 2 by default.</summary>
        [Range(1, RequestClock.MostMonthsMore)]
        public int? Months { get; init; }

        /// <summary>Why, as the person was told: it is complex, or there are many; at most 2,000 characters, kept sealed.</summary>
        [Required, MaxLength(MaxReason)]
        public string? Reason { get; init; }
    }

    /// <summary>A request as the register shows it.</summary>
    /// <param name="Id">A UUIDv7.</param>
    /// <param name="Kind">What for.</param>
    /// <param name="Status">How far it is.</param>
    /// <param name="SubscriberId">Who asks.</param>
    /// <param name="Address">Their address; null once they were erased.</param>
    /// <param name="Channel">How it came.</param>
    /// <param name="ReceivedAt">When it came.</param>
    /// <param name="DueAt">By when it is to be answered, or a complaint acknowledged; moves on while the clock stands still. Null for a complaint that was.</param>
    /// <param name="Overdue">True if that has passed and it is not closed.</param>
    /// <param name="AcknowledgedAt">When the person was told that it has come.</param>
    /// <param name="PausedAt">Since when the clock stands still; null while it runs.</param>
    /// <param name="ExtendedMonths">By how many months the answer was put off.</param>
    /// <param name="ExtensionNoticeDueAt">By when the person has to be told, if it is put off; null for a complaint.</param>
    /// <param name="ClosedAt">When it was completed or refused.</param>
    /// <param name="Delivered">Of a request for a copy that was completed: how the copy came to the person.</param>
    /// <param name="History">What was done about it, in that order.</param>
    /// <param name="Outcome">In the answer to the completion that erased or carried over: what came of it; null in every other.</param>
    public sealed record RequestView(
        Guid Id, RequestKind Kind, RequestStatus Status, SubscriberId SubscriberId, string? Address, string? Channel, DateTimeOffset ReceivedAt,
        DateTimeOffset? DueAt, bool Overdue, DateTimeOffset? AcknowledgedAt, DateTimeOffset? PausedAt, int ExtendedMonths,
        DateTimeOffset? ExtensionNoticeDueAt, DateTimeOffset? ClosedAt, RequestDelivery? Delivered, IReadOnlyList<RequestStepView> History,
        CompleteRequest.RequestOutcome? Outcome = null)
    {
        internal static RequestView Of(RequestRegister.Entry entry, DateTimeOffset now)
        {
            // The dates of a closed request are those it was closed under.
            var request = entry.Request;
            var at = request.ClosedAt ?? now;
            return new RequestView(
                request.Id, request.Kind, request.Status, request.SubscriberId, entry.Address, entry.Channel, request.ReceivedAt,
                request.DueAt(at), request.IsOverdue(now), request.AcknowledgedAt, request.PausedAt, request.ExtendedMonths,
                request.ExtensionNoticeDueAt(at), request.ClosedAt, request.Delivered,
                [
                    .. entry.History.Select(taken => new RequestStepView(
                        taken.Step, taken.At, new RequestStepActor(taken.Actor, taken.KeyId, taken.Name), taken.Note)),
                ]);
        }
    }

    /// <summary>Something that was done about a request.</summary>
    /// <param name="Step">What.</param>
    /// <param name="At">When.</param>
    /// <param name="By">By whom.</param>
    /// <param name="Reason">Why, in words.</param>
    public sealed record RequestStepView(RequestStep Step, DateTimeOffset At, RequestStepActor By, string? Reason);

    /// <summary>Who took a step.</summary>
    /// <param name="Kind">What kind of actor.</param>
    /// <param name="KeyId">The API key; null for other kinds.</param>
    /// <param name="Name">The API key's name; null for other kinds.</param>
    public sealed record RequestStepActor(ActorKind Kind, Guid? KeyId, string? Name);

    /// <summary>What a list can be asked for: a status, or how urgent it is.</summary>
    [JsonConverter(typeof(LabelJsonConverter<RequestsAsked>))]
    public enum RequestsAsked
    {
        /// <summary>The clock runs.</summary>
        Open,

        /// <summary>The clock stands still.</summary>
        Paused,

        /// <summary>Done.</summary>
        Completed,

        /// <summary>Refused.</summary>
        Refused,

        /// <summary>Not closed, and due within the next seven days.</summary>
        DueSoon,

        /// <summary>Not closed, and due before now.</summary>
        Overdue,
    }

    private static async Task<Results<Created<RequestView>, Problem>> ReceiveAsync(
        ReceivedRequest request, HttpContext context, RequestRegister register, KeyRing keys, TimeProvider clock, CancellationToken cancellation)
    {
        var idempotent = context.Features.Get<IdempotentRequest>();
        var now = Instant.Of(idempotent?.FirstSeenAt ?? clock.GetUtcNow());
        var errors = new InputErrors();
        var kind = errors.Require("kind", request.Kind);
        var address = errors.RequireAddress("address", request.Address);
        var channel = errors.AcceptText("channel", request.Channel, MaxChannel);
        var note = errors.AcceptText("note", request.Note, MaxReason, lines: true);
        if (request.ReceivedAt > now + EventRules.ClockTolerance)
        {
            errors.Add("receivedAt", "This is more than five minutes ahead of the service's clock.");
        }

        if (errors.Any)
        {
            return errors.ToProblem();
        }

        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        var entry = await register.ReceiveAsync(
            context.Actor(), EventId.Of(keys.EventIdKey, "request", idempotent)?.Value, kind!.Value, address!,
            request.ReceivedAt is { } received ? Instant.Of(received) : now, channel, note, cancellation);
        return TypedResults.Created($"/v1/requests/{entry.Request.Id:D}", RequestView.Of(entry, now));
    }

    /// <param name="context">The request.</param>
    /// <param name="register">The register.</param>
    /// <param name="audit">The audit trail: the list shows addresses.</param>
    /// <param name="clock">The time.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <param name="status">Only those that are open, paused, completed or refused; or due-soon, or overdue.</param>
    /// <param name="kind">Only those that ask for this.</param>
    /// <param name="dueBefore">Only those that are not closed and due before this time.</param>
    /// <param name="limit">How many, at most 1,000.</param>
    /// <param name="cursor">Where the page before ended.</param>
    private static async Task<Results<Ok<Page<RequestView>>, Problem>> ListAsync(
        HttpContext context, RequestRegister register, AuditTrail audit, TimeProvider clock, CancellationToken cancellation,
        string? status = null, string? kind = null, string? dueBefore = null, int limit = Page<RequestView>.DefaultLimit, string? cursor = null)
    {
        var now = Instant.Of(clock.GetUtcNow());
        var errors = new InputErrors();
        RequestsAsked? asked = null;
        if (status is not null)
        {
            asked = Label<RequestsAsked>.TryParse(status, out var value) ? value : null;
            AddUnless(asked is not null, "status", $"This is one of: {string.Join(", ", Label<RequestsAsked>.All)}.");
        }

        RequestKind? wanted = null;
        if (kind is not null)
        {
            wanted = Label<RequestKind>.TryParse(kind, out var value) ? value : null;
            AddUnless(wanted is not null, "kind", $"This is one of: {string.Join(", ", Label<RequestKind>.All)}.");
        }

        DateTimeOffset? before = null;
        if (dueBefore is not null)
        {
            before = Instant.TryParse(dueBefore, out var value) ? value : null;
            AddUnless(before is not null, "dueBefore", "This is not an RFC 3339 time.");
        }

        var after = RequestRegister.Place.Start;
        AddUnless(cursor is null || TryReadCursor(cursor, out after), "cursor", "This is not a cursor of this list.");
        if (errors.Any)
        {
            return errors.ToProblem();
        }

        if (Paging.Check(limit) is { } problem)
        {
            return problem;
        }

        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        await audit.WriteAsync(context.Actor(), new AuditEntry(AuditAction.RequestsRead), cancellation);
        var soonest = asked switch
        {
            RequestsAsked.Overdue => now,
            RequestsAsked.DueSoon => now + RequestClock.Soon,
            _ => before,
        };
        var filter = new RequestRegister.Filter(
            asked < RequestsAsked.DueSoon ? Label<RequestStatus>.Parse(Label<RequestsAsked>.Of(asked.Value)) : null,
            wanted,
            asked == RequestsAsked.DueSoon ? now : null,
            before < soonest ? before : soonest);
        var page = Paging.PageOf(await register.ListAsync(filter, after, limit + 1, cancellation), limit, WriteCursor);
        return TypedResults.Ok(new Page<RequestView>([.. page.Items.Select(entry => RequestView.Of(entry, now))], page.NextCursor));

        void AddUnless(bool valid, string path, string error)
        {
            if (!valid)
            {
                errors.Add(path, error);
            }
        }
    }

    private static async Task<Results<Ok<RequestView>, Problem>> GetAsync(
        Guid id, HttpContext context, RequestRegister register, AuditTrail audit, TimeProvider clock, CancellationToken cancellation)
    {
        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        if (await register.FindAsync(id, cancellation) is not { } entry)
        {
            return Problem.NotFound();
        }

        await audit.WriteAsync(
            context.Actor(), new AuditEntry(AuditAction.RequestsRead) { SubscriberId = entry.Request.SubscriberId.Value, Target = id.ToString("D") }, cancellation);
        return TypedResults.Ok(RequestView.Of(entry, clock.GetUtcNow()));
    }

    private static Task<Results<Ok<RequestView>, Problem>> AcknowledgeAsync(
        Guid id, HttpContext context, RequestRegister register, TimeProvider clock, CancellationToken cancellation, DatedStep? body = null) =>
        TakeAsync(id, new(RequestStep.Acknowledged, (request, at) => request.Acknowledge(at), body?.Reason) { At = body?.At }, false, context, register, clock, cancellation);

    private static Task<Results<Ok<RequestView>, Problem>> PauseAsync(
        Guid id, HttpContext context, RequestRegister register, TimeProvider clock, CancellationToken cancellation, DatedStep? body = null) =>
        TakeAsync(id, new(RequestStep.Paused, (request, at) => request.Pause(at), body?.Reason) { At = body?.At }, true, context, register, clock, cancellation);

    private static Task<Results<Ok<RequestView>, Problem>> ResumeAsync(
        Guid id, HttpContext context, RequestRegister register, TimeProvider clock, CancellationToken cancellation, DatedStep? body = null) =>
        TakeAsync(id, new(RequestStep.Resumed, (request, at) => request.Resume(at), body?.Reason) { At = body?.At }, false, context, register, clock, cancellation);

    private static async Task<Results<Ok<RequestView>, Problem>> ExtendAsync(
        Guid id, RequestExtension body, HttpContext context, RequestRegister register, TimeProvider clock, CancellationToken cancellation)
    {
        var months = body.Months ?? RequestClock.MostMonthsMore;
        return months is < 1 or > RequestClock.MostMonthsMore
            ? Problem.Invalid("months", $"This is 1 to {RequestClock.MostMonthsMore}.")
            : await TakeAsync(id, new(RequestStep.Extended, (request, now) => request.Extend(months, now), body.Reason), true, context, register, clock, cancellation);
    }

    private static Task<Results<Ok<RequestView>, Problem>> RefuseAsync(
        Guid id, HttpContext context, RequestRegister register, TimeProvider clock, CancellationToken cancellation, StepReason? body = null) =>
        TakeAsync(id, new(RequestStep.Refused, (request, now) => request.Refuse(now), body?.Reason), true, context, register, clock, cancellation);

    /// <summary>Takes a step, once it is known that it says all it has to, and that the caller may.</summary>
    internal static async Task<Results<Ok<RequestView>, Problem>> TakeAsync(
        Guid id, RequestRegister.Step step, bool needsReason, HttpContext context, RequestRegister register, TimeProvider clock, CancellationToken cancellation)
    {
        var errors = new InputErrors();
        var note = errors.AcceptText("reason", step.Note, MaxReason, lines: true);
        if (needsReason && string.IsNullOrWhiteSpace(note))
        {
            errors.Add("reason", "This is required.");
        }

        if (errors.Any)
        {
            return errors.ToProblem();
        }

        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        var at = step.At is { } time ? Instant.Of(time) : (DateTimeOffset?)null;
        var (entry, problem) = await register.TakeAsync(context.Actor(), id, step with { Note = note, At = at }, cancellation);
        return entry is null ? Problem.NotFound()
            : problem is not null ? problem
            : TypedResults.Ok(RequestView.Of(entry, clock.GetUtcNow()));
    }

    private static string WriteCursor(RequestRegister.Entry last)
    {
        var place = RequestRegister.Place.Of(last.Request);
        return TimeCursor.Write(place.Due, place.Id);
    }

    private static bool TryReadCursor(string cursor, out RequestRegister.Place place)
    {
        var read = TimeCursor.TryRead(cursor, out var due, out var id);
        place = new RequestRegister.Place(due, id);
        return read;
    }
}
