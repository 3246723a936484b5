using System.ComponentModel.DataAnnotations;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.PersonalData;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Dapper;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace ConsentLedger.SubjectRights;

/// <summary>
/// <c>PUT</c> and <c>DELETE /v1/subscribers/{id}/hold</c>: while a legal hold stands, nothing of the subscriber is purged.
/// </summary>
public static class Holds
{
    private const int MaxReason = 2000;

    /// <summary>Maps the routes.</summary>
    public static void MapHolds(this IEndpointRouteBuilder app)
    {
        var hold = app.MapGroup("/v1/subscribers/{id}/hold").WithTags("Subject rights");
        hold.MapPut("/", PutAsync)
            .RequireScope(Scope.RightsWrite)
            .Refuses(ProblemType.PurposeNotPermitted)
            .WithExample(
                new HoldRequest { Reason = "A claim is pending", ReviewAt = new DateTimeOffset(2027, 5, 22, 9, 30, 0, TimeSpan.Zero) },
                Example)
            .WithName("PlaceHold").WithSummary("Places a legal hold: nothing of this subscriber is purged");
        hold.MapDelete("/", DeleteAsync)
            .RequireScope(Scope.RightsWrite)
            .Refuses(ProblemType.PurposeNotPermitted, ProblemType.NotFound)
            .WithName("LiftHold").WithSummary("Lifts a legal hold");
        app.MapGet("/v1/holds", ListAsync)
            .RequireScope(Scope.RightsRead)
            .Refuses(ProblemType.Validation, ProblemType.PurposeNotPermitted)
            .WithExample(answer: new Page<Hold>([Example], null))
            .WithName("ListHolds").WithTags("Subject rights").WithSummary("Lists legal holds, the one to be looked at again first first");
    }

    private static readonly Hold Example = new(
        SubscriberId.Parse("5b1d7c3e-2f0a-4c7d-8e69-1a2b3c4d5e6f", null), "A claim is pending", new DateTimeOffset(2026, 11, 22, 9, 30, 0, TimeSpan.Zero),
        new DateTimeOffset(2027, 5, 22, 9, 30, 0, TimeSpan.Zero));

    /// <summary>Why.</summary>
    public sealed record HoldRequest
    {
        /// <summary>Why nothing may go; kept sealed, at most 2,000 characters.</summary>
        [Required, MaxLength(MaxReason)]
        public string? Reason { get; init; }

        /// <summary>When to look at it again; null for no such date.</summary>
        public DateTimeOffset? ReviewAt { get; init; }
    }

    /// <summary>A hold that stands.</summary>
    /// <param name="SubscriberId">Whose records are kept.</param>
    /// <param name="Reason">Why.</param>
    /// <param name="PlacedAt">Since when; a new reason does not change it.</param>
    /// <param name="ReviewAt">When to look at it again; null for no such date.</param>
    public sealed record Hold(SubscriberId SubscriberId, string Reason, DateTimeOffset PlacedAt, DateTimeOffset? ReviewAt);

    /// <summary>
    /// Places a hold, or gives another reason for it. Committed before this is answered, and after the batch of a purge
    /// that has the subscriber's states locked, or that deletes requests or the audit trail: what is there when this answers
    /// stays.
    /// </summary>
    private static async Task<Results<Ok<Hold>, Problem>> PutAsync(
        SubscriberId id, HoldRequest request, HttpContext context, NpgsqlDataSource database, Sealer sealer, AuditTrail audit, TimeProvider clock,
        CancellationToken cancellation)
    {
        const string PlaceSql = """
            insert into legal_hold (subscriber_id, reason, placed_at, review_at)
            values (@id, @reason, @now, @review)
            on conflict (subscriber_id) do update set reason = excluded.reason, review_at = excluded.review_at
            returning placed_at
            """;
        const string WaitSql = """
            select purpose_id from consent_state where subscriber_id = @id order by purpose_id for update;
            select 1 from subscriber where subscriber_id = @id for update;
            select pg_advisory_xact_lock(@AdvisoryLock)
            """;
        var errors = new InputErrors();
        var reason = errors.RequireText("reason", request.Reason, MaxReason);
        var now = Instant.Of(clock.GetUtcNow());
        if (request.ReviewAt <= now)
        {
            errors.Add("reviewAt", "This has passed already.");
        }

        if (errors.Any)
        {
            return errors.ToProblem();
        }

        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        var box = LegalHold.SealReason(reason, id, sealer);
        var parameters = new { id = id.Value, reason = box, now = now.UtcDateTime, review = request.ReviewAt?.UtcDateTime, LegalHold.AdvisoryLock };
        var actor = context.Actor();
        var placedAt = await DatabaseResilience.Repeatable.ExecuteAsync(
            async token =>
            {
                await using var connection = await database.OpenConnectionAsync(token);
                await using var transaction = await connection.BeginTransactionAsync(token);
                var placed = await connection.ExecuteScalarAsync<DateTimeOffset>(new CommandDefinition(PlaceSql, parameters, cancellationToken: token));
                await audit.WriteAsync(connection, actor, new AuditEntry(AuditAction.HoldPlaced) { SubscriberId = id.Value }, token);
                await connection.ExecuteAsync(new CommandDefinition(WaitSql, parameters, cancellationToken: token));
                await transaction.CommitAsync(token);
                return placed;
            },
            cancellation);
        return TypedResults.Ok(new Hold(id, reason, placedAt, request.ReviewAt is { } review ? Instant.Of(review) : null));
    }

    /// <param name="context">The request.</param>
    /// <param name="database">The database.</param>
    /// <param name="sealer">Opens the reasons.</param>
    /// <param name="audit">The audit trail.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <param name="reviewBefore">Only those that are to be looked at again before this time.</param>
    /// <param name="limit">How many, at most 1,000.</param>
    /// <param name="cursor">Where the page before ended.</param>
    private static async Task<Results<Ok<Page<Hold>>, Problem>> ListAsync(
        HttpContext context, NpgsqlDataSource database, Sealer sealer, AuditTrail audit, CancellationToken cancellation,
        string? reviewBefore = null, int limit = Page<Hold>.DefaultLimit, string? cursor = null)
    {
        const string Sql = """
            select subscriber_id, reason, placed_at, review_at
            from legal_hold
            where (@before::timestamptz is null or review_at < @before)
                and (coalesce(review_at, @never), subscriber_id) > (@afterTime, @afterId)
            order by coalesce(review_at, @never), subscriber_id
            limit @fetched
            """;
        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        DateTimeOffset before = default;
        if (reviewBefore is not null && !Instant.TryParse(reviewBefore, out before))
        {
            return Problem.Invalid("reviewBefore", "This is not an RFC 3339 time.");
        }

        var (afterTime, afterId) = (Instant.Earliest, Guid.Empty);
        if (cursor is not null && !TimeCursor.TryRead(cursor, out afterTime, out afterId))
        {
            return Problem.Invalid("cursor", "This is not a cursor of this list.");
        }

        if (Paging.Check(limit) is { } problem)
        {
            return problem;
        }

        await using var connection = await database.OpenConnectionAsync(cancellation);
        await audit.WriteAsync(connection, context.Actor(), new AuditEntry(AuditAction.HoldsRead), cancellation);
        var rows = await connection.QueryAsync<Row>(new CommandDefinition(
            Sql,
            new
            {
                before = reviewBefore is null ? (DateTime?)null : before.UtcDateTime,
                never = NoReview.UtcDateTime,
                afterTime = afterTime.UtcDateTime,
                afterId,
                fetched = limit + 1,
            },
            cancellationToken: cancellation));
        return TypedResults.Ok(Paging.PageOf(
            rows.Select(row => new Hold(
                new SubscriberId(row.SubscriberId), LegalHold.OpenReason(row.Reason, new SubscriberId(row.SubscriberId), sealer), row.PlacedAt, row.ReviewAt)),
            limit,
            hold => TimeCursor.Write(hold.ReviewAt ?? NoReview, hold.SubscriberId.Value)));
    }

    /// <summary>Where holds without a date are in the list.</summary>
    private static readonly DateTimeOffset NoReview = new(9999, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private sealed record Row(Guid SubscriberId, byte[] Reason, DateTimeOffset PlacedAt, DateTimeOffset? ReviewAt);

    /// <summary>Lifts a hold; what is due goes with the next run.</summary>
    private static async Task<Results<NoContent, Problem>> DeleteAsync(
        SubscriberId id, HttpContext context, NpgsqlDataSource database, AuditTrail audit, CancellationToken cancellation)
    {
        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var lifted = await connection.ExecuteAsync(new CommandDefinition(
            "delete from legal_hold where subscriber_id = @id", new { id = id.Value }, cancellationToken: cancellation));
        if (lifted == 0)
        {
            return Problem.NotFound("There is no hold on this subscriber.");
        }

        await audit.WriteAsync(connection, context.Actor(), new AuditEntry(AuditAction.HoldLifted) { SubscriberId = id.Value }, cancellation);
        await transaction.CommitAsync(cancellation);
        return TypedResults.NoContent();
    }
}
