using System.Text;
using System.Text.Json;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.PersonalData;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Dapper;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace ConsentLedger.Accountability;

/// <summary>
/// <c>GET /v1/breaches/{id}/affected</c>: whose records a breach touched, to tell them (Art 34): everyone for whom
/// something was recorded, for a purpose or any, within a time. Where everything that was held at a moment was touched, leave
/// <c>from</c> out: what was deleted by then is gone, and the rest was recorded before.
/// </summary>
public static class AffectedSubscribers
{
    private const string Csv = "text/csv";
    private const string NdJson = "application/x-ndjson";

    /// <summary>Maps the route.</summary>
    public static void MapAffectedSubscribers(this IEndpointRouteBuilder app) =>
        app.MapGet("/v1/breaches/{id:guid}/affected", HandleAsync)
            .RequireScope(Scope.BreachesRead)
            .Refuses(ProblemType.Validation, ProblemType.NotFound, ProblemType.PurposeNotPermitted, ProblemType.InsufficientScope)
            .Produces<string>(StatusCodes.Status200OK, NdJson, Csv)
            .WithExample(
                answer: "{\"subscriberId\":\"5b1d7c3e-2f0a-4c7d-8e69-1a2b3c4d5e6f\",\"address\":\"ada@example.org\"}\n{\"summary\":{\"affected\":1}}\n")
            .WithName("ListAffectedSubscribers").WithTags("Accountability")
            .WithSummary("Lists whose records a breach touched; needs the scope subscribers:export as well");

    /// <summary>
    /// That it was asked for is on record before the first byte. The answer is as long as it has to be, in memory that does
    /// not grow with it; as NDJSON it ends with a summary, without which it was cut.
    /// </summary>
    /// <param name="id">The breach.</param>
    /// <param name="context">The request.</param>
    /// <param name="database">The database.</param>
    /// <param name="purposes">The purposes.</param>
    /// <param name="sealer">Opens the addresses.</param>
    /// <param name="audit">The audit trail.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <param name="purpose">Only those of whom something was recorded for this purpose.</param>
    /// <param name="from">Recorded at this time or later.</param>
    /// <param name="to">Recorded before this time.</param>
    private static async Task<Results<AffectedList, Problem>> HandleAsync(
        Guid id, HttpContext context, NpgsqlDataSource database, PurposeCatalogue purposes, Sealer sealer, AuditTrail audit,
        CancellationToken cancellation, string? purpose = null, string? from = null, string? to = null)
    {
        var errors = new InputErrors();
        var first = Read("from", from, Instant.Earliest);
        var end = Read("to", to, DateTimeOffset.MaxValue);
        if (errors.Any)
        {
            return errors.ToProblem();
        }

        var caller = context.Caller();
        if (!caller.Has(Scope.SubscribersExport))
        {
            return new Problem(ProblemType.InsufficientScope, $"Addresses come out of this: it needs the scope {Scope.SubscribersExport} as well.") { Scope = Scope.SubscribersExport };
        }

        if (!caller.MayUse(purpose ?? PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        PurposeId? about = null;
        if (purpose is not null)
        {
            if (!PurposeKey.TryParse(purpose, null, out var key) || await purposes.FindAsync(key, cancellation) is not { } found)
            {
                return Problem.NotFound("There is no such purpose.");
            }

            about = found.Id;
        }

        await using (var connection = await database.OpenConnectionAsync(cancellation))
        {
            if (!await connection.ExecuteScalarAsync<bool>(new CommandDefinition(
                "select exists (select from breach where breach_id = @id)", new { id }, cancellationToken: cancellation)))
            {
                return Problem.NotFound("There is no such breach.");
            }

            await audit.WriteAsync(
                connection, context.Actor(), new AuditEntry(AuditAction.BreachAffectedListed) { Target = id.ToString("D"), Purpose = purpose, Details = Asked() }, cancellation);
        }

        return new AffectedList(database, sealer, about, first, end, context.Request.Headers.Accept.ToString().Contains(Csv, StringComparison.OrdinalIgnoreCase));

        Dictionary<string, string> Asked()
        {
            var asked = new Dictionary<string, string>();
            if (from is not null)
            {
                asked["from"] = Instant.Format(first);
            }

            if (to is not null)
            {
                asked["to"] = Instant.Format(end);
            }

            return asked;
        }

        DateTimeOffset Read(string path, string? text, DateTimeOffset otherwise)
        {
            if (text is null)
            {
                return otherwise;
            }

            if (!Instant.TryParse(text, out var time))
            {
                errors.Add(path, "This is not an RFC 3339 time.");
            }

            return time;
        }
    }

    /// <summary>The list on its way out; when it breaks off, the connection does.</summary>
    internal sealed class AffectedList(
        NpgsqlDataSource database, Sealer sealer, PurposeId? purpose, DateTimeOffset from, DateTimeOffset to, bool csv) : IResult
    {
        private const int FlushAt = 32 * 1024;

        public async Task ExecuteAsync(HttpContext httpContext)
        {
            const string Sql = """
                select subscriber_id, address
                from (
                    select distinct subscriber_id from consent_event
                    where recorded_at >= @from and recorded_at < @to and (@purpose::integer is null or purpose_id = @purpose)
                ) touched left join subscriber using (subscriber_id)
                order by subscriber_id
                """;
            var response = httpContext.Response;
            response.ContentType = csv ? $"{Csv}; charset=utf-8" : NdJson;
            response.Headers.CacheControl = "no-store";
            var text = new StringBuilder(csv ? SafeCsv.Start : string.Empty);
            if (csv)
            {
                SafeCsv.AppendLine(text, ["subscriberId", "address"]);
            }

            var affected = 0L;
            await using var connection = await database.OpenConnectionAsync(httpContext.RequestAborted);
            await foreach (var row in connection.QueryUnbufferedAsync<(Guid Id, byte[]? Address)>(
                Sql, new { from = from.UtcDateTime, to = to.UtcDateTime, purpose = purpose?.Value }, commandTimeout: 0).WithCancellation(httpContext.RequestAborted))
            {
                affected++;
                var subscriber = new SubscriberId(row.Id);
                var address = row.Address is null ? null : LedgerRow.OpenAddress(row.Address, subscriber, sealer).Given;
                if (csv)
                {
                    SafeCsv.AppendLine(text, [subscriber.ToString(), address ?? string.Empty]);
                }
                else
                {
                    text.Append(JsonSerializer.Serialize(new { subscriberId = subscriber.ToString(), address })).Append('\n');
                }

                if (text.Length > FlushAt)
                {
                    await FlushAsync();
                }
            }

            if (!csv)
            {
                text.Append(JsonSerializer.Serialize(new { summary = new { affected } })).Append('\n');
            }

            await FlushAsync();

            async Task FlushAsync()
            {
                await response.WriteAsync(text.ToString(), httpContext.RequestAborted);
                text.Clear();
            }
        }
    }
}
