using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Administration;

public sealed class MetricsTests(TestDatabase databases)
{
    [Fact]
    public async Task Metrics_name_routes_and_nothing_that_was_asked_for()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync("metered-purpose");
        await service.GetAsync("/v1/purposes/metered-purpose");
        await service.GetAsync("/v1/purposes/metered%40example.org");
        await service.GetAsync("/u/AQEAAAABmeteredtoken?email=metered@example.org");
        await service.PutAsync("/v1/purposes/metered", new System.Text.Json.Nodes.JsonObject { ["metered@example.org"] = 1 });

        var metrics = await (await service.GetAsync("/metrics", key: "none")).Content.ReadAsStringAsync(TestContext.Current.CancellationToken);

        metrics.ShouldContain("http_route=\"/v1/purposes/{key}\"");
        metrics.ShouldContain("dotnet_gc_collections_total");
        metrics.ShouldContain("db_client_connection_pool_name=\"service\"");
        metrics.ShouldNotContain("metered");
        metrics.ShouldNotContain("example.org");
        metrics.ShouldNotContain("clk_");
        metrics.ShouldNotContain("Password", Case.Insensitive);
    }
}
