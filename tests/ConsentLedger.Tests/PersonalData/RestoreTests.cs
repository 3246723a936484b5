using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.PersonalData;

/// <summary>By doing it: the program backs up, goes on, and is restored.</summary>
public sealed class RestoreTests : IDisposable
{
    private readonly TemporaryDataDirectory data = new();

    [Fact]
    public async Task After_a_restore_an_erasure_and_a_withdrawal_made_since_the_backup_still_hold()
    {
        var (made, key, errors) = await ServiceProcess.RunAsync(data.Path, "keys", "create", "--name", "test", "--scope", "all");
        made.ShouldBe(0, errors);
        var file = Path.Combine(data.Path, "ledger.backup");
        using (var service = await ServiceProcess.Start(data.Path).AnswersAsync(key.Trim()))
        {
            await SendAsync(service, HttpMethod.Put, "/v1/purposes/newsletter", new { name = "Newsletter", channel = "email", basis = "consent" });
            foreach (var address in new[] { "ada@example.org", "ben@example.org", "cy@example.org" })
            {
                await SendAsync(service, HttpMethod.Post, "/v1/events", Event(address, "given"));
            }

            var (backedUp, said, why) = await ServiceProcess.RunAsync(data.Path, "backup", file);
            backedUp.ShouldBe(0, why);
            said.ShouldContain("master key is not in it");
            await SendAsync(service, HttpMethod.Post, "/v1/subscribers/erase", new { address = "ada@example.org", reason = "Asked" });
            await SendAsync(service, HttpMethod.Post, "/v1/events", Event("ben@example.org", "withdrawn"));
            (await ServiceProcess.RunAsync(data.Path, "restore", file)).Errors.ShouldContain("still running");
            await Task.Delay(2500, TestContext.Current.CancellationToken);
            (await service.StopAsync()).ShouldBe(0);
        }

        var (restored, output, reason) = await ServiceProcess.RunAsync(data.Path, "restore", file);
        restored.ShouldBe(0, reason);
        output.ShouldContain("applied again");

        using var again = await ServiceProcess.Start(data.Path).AnswersAsync(key.Trim());
        (await AllowedAsync(again, "ada@example.org")).ShouldBeFalse("erased");
        (await AllowedAsync(again, "ben@example.org")).ShouldBeFalse("withdrawn");
        (await AllowedAsync(again, "cy@example.org")).ShouldBeTrue("consented before");
        var found = await again.Client.PostAsJsonAsync("/v1/subscribers/lookup", new { address = "ada@example.org" }, TestContext.Current.CancellationToken);
        JsonNode.Parse(await found.Content.ReadAsStringAsync(TestContext.Current.CancellationToken))!["address"].ShouldBeNull();
        (await again.StopAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task What_is_no_backup_changes_nothing()
    {
        (await ServiceProcess.RunAsync(data.Path, "migrate")).ExitCode.ShouldBe(0);
        var file = Path.Combine(data.Path, "ledger.backup");
        await File.WriteAllTextAsync(file, "no back-up", TestContext.Current.CancellationToken);

        var (code, _, errors) = await ServiceProcess.RunAsync(data.Path, "restore", file);

        code.ShouldBe(1);
        errors.ShouldContain("nothing was changed");
        (await ServiceProcess.RunAsync(data.Path, "rebuild-state")).ExitCode.ShouldBe(0);
    }

    public void Dispose() => data.Dispose();

    private static object Event(string address, string kind) => new { address, purpose = "newsletter", kind, source = new { kind = "paper" } };

    private static async Task SendAsync(ServiceProcess service, HttpMethod method, string path, object body)
    {
        using var request = new HttpRequestMessage(method, path) { Content = JsonContent.Create(body) };
        using var answer = await service.Client.SendAsync(request);
        answer.StatusCode.ShouldBeOneOf(HttpStatusCode.OK, HttpStatusCode.Created);
    }

    private static async Task<bool> AllowedAsync(ServiceProcess service, string address)
    {
        using var answer = await service.Client.PostAsJsonAsync("/v1/checks", new { address, purpose = "newsletter" });
        return (await answer.ReadAsync())["allowed"]!.GetValue<bool>();
    }
}
