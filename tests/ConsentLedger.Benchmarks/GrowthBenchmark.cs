using System.Globalization;

namespace ConsentLedger.Benchmarks;

/// <summary>Single checks of all subscribers of a large ledger against those of a small one, in turn.</summary>
internal static class GrowthBenchmark
{
    private const int Small = 100_000;

    public static async Task<int> RunAsync(Arguments arguments)
    {
        Console.WriteLine($"{Small:N0} and {arguments.Subscribers:N0} subscribers, {arguments.Connections} connections, {arguments.Rounds} rounds of {arguments.Seconds} s each, {Environment.ProcessorCount} cores shared with the load");
        await using var small = await Scene.SetAsync(Small);
        await using var large = await Scene.SetAsync(arguments.Subscribers);
        var few = await small.StartServiceAsync();
        var many = await large.StartServiceAsync();
        var warm = TimeSpan.FromSeconds(12);
        await CheckAsync(small, few, Small, arguments, warm);
        await CheckAsync(large, many, arguments.Subscribers, arguments, warm);

        var ratios = new List<double>();
        var turn = TimeSpan.FromSeconds(arguments.Seconds);
        for (var round = 0; round < arguments.Rounds; round++)
        {
            var floor = await CheckAsync(small, few, Small, arguments, turn);
            Console.WriteLine($"small   {floor}");
            var checks = await CheckAsync(large, many, arguments.Subscribers, arguments, turn);
            ratios.Add(checks.PerSecond / floor.PerSecond);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"large   {checks}   ratio {ratios[^1]:N2}"));
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"median ratio {ratios.Order().ElementAt(ratios.Count / 2):N2}"));
        return 0;
    }

    /// <summary>Anybody, and not the same few: what is asked for once is rarely asked for soon again.</summary>
    private static Task<Load.Result> CheckAsync(Scene scene, Server service, int subscribers, Arguments arguments, TimeSpan turn) =>
        Load.RunAsync(service, arguments.Connections, turn, n => scene.CheckOf(n % subscribers));
}
