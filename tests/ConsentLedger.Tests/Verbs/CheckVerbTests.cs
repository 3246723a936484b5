using System.Diagnostics;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;
using Microsoft.Extensions.Time.Testing;

namespace ConsentLedger.Tests.Verbs;

/// <summary><c>consentledger check</c>, in a process of its own, as people without code run it.</summary>
public sealed class CheckVerbTests(TestDatabase databases) : IDisposable
{
    private readonly MasterKey master = MasterKey.Generate();
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("consentledger-tests-");

    private string List => Path.Combine(folder.FullName, "list.txt");

    private string Allowed => Path.Combine(folder.FullName, "allowed.csv");

    public void Dispose() => folder.Delete(recursive: true);

    [Fact]
    public async Task It_writes_who_may_be_written_to_and_says_how_many_there_were()
    {
        await using var service = await StartAsync();
        await File.WriteAllTextAsync(List, "ada@museum.example\nbob@museum.example\n\nno address\n", TestContext.Current.CancellationToken);

        var (exitCode, errors) = await RunAsync(Start(service, "--purpose", "newsletter", "--output", Allowed));

        exitCode.ShouldBe(0, errors);
        errors.ShouldContain("3 addresses: 1 may be written to for newsletter, 1 may not, 1 are no address for it.");
        var lines = await File.ReadAllLinesAsync(Allowed, TestContext.Current.CancellationToken);
        lines.Length.ShouldBe(2);
        lines[0].ShouldBe("address,unsubscribeUrl");
        lines[1].ShouldStartWith("ada@museum.example,https://consent.example/u/");
        folder.GetFiles("*.unfinished").ShouldBeEmpty();
    }

    [Theory]
    [InlineData("nothing")]
    [InlineData("Not a key")]
    public async Task For_a_purpose_there_is_not_it_writes_nothing(string purpose)
    {
        await using var service = await StartAsync();
        await File.WriteAllTextAsync(List, "ada@museum.example\n", TestContext.Current.CancellationToken);

        var (exitCode, errors) = await RunAsync(Start(service, "--purpose", purpose, "--output", Allowed));

        exitCode.ShouldBe(1);
        errors.ShouldNotContain("   at ");
        File.Exists(Allowed).ShouldBeFalse();
    }

    [Theory]
    [InlineData("killed")]
    [InlineData("interrupted")]
    [InlineData("cut off from the database")]
    public async Task A_run_that_did_not_end_leaves_no_list_not_even_the_one_of_the_time_before(string how)
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "Windows has no signals.");
        await using var service = await StartAsync();
        await File.WriteAllLinesAsync(List, Enumerable.Range(0, 2_000_000).Select(n => $"a{n}@museum.example"), TestContext.Current.CancellationToken);
        await File.WriteAllTextAsync(Allowed, "address,unsubscribeUrl\nyesterday@museum.example,\n", TestContext.Current.CancellationToken);

        using var process = Start(service, "--purpose", "newsletter", "--output", Allowed);
        while (File.Exists(Allowed))
        {
            process.HasExited.ShouldBeFalse();
            await Task.Delay(5, TestContext.Current.CancellationToken);
        }

        switch (how)
        {
            case "killed":
                process.Kill();
                break;
            case "interrupted":
                using (var kill = Process.Start("kill", ["-INT", $"{process.Id}"]))
                {
                    await kill.WaitForExitAsync(TestContext.Current.CancellationToken);
                }

                break;
            default:
                await service.CutDatabaseAsync(databases);
                break;
        }

        var (exitCode, errors) = await RunAsync(process);

        exitCode.ShouldNotBe(0);
        File.Exists(Allowed).ShouldBeFalse(errors);
        errors.ShouldNotContain("may be written to");
        errors.ShouldNotContain("@museum");
    }

    /// <summary>Ada may be written to.</summary>
    private async Task<TestService> StartAsync()
    {
        var service = await TestService.StartAsync(await databases.CreateLedgerAsync(), new KeyRing(master), new FakeTimeProvider(TestService.Start));
        await service.PurposeAsync();
        await service.EventAsync("ada@museum.example");
        return service;
    }

    private Process Start(TestService service, params string[] arguments)
    {
        var start = ServiceProcess.Hearing("dotnet", [Path.Combine(AppContext.BaseDirectory, "consentledger.dll"), "check", List, .. arguments]);
        start.RedirectStandardOutput = start.RedirectStandardError = true;
        start.Environment["ConnectionStrings__Ledger"] = service.ConnectionString;
        start.Environment["ConsentLedger__DataDirectory"] = folder.FullName;
        start.Environment["ConsentLedger__PublicUrl"] = "https://consent.example";
        start.Environment["ConsentLedger__MasterKey"] = master.ToBase64();
        return Process.Start(start)!;
    }

    private static async Task<(int ExitCode, string Errors)> RunAsync(Process process)
    {
        var output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        var errors = await process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        await output;
        return (process.ExitCode, errors);
    }
}
