using System.Diagnostics;
using System.Net;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Unsubscribe;
using Npgsql;

namespace ConsentLedger.Tests.Administration;

public sealed class HealthTests(TestDatabase databases)
{
    [Fact]
    public async Task A_service_that_works_is_live_and_ready_to_anybody()
    {
        await using var service = await TestService.StartAsync(databases);

        (await service.GetAsync("/health/live", key: "none").ReadAsync()).Text("status").ShouldBe("live");
        (await service.GetAsync("/health/ready", key: "none").ReadAsync()).Text("status").ShouldBe("ready");
    }

    [Theory]
    [InlineData("/health/live", HttpStatusCode.OK)]
    [InlineData("/health/ready", HttpStatusCode.ServiceUnavailable)]
    public async Task A_probe_that_asks_for_the_head_alone_is_answered_the_same_without_a_body(string path, HttpStatusCode whileAway)
    {
        await using var service = await TestService.StartAsync(databases);

        using var head = await service.SendBareAsync(HttpMethod.Head, path);
        head.StatusCode.ShouldBe(HttpStatusCode.OK);
        (await head.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken)).ShouldBeEmpty();
        await service.CutDatabaseAsync(databases);
        (await service.SendBareAsync(HttpMethod.Head, path)).StatusCode.ShouldBe(whileAway);
        await service.JoinDatabaseAsync(databases);
    }

    [Fact]
    public async Task While_the_database_is_away_the_service_is_live_and_not_ready_and_recovers_by_itself()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.CutDatabaseAsync(databases);

        var time = Stopwatch.StartNew();
        var refusal = await service.GetAsync("/health/ready");

        time.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(4));
        (await refusal.ReadProblemAsync(HttpStatusCode.ServiceUnavailable, "ledger-unavailable")).Text("detail").ShouldBe("The database does not answer.");
        refusal.Headers.RetryAfter.ShouldNotBeNull();
        (await service.GetAsync("/health/live")).StatusCode.ShouldBe(HttpStatusCode.OK);
        await service.JoinDatabaseAsync(databases);
        (await service.GetAsync("/health/ready")).StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task A_database_that_lacks_a_migration_is_not_ready()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.SqlAsync("delete from schema_version where scriptname like '0002%'");

        var refusal = await service.GetAsync("/health/ready").ReadProblemAsync(HttpStatusCode.ServiceUnavailable, "ledger-unavailable");

        refusal.Text("detail").ShouldContain("consentledger migrate");
    }

    [Fact]
    public async Task A_database_that_is_locked_up_is_not_ready_within_two_seconds()
    {
        await using var service = await TestService.StartAsync(databases);
        await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(service.ConnectionString) { Pooling = false }.ConnectionString);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken);
        await using var command = new NpgsqlCommand("lock table consentledger.schema_version", connection, transaction);
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);

        var time = Stopwatch.StartNew();
        await service.GetAsync("/health/ready").ReadProblemAsync(HttpStatusCode.ServiceUnavailable, "ledger-unavailable");

        time.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(5));
    }
}
