using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;

namespace ConsentLedger.Benchmarks;

/// <summary>Everything that is held about one person with a very long history, as JSON and as a zip, and what the service weighs meanwhile.</summary>
internal static class ExportBenchmark
{
    private const int Events = 10_000;
    private const string Address = "ada@museum.example";

    public static async Task<int> RunAsync()
    {
        await using var scene = await Scene.SetAsync(0);
        var filling = await scene.StartServiceAsync();
        await ImportAsync(scene, filling);
        scene.Stop(filling);
        foreach (var format in (string[])["json", "zip"])
        {
            // Each in a process of its own: memory that the one before left would hide what this one takes.
            var service = await scene.StartServiceAsync();
            await Task.Delay(TimeSpan.FromSeconds(3));
            var idle = service.PeakMemory;
            using var client = Client(scene, service);
            var start = Stopwatch.GetTimestamp();
            using var request = new HttpRequestMessage(HttpMethod.Post, "/v1/subscribers/export") { Content = JsonContent.Create(new { address = Address, format }) };
            using var answer = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead);
            answer.EnsureSuccessStatusCode();
            await using var content = await answer.Content.ReadAsStreamAsync();
            var bytes = await CountAsync(content);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"{format,-4} {Stopwatch.GetElapsedTime(start).TotalSeconds,6:N1} s   {bytes / 1024.0 / 1024:N1} MB sent   {idle} MB before, {service.PeakMemory} MB at most"));
            scene.Stop(service);
        }

        return 0;
    }

    private static async Task<long> CountAsync(Stream content)
    {
        var buffer = new byte[64 * 1024];
        var bytes = 0L;
        while (await content.ReadAsync(buffer) is > 0 and var read)
        {
            bytes += read;
        }

        return bytes;
    }

    private static async Task ImportAsync(Scene scene, Server service)
    {
        var list = new StringBuilder("address,purpose,kind,occurredAt,evidence.ip,evidence.userAgent\n");
        var first = TimeProvider.System.GetUtcNow().UtcDateTime.AddDays(-Events);
        for (var i = 0; i < Events; i++)
        {
            var kind = i % 2 == 0 ? "given" : "withdrawn";
            list.Append(CultureInfo.InvariantCulture, $"{Address},newsletter,{kind},{first.AddDays(i):O},192.0.2.{i % 250},Mozilla/5.0 (X11; Linux x86_64)\n");
        }

        using var client = Client(scene, service);
        using var body = new StringContent(list.ToString(), Encoding.UTF8, "text/csv");
        using var answer = await client.PostAsync(new Uri("/v1/events/import?allowResubscribe=true", UriKind.Relative), body);
        Console.WriteLine(await answer.Content.ReadAsStringAsync());
        answer.EnsureSuccessStatusCode();
    }

    private static HttpClient Client(Scene scene, Server service)
    {
        var client = new HttpClient { BaseAddress = service.Url, Timeout = TimeSpan.FromMinutes(5) };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", scene.Key);
        return client;
    }
}
