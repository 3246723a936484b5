using System.Text.Json.Serialization;
using ConsentLedger.Database;
using ConsentLedger.Http;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace ConsentLedger.Administration;

/// <summary>What whoever runs the service asks it: <c>GET /health/live</c> and <c>/health/ready</c>. No key is needed.</summary>
public static class Health
{
    // Probes give up after a second or a few; a database that takes longer to say anything is away.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(2);

    /// <summary>Maps the routes.</summary>
    public static void MapHealth(this IEndpointRouteBuilder app)
    {
        var routes = app.MapGroup("/health").WithTags("Service");
        routes.MapGet("/live", Live)
            .WithExample(answer: new HealthView(HealthStatus.Live))
            .WithName("GetLiveness").WithSummary("Says whether the process is running");
        routes.MapGet("/ready", ReadyAsync)
            .Refuses(ProblemType.LedgerUnavailable)
            .WithExample(answer: new HealthView(HealthStatus.Ready))
            .WithName("GetReadiness").WithSummary("Says whether requests can be answered: the database is there and up to date");
    }

    /// <summary>How the service is.</summary>
    /// <param name="Status">In one word.</param>
    public sealed record HealthView(HealthStatus Status);

    /// <summary>How a service can be.</summary>
    [JsonConverter(typeof(LabelJsonConverter<HealthStatus>))]
    public enum HealthStatus
    {
        /// <summary>The process runs and answers.</summary>
        Live,

        /// <summary>It can do its work.</summary>
        Ready,
    }

    // Nothing is looked at: a service whose database is away must not be restarted for it.
    private static Ok<HealthView> Live() => TypedResults.Ok(new HealthView(HealthStatus.Live));

    private static async Task<Results<Ok<HealthView>, Problem>> ReadyAsync(NpgsqlDataSource database, CancellationToken cancellation)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        deadline.CancelAfter(Patience);
        try
        {
            await using var connection = await database.OpenConnectionAsync(deadline.Token);
            return await Migrator.IsCurrentAsync(connection, deadline.Token)
                ? TypedResults.Ok(new HealthView(HealthStatus.Ready))
                : Unready("The database lacks migrations of this version. Run: consentledger migrate.");
        }
        catch (NpgsqlException)
        {
            return Unready("The database does not answer.");
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return Unready("The database does not answer in time.");
        }
    }

    private static Problem Unready(string reason) => new(ProblemType.LedgerUnavailable, reason);
}
