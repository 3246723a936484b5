using System.Diagnostics;
using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Checks;
using ConsentLedger.Tests.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace ConsentLedger.Tests.Checks;

/// <summary>When checks can't be answered they say so at once, and never yes.</summary>
public sealed class OverloadTests(TestDatabase databases)
{
    private static JsonObject Question => new() { ["address"] = "ada@museum.example", ["purpose"] = "newsletter" };

    [Fact]
    public async Task While_the_database_is_away_checks_are_refused_at_once_and_recover_by_themselves()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync("ada@museum.example");
        await service.CheckAsync("ada@museum.example");
        await service.CutDatabaseAsync(databases);

        var time = Stopwatch.StartNew();
        await Parallel.ForEachAsync(Enumerable.Range(0, 200), new ParallelOptions { MaxDegreeOfParallelism = 20 }, async (_, _) =>
        {
            var refusal = await service.PostAsync("/v1/checks", Question);
            await refusal.ReadProblemAsync(HttpStatusCode.ServiceUnavailable, "ledger-unavailable");
            refusal.Headers.RetryAfter.ShouldNotBeNull();
        });
        time.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(10));

        await service.JoinDatabaseAsync(databases);
        HttpResponseMessage answer;
        while ((answer = await service.PostAsync("/v1/checks", Question)).StatusCode == HttpStatusCode.ServiceUnavailable)
        {
            time.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(30));
            await Task.Delay(100, TestContext.Current.CancellationToken);
        }

        (await answer.ReadAsync())["allowed"]!.GetValue<bool>().ShouldBeTrue();
    }

    [Fact]
    public async Task A_database_that_hangs_makes_checks_wait_three_seconds_and_no_longer()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await using var locked = await LockAsync(service);

        var time = Stopwatch.StartNew();
        await Task.WhenAll(Enumerable.Range(0, 20).Select(_ =>
            service.PostAsync("/v1/checks", Question).ReadProblemAsync(HttpStatusCode.ServiceUnavailable, "ledger-unavailable")));

        time.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(10));
    }

    [Fact]
    public async Task Checks_that_would_have_to_wait_too_long_are_told_to_come_back()
    {
        await using var service = await TestService.StartAsync(
            databases, builder => builder.Services.AddSingleton(new CheckLimits(MaxWaiting: 2)));
        await service.PurposeAsync();
        Task<HttpResponseMessage>[] asked;
        await using (await LockAsync(service))
        {
            asked = [.. Enumerable.Range(0, 24).Select(_ => service.PostAsync("/v1/checks", Question))];
            var refusal = await await Task.WhenAny(asked);
            await refusal.ReadProblemAsync(HttpStatusCode.TooManyRequests, "rate-limited");
            refusal.Headers.RetryAfter!.Delta.ShouldBe(TimeSpan.FromSeconds(1));
        }

        var statuses = (await Task.WhenAll(asked)).CountBy(answer => answer.StatusCode).ToDictionary();
        statuses.Keys.ShouldBeSubsetOf([HttpStatusCode.OK, HttpStatusCode.TooManyRequests, HttpStatusCode.ServiceUnavailable]);
        statuses[HttpStatusCode.TooManyRequests].ShouldBeGreaterThan(0);
    }

    /// <summary>Makes every read of states wait until it is disposed of.</summary>
    private static async Task<NpgsqlConnection> LockAsync(TestService service)
    {
        var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(service.ConnectionString) { Pooling = false }.ConnectionString);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var command = new NpgsqlCommand("begin; lock table consentledger.consent_state in access exclusive mode", connection);
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        return connection;
    }
}
