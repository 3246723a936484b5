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
                new HoldRequest { Reason = "A claim is pending" },
                new Hold(SubscriberId.Parse("5b1d7c3e-2f0a-4c7d-8e69-1a2b3c4d5e6f", null), "A claim is pending", new DateTimeOffset(2026, 11, 22, 9, 30, 0, TimeSpan.Zero)))
            .WithName("PlaceHold").WithSummary("Places a legal hold: nothing of this subscriber is purged");
        hold.MapDelete("/", DeleteAsync)
            .RequireScope(Scope.RightsWrite)
            .Refuses(ProblemType.PurposeNotPermitted, ProblemType.NotFound)
            .WithName("LiftHold").WithSummary("Lifts a legal hold");
    }

    /// <summary>Why.</summary>
    public sealed record HoldRequest
    {
        /// <summary>Why nothing may go; kept sealed, at most 2,000 characters.</summary>
        [Required, MaxLength(MaxReason)]
        public string? Reason { get; init; }
    }

    /// <summary>A hold that stands.</summary>
    /// <param name="SubscriberId">Whose records are kept.</param>
    /// <param name="Reason">Why.</param>
    /// <param name="PlacedAt">Since when; a new reason does not change it.</param>
    public sealed record Hold(SubscriberId SubscriberId, string Reason, DateTimeOffset PlacedAt);

    /// <summary>
    /// Places a hold, or gives another reason for it. Committed before this is answered, and after the batch of a purge
    /// that has the subscriber's states locked: what is there when this answers stays.
    /// </summary>
    private static async Task<Results<Ok<Hold>, Problem>> PutAsync(
        SubscriberId id, HoldRequest request, HttpContext context, NpgsqlDataSource database, Sealer sealer, AuditTrail audit, TimeProvider clock,
        CancellationToken cancellation)
    {
        const string PlaceSql = """
            insert into legal_hold (subscriber_id, reason, placed_at)
            values (@id, @reason, @now)
            on conflict (subscriber_id) do update set reason = excluded.reason
            returning placed_at
            """;
        const string WaitSql = """
            select purpose_id from consent_state where subscriber_id = @id order by purpose_id for update;
            select 1 from subscriber where subscriber_id = @id for update
            """;
        var errors = new InputErrors();
        var reason = errors.RequireText("reason", request.Reason, MaxReason);
        if (errors.Any)
        {
            return errors.ToProblem();
        }

        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        var box = LegalHold.SealReason(reason, id, sealer);
        var parameters = new { id = id.Value, reason = box, now = Instant.Of(clock.GetUtcNow()).UtcDateTime };
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
        return TypedResults.Ok(new Hold(id, reason, placedAt));
    }

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
