using System.Globalization;
using System.Text;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Benchmarks;

/// <summary>Single checks against the floor, in turn, from this process: requests a second and their ratio.</summary>
internal static class ChecksBenchmark
{
    public static async Task<int> RunAsync(Arguments arguments)
    {
        Console.WriteLine($"{arguments.Subscribers:N0} subscribers, {arguments.Connections} connections, {arguments.Rounds} rounds of {arguments.Seconds} s each, {Environment.ProcessorCount} cores shared with the load");
        await using var scene = await Scene.SetAsync(arguments.Subscribers);
        var ids = new SubscriberIds(scene.Installation.Keys);
        var requests = new byte[Math.Min(arguments.Subscribers, 100_000)][];
        var selects = new byte[requests.Length][];
        var step = arguments.Subscribers / requests.Length;
        for (var i = 0; i < requests.Length; i++)
        {
            var address = Scene.AddressOf(i * step);
            requests[i] = Load.Post("/v1/checks", scene.Key, $$"""{"address":"{{address}}","purpose":"newsletter"}""");
            selects[i] = Encoding.ASCII.GetBytes($"GET /{ids.Of(Address.Parse(address, null))} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        }

        var service = await scene.StartServiceAsync();
        var floor = await scene.StartFloorAsync();
        var warm = TimeSpan.FromSeconds(10);
        await Load.RunAsync(service, arguments.Connections, warm, n => requests[n % requests.Length]);
        await Load.RunAsync(floor, arguments.Connections, warm, n => selects[n % selects.Length]);

        var ratios = new List<double>();
        for (var round = 0; round < arguments.Rounds; round++)
        {
            var least = await Load.RunAsync(floor, arguments.Connections, TimeSpan.FromSeconds(arguments.Seconds), n => selects[n % selects.Length]);
            Console.WriteLine($"floor   {least}");
            var checks = await Load.RunAsync(service, arguments.Connections, TimeSpan.FromSeconds(arguments.Seconds), n => requests[n % requests.Length]);
            ratios.Add(checks.PerSecond / least.PerSecond);
            Console.WriteLine($"checks  {checks}   ratio {ratios[^1].ToString("N2", CultureInfo.InvariantCulture)}");
        }

        Console.WriteLine($"median ratio {ratios.Order().ElementAt(ratios.Count / 2).ToString("N2", CultureInfo.InvariantCulture)}");
        return 0;
    }
}
