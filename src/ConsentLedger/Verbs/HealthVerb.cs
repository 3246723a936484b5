using System.CommandLine;

namespace ConsentLedger.Verbs;

/// <summary><c>health</c>: asks the service on this machine whether it is ready, for containers without a shell.</summary>
internal static class HealthVerb
{
    public static Command Command()
    {
        var command = new Command("health", "Asks the service on this machine whether it is ready; exits with 1 if it is not.");
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellation)
    {
        using var client = new HttpClient { Timeout = TimeSpan.FromSeconds(3) };
        try
        {
            using var answer = await client.GetAsync(new Uri(ServeVerb.LocalUrl(CommandVerbs.Configuration(parsed)), "/health/ready"), cancellation);
            Console.WriteLine(answer.IsSuccessStatusCode ? "ready" : "not ready");
            return answer.IsSuccessStatusCode ? 0 : 1;
        }
        catch (Exception exception) when (exception is HttpRequestException or TaskCanceledException)
        {
            Console.WriteLine("does not answer");
            return 1;
        }
    }
}
