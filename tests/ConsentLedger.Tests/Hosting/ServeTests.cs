using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using ConsentLedger.Database;

namespace ConsentLedger.Tests.Hosting;

/// <summary>The program in processes of its own: started, stopped, killed.</summary>
public sealed class ServeTests : IDisposable
{
    private readonly TemporaryDataDirectory data = new();

    public ServeTests() => Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no signals.");

    [Theory]
    [InlineData("TERM")]
    [InlineData("INT")]
    public async Task A_signal_stops_it_cleanly_with_its_database_and_it_starts_again_on_the_same_data(string signal)
    {
        var key = await KeyAsync();
        using (var first = await ServiceProcess.Start(data.Path).AnswersAsync(key))
        {
            await GivenAsync(first.Client, "ada@museum.example");
            data.Postmaster.ShouldNotBeNull();
            (await first.StopAsync(signal)).ShouldBe(0);
        }

        data.Postmaster.ShouldBeNull("PostgreSQL was left running.");

        using var second = ServiceProcess.Start(data.Path);
        await second.AnswersAsync(key);
        (await ReasonAsync(second.Client, "ada@museum.example")).ShouldBe("given");
        TestContext.Current.SendDiagnosticMessage($"second start to the first answered check: {second.Age.TotalSeconds:0.0} s");
        TestContext.Current.TestOutputHelper!.WriteLine($"second start to the first answered check: {second.Age.TotalSeconds:0.0} s");
        (await second.StopAsync(signal)).ShouldBe(0);
        data.Postmaster.ShouldBeNull();
    }

    [Fact]
    public async Task A_signal_while_it_is_starting_leaves_nothing_running()
    {
        using var process = ServiceProcess.Start(data.Path);
        while (ClusterHome.FindCluster(data.Path) is null)
        {
            await Task.Delay(5, TestContext.Current.CancellationToken);
        }

        (await process.StopAsync()).ShouldBeOneOf(0, 130);

        data.Postmaster.ShouldBeNull();
        using var again = await ServiceProcess.Start(data.Path).AnswersAsync();
        (await again.StopAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task Two_that_start_at_once_on_one_new_data_directory_serve_the_same_ledger()
    {
        using var one = ServiceProcess.Start(data.Path);
        using var other = ServiceProcess.Start(data.Path);
        await one.AnswersAsync();
        await other.AnswersAsync();
        var key = await KeyAsync();
        await one.AnswersAsync(key);
        await other.AnswersAsync(key);

        await GivenAsync(one.Client, "ada@museum.example");
        (await ReasonAsync(other.Client, "ada@museum.example")).ShouldBe("given");

        (await one.StopAsync()).ShouldBe(0);
        (await ReasonAsync(other.Client, "ada@museum.example")).ShouldBe("given");
        (await other.StopAsync()).ShouldBe(0);
        data.Postmaster.ShouldBeNull();
        Directory.GetFiles(data.Path, "*.new").ShouldBeEmpty();
    }

    [Fact]
    public async Task Killed_in_the_middle_of_appends_it_has_everything_it_acknowledged()
    {
        var key = await KeyAsync();
        var acknowledged = new System.Collections.Concurrent.ConcurrentDictionary<Guid, string>();
        var sent = new System.Collections.Concurrent.ConcurrentDictionary<Guid, string>();
        for (var round = 0; round < 3; round++)
        {
            using var killed = await ServiceProcess.Start(data.Path).AnswersAsync(key);
            await PurposeAsync(killed.Client);
            var before = acknowledged.Count;
            var writers = Enumerable.Range(0, 8).Select(writer => Task.Run(async () =>
            {
                for (var n = 0; ; n++)
                {
                    var id = Guid.CreateVersion7(TimeProvider.System.GetUtcNow());
                    var address = $"{round}.{writer}.{n}@museum.example";
                    sent[id] = address;
                    try
                    {
                        using var answer = await killed.Client.PostAsJsonAsync("/v1/events", Event(address, id));
                        answer.StatusCode.ShouldBe(HttpStatusCode.Created);
                        acknowledged[id] = address;
                    }
                    catch (HttpRequestException)
                    {
                        return;
                    }
                }
            })).ToList();
            while (acknowledged.Count < before + 150)
            {
                await Task.Delay(5, TestContext.Current.CancellationToken);
            }

            killed.Kill();
            await Task.WhenAll(writers);
        }

        sent.Count.ShouldBeGreaterThan(acknowledged.Count);
        using var service = await ServiceProcess.Start(data.Path).AnswersAsync(key);
        foreach (var (id, address) in sent)
        {
            // Said again it is the same event if it is there, and one event if it is not.
            using var again = await service.Client.PostAsJsonAsync("/v1/events", Event(address, id), TestContext.Current.CancellationToken);
            again.StatusCode.ShouldBeOneOf(acknowledged.ContainsKey(id) ? [HttpStatusCode.OK] : [HttpStatusCode.OK, HttpStatusCode.Created]);
        }

        var (exitCode, rebuilt, _) = await ServiceProcess.RunAsync(data.Path, "rebuild-state");
        exitCode.ShouldBe(0);
        rebuilt.Trim().ShouldBe($"{sent.Count} states, 0 mended, 0 removed");
        (await service.StopAsync()).ShouldBe(0);
        data.Postmaster.ShouldBeNull();
    }

    public void Dispose() => data.Dispose();

    private static JsonObject Event(string address, Guid id) => Given.Event(address, "given", occurredAt: TestService.Start.AddYears(-1), with: new JsonObject
    {
        ["id"] = id.ToString(),
        ["evidence"] = new JsonObject { ["ip"] = "192.0.2.7" },
    });

    private async Task<string> KeyAsync()
    {
        var (exitCode, output, errors) = await ServiceProcess.RunAsync(data.Path, "keys", "create", "--name", "test", "--scope", "all");
        exitCode.ShouldBe(0, errors);
        return output.Trim();
    }

    private static async Task PurposeAsync(HttpClient client) =>
        (await client.PutAsJsonAsync("/v1/purposes/newsletter", new JsonObject { ["name"] = "Newsletter", ["channel"] = "email", ["basis"] = "consent" })).EnsureSuccessStatusCode();

    private static async Task GivenAsync(HttpClient client, string address)
    {
        await PurposeAsync(client);
        (await client.PostAsJsonAsync("/v1/events", Event(address, Guid.NewGuid()))).StatusCode.ShouldBe(HttpStatusCode.Created);
    }

    private static async Task<string> ReasonAsync(HttpClient client, string address) =>
        (await (await client.PostAsJsonAsync("/v1/checks", new JsonObject { ["address"] = address, ["purpose"] = "newsletter" })).ReadAsync()).Text("reason");
}
