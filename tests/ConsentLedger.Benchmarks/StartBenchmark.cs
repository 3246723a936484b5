using System.Diagnostics;
using System.Net.Http.Headers;
using System.Text;

namespace ConsentLedger.Benchmarks;

/// <summary>How long the service takes from its start on an existing data directory to the first answered check, and what it weighs idle.</summary>
internal static class StartBenchmark
{
    public static async Task<int> RunAsync()
    {
        await using var scene = await Scene.SetAsync(1000);
        for (var round = 0; round < 3; round++)
        {
            var start = Stopwatch.GetTimestamp();
            var server = await scene.StartServiceAsync();
            using var client = new HttpClient { BaseAddress = server.Url };
            client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", scene.Key);
            using var body = new StringContent("""{"address":"subscriber-1@museum.example","purpose":"newsletter"}""", Encoding.UTF8, "application/json");
            using var answer = await client.PostAsync(new Uri("/v1/checks", UriKind.Relative), body);
            answer.EnsureSuccessStatusCode();
            var elapsed = Stopwatch.GetElapsedTime(start);
            await Task.Delay(TimeSpan.FromSeconds(5));
            Console.WriteLine($"first answered check after {elapsed.TotalSeconds:N2} s, idle memory {server.Memory / 1024 / 1024} MB (PostgreSQL was running already)");
            scene.Stop(server);
        }

        return 0;
    }
}
