using System.Globalization;
using System.Net.Http.Headers;

namespace ConsentLedger.Benchmarks;

/// <summary>How long single checks take on a quiet service, beside an import and beside a purge: the 99th percentile of each.</summary>
internal static class BesideBenchmark
{
    private const int Connections = 4;

    /// <summary>Checks a second: five times what a sending system asks; what is measured is the wait and not the throughput.</summary>
    private const double PerSecond = 500;

    public static async Task<int> RunAsync(Arguments arguments)
    {
        Console.WriteLine($"{arguments.Subscribers:N0} subscribers, as many rows imported and people purged, {PerSecond:N0} checks a second on {Connections} connections, {Environment.ProcessorCount} cores shared by all of it");
        await using var scene = await Scene.SetAsync(arguments.Subscribers);
        await PurgeBenchmark.FillAsync(scene, arguments.Subscribers);
        var service = await scene.StartServiceAsync();
        using var client = new HttpClient { BaseAddress = service.Url, Timeout = Timeout.InfiniteTimeSpan };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", scene.Key);
        await CheckAsync(scene, service, TimeSpan.FromSeconds(10), Task.CompletedTask, double.PositiveInfinity);

        var quiet = await CheckAsync(scene, service, TimeSpan.FromSeconds(arguments.Seconds), Task.Delay(TimeSpan.FromSeconds(arguments.Seconds)));
        Report("quiet ", quiet, quiet);
        Report("import", await CheckAsync(scene, service, TimeSpan.FromSeconds(1), ImportAsync(client, arguments.Subscribers)), quiet);
        Report("purge ", await CheckAsync(scene, service, TimeSpan.FromSeconds(1), PurgeBenchmark.RunAsync(scene, service)), quiet);
        return 0;
    }

    private static void Report(string name, Load.Result result, Load.Result quiet) =>
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name}  {result}   p99 {result.P99 / quiet.P99:N2} times the quiet one"));

    /// <summary>Loads the service with checks, turn after turn, until the work beside them is done.</summary>
    private static async Task<Load.Result> CheckAsync(Scene scene, Server service, TimeSpan turn, Task work, double perSecond = PerSecond)
    {
        var turns = new List<Load.Result>();
        do
        {
            turns.Add(await Load.RunAsync(service, Connections, turn, n => Load.Post(
                "/v1/checks", scene.Key, $$"""{"address":"{{Scene.AddressOf(n % 100_000)}}","purpose":"newsletter"}"""), perSecond: perSecond));
        }
        while (!work.IsCompleted);

        await work;
        return Load.Result.Of(turns);
    }

    private static async Task ImportAsync(HttpClient client, int rows)
    {
        using var list = new ImportBenchmark.List(rows);
        using var answer = await client.PostAsync(new Uri("/v1/events/import", UriKind.Relative), list);
        answer.EnsureSuccessStatusCode();
    }
}
