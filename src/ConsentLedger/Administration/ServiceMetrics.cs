using ConsentLedger.Ledger;
using OpenTelemetry.Metrics;

namespace ConsentLedger.Administration;

/// <summary>
/// <c>GET /metrics</c>, for Prometheus: requests by route, the runtime, the database's pools, and what the ledger
/// counts. No label is personal or without bound.
/// </summary>
public static class ServiceMetrics
{
    // What is left of a request: its route as it is written here, never the path that was asked for. Paths hold tokens.
    private static readonly string[] RequestLabels = ["http.request.method", "http.route", "http.response.status_code", "error.type"];

    /// <summary>Collects them.</summary>
    public static IServiceCollection AddLedgerMetrics(this IServiceCollection services)
    {
        services.AddOpenTelemetry().WithMetrics(metrics => metrics
            .AddRuntimeInstrumentation()
            .AddMeter("Microsoft.AspNetCore.Hosting", "Microsoft.AspNetCore.Server.Kestrel", "Npgsql", LedgerMetrics.MeterName)
            .AddView("http.server.*", new MetricStreamConfiguration { TagKeys = RequestLabels })
            .AddPrometheusExporter());
        return services;
    }

    /// <summary>Maps the route.</summary>
    public static void MapMetrics(this IEndpointRouteBuilder app) => app.MapPrometheusScrapingEndpoint("/metrics");
}
