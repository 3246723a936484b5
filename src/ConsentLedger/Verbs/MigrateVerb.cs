using System.CommandLine;

namespace ConsentLedger.Verbs;

/// <summary><c>migrate</c>: brings the database to this version's schema, and does nothing else.</summary>
internal static class MigrateVerb
{
    public static Command Command()
    {
        var command = new Command("migrate", "Brings the database to this version's schema. serve does it too; run it apart to use a login with more rights.");
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellation)
    {
        await using var installation = await CommandVerbs.OpenAsync(parsed, cancellation);
        foreach (var script in installation.Migrated)
        {
            Console.WriteLine($"applied {script}");
        }

        Console.WriteLine(installation.Migrated.Count == 0 ? "The database is up to date." : "The database is up to date now.");
        return 0;
    }
}
