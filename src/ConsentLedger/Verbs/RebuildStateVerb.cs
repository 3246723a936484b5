using System.CommandLine;
using ConsentLedger.Ledger;

namespace ConsentLedger.Verbs;

/// <summary><c>rebuild-state</c>: recomputes every state from the history.</summary>
internal static class RebuildStateVerb
{
    public static Command Command()
    {
        var command = new Command("rebuild-state", "Recomputes every state from the history and mends what differs. Checks go on meanwhile; new events wait.");
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellation)
    {
        await using var installation = await CommandVerbs.OpenAsync(parsed, cancellation);
        await Console.Error.WriteLineAsync("Reading the history…");
        var rebuilt = await StateRebuild.RunAsync(installation.Database, cancellation);
        Console.WriteLine($"{rebuilt.States} states, {rebuilt.Mended} mended, {rebuilt.Removed} removed");
        return 0;
    }
}
