using System.ComponentModel;
using System.Diagnostics;
using System.Text.Json.Nodes;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.SignUps;

namespace ConsentLedger.Tests.Clients;

/// <summary>The TypeScript client, built as whoever uses it builds it. What it does its own tests say, in its own language.</summary>
public sealed class TypeScriptClientTests(TestDatabase databases)
{
    private static readonly string Folder = Repository.PathOf("clients", "typescript");

    [Fact]
    public async Task It_builds_and_its_tests_and_its_example_pass_against_the_live_service()
    {
        Assert.SkipUnless(await HasNodeAsync(), "There is no Node.js on this machine.");
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        await service.EventAsync("ada@museum.example", with: new() { ["notice"] = new JsonObject { ["version"] = 1 } });
        await service.EventAsync("bob@museum.example", "withdrawn");
        var key = await service.CreateKeyAsync([Scope.ChecksRead, Scope.SignUpsWrite]);

        if (!File.Exists(Path.Combine(Folder, "node_modules", ".package-lock.json")))
        {
            await RunAsync(service, key, "npm", "ci");
        }

        await RunAsync(service, key, "npm", "run", "build");
        var tests = await RunAsync(service, key, "npm", "test");
        tests.ShouldContain("# fail 0");
        var example = await RunAsync(service, key, "node", "example/send.mjs", "newsletter", "ada@museum.example", "bob@museum.example");

        example.ReplaceLineEndings("\n").ShouldBe("ada@museum.example: sent (given)\nbob@museum.example: not sent (withdrawn)\n");
    }

    [Fact]
    public void The_lock_file_names_no_registry() =>
        File.ReadAllText(Path.Combine(Folder, "package-lock.json")).ShouldNotContain("\"resolved\"");

    private static async Task<bool> HasNodeAsync()
    {
        try
        {
            using var npm = Process.Start(new ProcessStartInfo("npm", "--version") { RedirectStandardOutput = true, RedirectStandardError = true })!;
            await npm.WaitForExitAsync(TestContext.Current.CancellationToken);
            return npm.ExitCode == 0;
        }
        catch (Win32Exception)
        {
            return false;
        }
    }

    private static async Task<string> RunAsync(TestService service, string key, string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { WorkingDirectory = Folder, RedirectStandardOutput = true, RedirectStandardError = true };
        start.Environment["CONSENTLEDGER_URL"] = service.Url.AbsoluteUri;
        start.Environment["CONSENTLEDGER_KEY"] = key;
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        var output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        process.ExitCode.ShouldBe(0, $"{program} {string.Join(' ', arguments)}\n{output}\n{await errors}");
        return output;
    }
}
