using System.Globalization;

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
        var list = Path.Combine(scene.DataDirectory, "list.csv");
        await ImportBenchmark.WriteAsync(list, arguments.Subscribers);
        await CheckAsync(scene, service, Task.Delay(TimeSpan.FromSeconds(10)), double.PositiveInfinity);

        var quiet = await CheckAsync(scene, service, Task.Delay(TimeSpan.FromSeconds(arguments.Seconds)));
        Report("quiet ", quiet, quiet);
        Report("import", await CheckAsync(scene, service, scene.SendAsync(service, list)), quiet);
        Report("purge ", await CheckAsync(scene, service, PurgeBenchmark.RunAsync(scene, service)), quiet);
        return 0;
    }

    private static void Report(string name, Load.Result result, Load.Result quiet) =>
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{name}  {result}   p99 {result.P99 / quiet.P99:N2} times the quiet one"));

    /// <summary>Loads the service with checks until the work beside them is done.</summary>
    private static async Task<Load.Result> CheckAsync(Scene scene, Server service, Task work, double perSecond = PerSecond)
    {
        var checks = await Load.RunAsync(service, Connections, () => work.IsCompleted, n => scene.CheckOf(n % 100_000), perSecond: perSecond);
        await work;
        return checks;
    }
}
