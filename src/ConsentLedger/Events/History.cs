using System.ComponentModel.DataAnnotations;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.Events;

/// <summary>
/// <c>POST /v1/subscribers/history</c> and <c>GET /v1/subscribers/{id}/events</c>: what happened, newest first, each
/// with what the person was shown and the evidence.
/// </summary>
public static class History
{
    /// <summary>Maps the routes.</summary>
    public static void MapHistory(this IEndpointRouteBuilder app)
    {
        app.MapPost("/v1/subscribers/history", OfAddressAsync)
            .RequireScope(Scope.SubscribersRead)
            .WithExample(EventExamples.HistoryRequest, EventExamples.History)
            .WithName("ReadHistory").WithTags("Subscribers").WithSummary("Lists what happened to the consents of an address");
        app.MapGet("/v1/subscribers/{id}/events", OfSubscriberAsync)
            .RequireScope(Scope.SubscribersRead)
            .WithExample(answer: EventExamples.History)
            .WithName("ListSubscriberEvents").WithTags("Subscribers").WithSummary("Lists what happened to the consents of a subscriber");
    }

    /// <summary>Whose history to read.</summary>
    public sealed record HistoryRequest
    {
        /// <summary>The address.</summary>
        [Required, MaxLength(Subscribers.Address.MaxLength)]
        public string? Address { get; init; }
    }

    private static async Task<Results<Ok<Page<EventView>>, Problem>> OfAddressAsync(
        HistoryRequest request, HttpContext context, SubscriberIds subscribers, LedgerStore ledger, PurposeCatalogue purposes, AuditTrail audit,
        CancellationToken cancellation, int limit = Page<EventView>.DefaultLimit, string? cursor = null) =>
        Address.TryParse(request.Address, out var address, out var problem)
            ? await ReadAsync(subscribers.Of(address), context, ledger, purposes, audit, limit, cursor, cancellation)
            : Problem.Invalid("address", problem);

    private static Task<Results<Ok<Page<EventView>>, Problem>> OfSubscriberAsync(
        SubscriberId id, HttpContext context, LedgerStore ledger, PurposeCatalogue purposes, AuditTrail audit, CancellationToken cancellation,
        int limit = Page<EventView>.DefaultLimit, string? cursor = null) =>
        ReadAsync(id, context, ledger, purposes, audit, limit, cursor, cancellation);

    private static async Task<Results<Ok<Page<EventView>>, Problem>> ReadAsync(
        SubscriberId subscriber, HttpContext context, LedgerStore ledger, PurposeCatalogue purposes, AuditTrail audit, int limit, string? cursor,
        CancellationToken cancellation)
    {
        if (Paging.Check(limit) is { } problem)
        {
            return problem;
        }

        if (!TryReadCursor(cursor, out var after))
        {
            return Problem.Invalid("cursor", "This is not a cursor of this list.");
        }

        var caller = context.Caller();
        await audit.WriteAsync(context.Actor(), new AuditEntry(AuditAction.HistoryRead) { SubscriberId = subscriber.Value }, cancellation);
        var keys = await purposes.KeysAsync(cancellation);
        IReadOnlyList<PurposeId>? mayUse = caller.Purposes is null ? null : [.. keys.All.Where(caller.MayUse).Select(key => keys.Find(key)!.Value)];
        var events = await ledger.ReadHistoryAsync(subscriber, mayUse, after, limit + 1, cancellation);
        var notices = await purposes.FindNoticesAsync(
            events.Where(@event => @event.NoticeVersion is not null).Select(@event => (@event.Purpose, @event.NoticeVersion!.Value)), cancellation);
        var views = events.Select(@event => (
            Event: @event,
            View: EventView.Of(
                @event,
                keys.Of(@event.Purpose),
                @event.NoticeVersion is { } version ? notices.GetValueOrDefault((@event.Purpose, version)) : null)));
        var page = Paging.PageOf(views, limit, item => TimeCursor.Write(item.Event.OccurredAt, item.Event.Id.Value));
        return TypedResults.Ok(new Page<EventView>([.. page.Items.Select(item => item.View)], page.NextCursor));
    }

    private static bool TryReadCursor(string? cursor, out (DateTimeOffset OccurredAt, EventId Id)? after)
    {
        after = null;
        if (cursor is null)
        {
            return true;
        }

        var read = TimeCursor.TryRead(cursor, out var time, out var id);
        after = (time, new EventId(id));
        return read;
    }
}
