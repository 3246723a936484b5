using System.Globalization;

namespace ConsentLedger.Benchmarks;

/// <summary>What can be set of a benchmark, as <c>--name value</c>.</summary>
internal sealed record Arguments(int Subscribers, int Connections, int Seconds, int Rounds)
{
    public static Arguments Read(string[] rest)
    {
        int Value(string name, int otherwise) =>
            Array.LastIndexOf(rest, "--" + name) is var at and >= 0 ? int.Parse(rest[at + 1], CultureInfo.InvariantCulture) : otherwise;

        return new Arguments(Value("subscribers", 1_000_000), Value("connections", 64), Value("seconds", 8), Value("rounds", 3));
    }

    public static int Help()
    {
        Console.Error.WriteLine("""
            dotnet run -c Release --project tests/ConsentLedger.Benchmarks -- checks [--subscribers N] [--connections N] [--seconds N] [--rounds N]
                                                                              growth [--subscribers N] [--connections N] [--seconds N] [--rounds N]
                                                                              append [--subscribers N] [--seconds N] [--rounds N]
                                                                              import [--subscribers ROWS]
                                                                              stream [--subscribers N] [--rounds N]
                                                                              purge [--subscribers N]
                                                                              beside [--subscribers N] [--seconds N]
                                                                              export
                                                                              start
            """);
        return 2;
    }
}
