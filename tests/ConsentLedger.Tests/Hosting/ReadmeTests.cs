using System.Diagnostics;

namespace ConsentLedger.Tests.Hosting;

/// <summary>The guide's session with curl, line by line as it stands there, against the program as it is installed.</summary>
public sealed class ReadmeTests
{
    [Fact]
    public async Task The_five_minutes_with_curl_go_as_the_guide_says()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "The session is written for a POSIX shell.");
        using var data = new TemporaryDataDirectory();
        using var service = ServiceProcess.Start(data.Path);
        await service.AnswersAsync();

        var output = await RunAsync(Session(service.Client.BaseAddress!), data.Path);

        output.ShouldContain("\"key\":\"newsletter\"");
        output.ShouldContain("\"version\":1");
        output.ShouldContain("\"received\":5,\"appended\":3,\"unchanged\":0,\"heldBack\":1,\"rejected\":1");
        output.ShouldContain("\"allowed\":true,\"reason\":\"given\"");
        output.Split('\n').ShouldContain("200");
        output.Split("\"reason\":\"withdrawn\"").Length.ShouldBe(3, "Bob before, and Ada after her link was posted to.");
        output.ShouldContain("\"statement\":\"Yes, send me the newsletter once a month.\"");
        output.ShouldContain("\"rule\":\"lapsed\"");
        output.ShouldNotContain("problems/");
        (await service.StopAsync()).ShouldBe(0);
    }

    /// <summary>The indented lines of the section, for a program that is built already and listens elsewhere.</summary>
    private static string Session(Uri url)
    {
        var section = File.ReadAllText(Repository.PathOf("README.md")).Split("## Five minutes with curl")[1].Split("\n## ")[0];
        var lines = section.Split('\n').Where(line => line.StartsWith("    ", StringComparison.Ordinal)).Select(line => line[4..]);
        return string.Join('\n', lines)
            .Replace("dotnet run --project src/ConsentLedger --", "dotnet \"$PROGRAM\"", StringComparison.Ordinal)
            .Replace("localhost:8080", url.Authority, StringComparison.Ordinal);
    }

    private static async Task<string> RunAsync(string session, string dataDirectory)
    {
        var start = new ProcessStartInfo("bash", ["-c", session])
        {
            WorkingDirectory = dataDirectory,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        start.Environment["PROGRAM"] = Path.Combine(AppContext.BaseDirectory, "consentledger.dll");
        start.Environment["ConsentLedger__DataDirectory"] = dataDirectory;
        using var shell = Process.Start(start)!;
        var errors = shell.StandardError.ReadToEndAsync();
        var output = await shell.StandardOutput.ReadToEndAsync();
        await shell.WaitForExitAsync();
        shell.ExitCode.ShouldBe(0, await errors);
        return output;
    }
}
