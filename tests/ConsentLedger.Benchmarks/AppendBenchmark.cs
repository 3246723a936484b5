using System.Globalization;
using System.Text.RegularExpressions;
using ConsentLedger.Ledger;

namespace ConsentLedger.Benchmarks;

/// <summary>Event writes over HTTP against pgbench with the same append statement, both with 8 clients, in turn.</summary>
internal static partial class AppendBenchmark
{
    private const int Clients = 8;

    public static async Task<int> RunAsync(Arguments arguments)
    {
        Console.WriteLine($"{arguments.Subscribers:N0} subscribers, {Clients} clients, {arguments.Rounds} rounds of {arguments.Seconds} s each, {Environment.ProcessorCount} cores shared with the load");
        await using var scene = await Scene.SetAsync(arguments.Subscribers);
        var service = await scene.StartServiceAsync();
        var script = Statement();
        var duration = TimeSpan.FromSeconds(arguments.Seconds);
        var next = 0;
        byte[] Request(int number) => Load.Post("/v1/events", scene.Key, $$$"""
            {"address":"writer-{{{Interlocked.Increment(ref next)}}}@museum.example","purpose":"newsletter","kind":"given","source":{"kind":"web-form","url":"https://museum.example/join"},"evidence":{"ip":"192.0.2.7","userAgent":"Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"}}
            """);
        await Load.RunAsync(service, Clients, TimeSpan.FromSeconds(12), Request, expected: 201);
        await Pgbench.RunAsync(scene, script, Clients, 2);

        var ratios = new List<double>();
        for (var round = 0; round < arguments.Rounds; round++)
        {
            var least = await Pgbench.RunAsync(scene, script, Clients, arguments.Seconds);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"pgbench {least,9:N0} appends/s"));
            var appends = await Load.RunAsync(service, Clients, duration, Request, expected: 201);
            ratios.Add(appends.PerSecond / least);
            Console.WriteLine($"events  {appends}   ratio {ratios[^1].ToString("N2", CultureInfo.InvariantCulture)}");
        }

        Console.WriteLine($"median ratio {ratios.Order().ElementAt(ratios.Count / 2).ToString("N2", CultureInfo.InvariantCulture)}");
        return 0;
    }

    /// <summary>The service's own statement, with values of the same sizes made by the server in place of its parameters.</summary>
    private static string Statement()
    {
        string[] values =
        [
            "gen_random_uuid()", "gen_random_uuid()", "1", "'given'", "'consent'", "null::integer", "'web-form'",
            "now()", "now()", "null::timestamptz", Bytes(32), Bytes(32), Bytes(16), Bytes(55), Bytes(190), Bytes(16),
        ];
        return Parameter().Replace(LedgerStore.AppendSql, match => $"array[{values[int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture) - 1]}]") + ";\n";

        static string Bytes(int length) => string.Create(CultureInfo.InvariantCulture, $"decode(repeat('ab', {length}), 'hex')");
    }

    [GeneratedRegex(@"\$(\d+)")]
    private static partial Regex Parameter();
}
