using System.Globalization;
using System.Text.Json.Serialization;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Mail;
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
            .WithExample(answer: new HealthView(HealthStatus.Ready, UnsubscribesSpooled: 0, new MailBacklog(0, 0)))
            .WithName("GetReadiness").WithSummary("Says whether requests can be answered: the database is there and up to date");

        // Some probes ask for the head alone.
        routes.MapMethods("/live", [HttpMethods.Head], Live).ExcludeFromDescription();
        routes.MapMethods("/ready", [HttpMethods.Head], ReadyAsync).ExcludeFromDescription();
    }

    /// <summary>How the service is.</summary>
    /// <param name="Status">In one word.</param>
    /// <param name="UnsubscribesSpooled">Of a service that is ready: how many unsubscribes still wait on its disk to be applied.</param>
    /// <param name="Mail">What has not been sent; left out where only the process is asked after.</param>
    public sealed record HealthView(
        HealthStatus Status,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] long? UnsubscribesSpooled = null,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] MailBacklog? Mail = null);

    /// <summary>Mails that have not been sent, as this instance saw them seconds ago.</summary>
    /// <param name="Waiting">They are sent as soon as the mail server takes them.</param>
    /// <param name="Poison">They were set aside; <c>GET /v1/mail</c> lists them.</param>
    public sealed record MailBacklog(long Waiting, long Poison);

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

    private static async Task<Results<Ok<HealthView>, Problem>> ReadyAsync(
        NpgsqlDataSource database, LedgerMetrics metrics, MailMetrics mail, CancellationToken cancellation)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        deadline.CancelAfter(Patience);
        try
        {
            await using var connection = await database.OpenConnectionAsync(deadline.Token);
            return await Migrator.IsCurrentAsync(connection, deadline.Token)
                ? TypedResults.Ok(new HealthView(HealthStatus.Ready, metrics.UnsubscribesSpooled, new MailBacklog(mail.Waiting, mail.Poison)))
                : Unready("The database lacks migrations of this version. Run: consentledger migrate.", metrics);
        }
        catch (NpgsqlException)
        {
            return Unready("The database does not answer.", metrics);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return Unready("The database does not answer in time.", metrics);
        }
    }

    private static Problem Unready(string reason, LedgerMetrics metrics) => new(
        ProblemType.LedgerUnavailable,
        metrics.UnsubscribesSpooled is var waiting and > 0
            ? string.Create(CultureInfo.InvariantCulture, $"{reason} Unsubscribes that wait for it on disk: {waiting}.")
            : reason);
}
