using System.Collections.Concurrent;
using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace ConsentLedger.Tests.Ledger;

/// <summary>What becomes of appends when something dies in the middle: what was acknowledged is there, and nothing is there by half.</summary>
public sealed class AppendFaultTests(TestDatabase databases) : IDisposable
{
    private readonly TemporaryDataDirectory data = new();

    [Fact]
    public async Task Killing_the_server_s_sessions_loses_and_halves_nothing()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();

        await AppendThroughAsync(service, events: 600, faults: 6, () => service.SqlAsync(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and application_name = 'consentledger' and pid <> pg_backend_pid()"));
    }

    [Fact]
    public async Task Killing_the_whole_server_loses_and_halves_nothing()
    {
        await using var server = await data.StartAsync(data.Options with { Durable = true });
        using var supervisor = new EmbeddedPostgresSupervisor(server, TimeProvider.System, NullLogger<EmbeddedPostgresSupervisor>.Instance);
        await supervisor.StartAsync(TestContext.Current.CancellationToken);
        await using (var ledger = new LedgerDatabase(server.ConnectionString))
        {
            await new Migrator(ledger).ApplyAsync(TestContext.Current.CancellationToken);
        }

        await using (var service = await TestService.StartAsync(server.ConnectionString, new KeyRing(MasterKey.Generate()), new FakeTimeProvider(TestService.Start)))
        {
            await service.PurposeAsync();
            await AppendThroughAsync(service, events: 600, faults: 2, () =>
            {
                data.KillPostmaster();
                return Task.CompletedTask;
            });
        }

        await supervisor.StopAsync(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task While_the_database_is_away_checks_and_appends_say_so_and_then_recover_by_themselves()
    {
        await using var server = await data.StartAsync(data.Options with { Durable = true });
        await using (var ledger = new LedgerDatabase(server.ConnectionString))
        {
            await new Migrator(ledger).ApplyAsync(TestContext.Current.CancellationToken);
        }

        await using var service = await TestService.StartAsync(server.ConnectionString, new KeyRing(MasterKey.Generate()), new FakeTimeProvider(TestService.Start));
        await service.PurposeAsync();
        await service.EventAsync("ada@museum.example");
        (await service.ReasonAsync("ada@museum.example")).ShouldBe("given");

        data.KillPostmaster();
        while ((await service.PostAsync("/v1/checks", new JsonObject { ["address"] = "ada@museum.example", ["purpose"] = "newsletter" })).StatusCode == HttpStatusCode.OK)
        {
            // Its sessions outlive it for a moment.
            await Task.Delay(5, TestContext.Current.CancellationToken);
        }

        for (var n = 0; n < 3; n++)
        {
            foreach (var (path, body) in new[]
            {
                ("/v1/checks", new JsonObject { ["address"] = "ada@museum.example", ["purpose"] = "newsletter" }),
                ("/v1/checks/batch", new JsonObject { ["addresses"] = new JsonArray("ada@museum.example"), ["purpose"] = "newsletter" }),
                ("/v1/events", Given.Event("bob@museum.example")),
                ("/v1/subscribers/lookup", new JsonObject { ["address"] = "ada@museum.example" }),
            })
            {
                using var response = await service.PostAsync(path, body);
                await response.ReadProblemAsync(HttpStatusCode.ServiceUnavailable, "ledger-unavailable");
                response.Headers.RetryAfter!.Delta.ShouldBe(TimeSpan.FromSeconds(5));
            }
        }

        await server.RestartAsync(TestContext.Current.CancellationToken);
        for (var tries = 0; ; tries++)
        {
            using var response = await service.PostAsync("/v1/checks", new JsonObject { ["address"] = "ada@museum.example", ["purpose"] = "newsletter" });
            if (response.StatusCode == HttpStatusCode.OK)
            {
                (await response.ReadAsync()).Text("reason").ShouldBe("given");
                break;
            }

            response.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
            tries.ShouldBeLessThan(20, "It does not recover by itself.");
            await Task.Delay(100, TestContext.Current.CancellationToken);
        }

        await service.EventAsync("bob@museum.example");
    }

    public void Dispose() => data.Dispose();

    /// <summary>
    /// Eight writers append events with ids of their own, and repeat each until it is acknowledged, while faults strike.
    /// Then everything that was acknowledged has to be there once, and all that is there whole.
    /// </summary>
    private static async Task AppendThroughAsync(TestService service, int events, int faults, Func<Task> strike)
    {
        const int Writers = 8;
        var acknowledged = new ConcurrentDictionary<Guid, HttpStatusCode>();
        var refused = 0;
        var writing = Enumerable.Range(0, Writers).Select(writer => Task.Run(async () =>
        {
            for (var n = 0; n < events / Writers; n++)
            {
                var id = Guid.NewGuid();
                var body = Given.Event($"{writer}.{n % 20}@museum.example", n % 3 == 0 ? "withdrawn" : "given", occurredAt: TestService.Start.AddMinutes(-n % 7), with: new JsonObject
                {
                    ["id"] = id.ToString(),
                    ["evidence"] = n % 2 == 0 ? new JsonObject { ["n"] = n } : null,
                });
                while (!acknowledged.ContainsKey(id))
                {
                    using var response = await service.PostAsync("/v1/events", body);
                    if (response.StatusCode is HttpStatusCode.Created or HttpStatusCode.OK)
                    {
                        acknowledged[id] = response.StatusCode;
                    }
                    else
                    {
                        // Nothing but this: a defect's 500 would hide here otherwise.
                        await response.ReadProblemAsync(HttpStatusCode.ServiceUnavailable, "ledger-unavailable");
                        Interlocked.Increment(ref refused);
                        await Task.Delay(20);
                    }
                }
            }
        })).ToList();
        for (var fault = 1; fault <= faults; fault++)
        {
            while (acknowledged.Count < events * fault / (faults + 1))
            {
                await (writing.Find(task => task.IsFaulted) ?? Task.Delay(2));
            }

            await strike();
        }

        await Task.WhenAll(writing);
        acknowledged.Count.ShouldBe(events / Writers * Writers);
        TestContext.Current.TestOutputHelper!.WriteLine($"{refused} answered 503, {acknowledged.Values.Count(status => status == HttpStatusCode.OK)} were there before they were acknowledged");
        (await service.SqlAsync("select count(*) from consent_event")).ShouldBe((long)acknowledged.Count);
        (await service.SqlAsync($"select count(*) from consent_event where event_id = any ('{{{string.Join(',', acknowledged.Keys)}}}')")).ShouldBe((long)acknowledged.Count);
        (await service.SqlAsync($"select count(*) from consent_event full join {TestService.Logged} using (subscriber_id, event_id) where logged.commitment is distinct from consent_event.commitment")).ShouldBe(0L);
        (await service.SqlAsync("select count(*) from consent_event full join evidence using (subscriber_id, event_id) where (evidence_digest is null) <> (sealed is null)")).ShouldBe(0L);
        (await service.SqlAsync("select count(*) from consent_event left join subscriber using (subscriber_id) where address is null")).ShouldBe(0L);
        var rebuilt = await StateRebuild.RunAsync(service.Database, CancellationToken.None);
        (rebuilt.Mended, rebuilt.Removed).ShouldBe((0, 0));
    }
}
