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
            requests[i] = scene.CheckOf(i * step);
            selects[i] = Encoding.ASCII.GetBytes($"GET /{ids.Of(Address.Parse(address, null))} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        }

        var service = await scene.StartServiceAsync();
        var floor = await scene.StartFloorAsync();
        var select = $"select kind, basis, occurred_at, expires_at, event_id from consent_state where subscriber_id = '{ids.Of(Address.Parse(Scene.AddressOf(0), null))}' and purpose_id = 1;\n";
        var warm = TimeSpan.FromSeconds(10);
        var turn = TimeSpan.FromSeconds(arguments.Seconds);
        await Load.RunAsync(service, arguments.Connections, warm, n => requests[n % requests.Length]);
        await Load.RunAsync(floor, arguments.Connections, warm, n => selects[n % selects.Length]);

        var ratios = new List<double>();
        var beyond = new List<double>();
        var peak = 0.0;
        for (var round = 0; round < arguments.Rounds; round++)
        {
            var least = await Load.RunAsync(floor, arguments.Connections, turn, n => selects[n % selects.Length]);
            Console.WriteLine($"floor   {least}");
            var checks = await Load.RunAsync(service, arguments.Connections, turn, n => requests[n % requests.Length]);
            ratios.Add(checks.PerSecond / least.PerSecond);
            peak = Math.Max(peak, checks.PerSecond);
            Console.WriteLine($"checks  {checks}   ratio {Show(ratios[^1])}");
            var rows = await Pgbench.RunAsync(scene, select, clients: 8, arguments.Seconds);
            beyond.Add(checks.PerSecond / rows);
            Console.WriteLine($"pgbench {rows.ToString("N0", CultureInfo.InvariantCulture),9} selects/s   ratio {Show(beyond[^1])}");
        }

        Console.WriteLine($"median ratio to the floor {Show(Median(ratios))}, to pgbench {Show(Median(beyond))}");
        await AloneAsync(arguments, turn, service, requests, floor, selects);
        Console.WriteLine($"half    {await Load.RunAsync(service, arguments.Connections, turn, n => requests[n % requests.Length], perSecond: peak / 2)}");
        return 0;
    }

    /// <summary>One connection: how long an answer takes when nobody else asks.</summary>
    private static async Task AloneAsync(Arguments arguments, TimeSpan turn, Server service, byte[][] requests, Server floor, byte[][] selects)
    {
        var ratios = new List<double>();
        for (var round = 0; round < arguments.Rounds; round++)
        {
            var least = await Load.RunAsync(floor, 1, turn, n => selects[n % selects.Length]);
            var checks = await Load.RunAsync(service, 1, turn, n => requests[n % requests.Length]);
            ratios.Add(checks.P50 / least.P50);
        }

        Console.WriteLine($"alone   median latency {Show(Median(ratios))} times the floor's ({string.Join(", ", ratios.Select(Show))})");
    }

    private static double Median(List<double> values) => values.Order().ElementAt(values.Count / 2);

    private static string Show(double value) => value.ToString("N2", CultureInfo.InvariantCulture);
}
