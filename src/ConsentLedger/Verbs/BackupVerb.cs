using System.CommandLine;
using ConsentLedger.Database;
using ConsentLedger.PersonalData;

namespace ConsentLedger.Verbs;

/// <summary>
/// <c>backup FILE</c>: copies the ledger into a file, or with <c>-</c> to standard output, for whatever encrypts it or carries it
/// elsewhere. The service goes on meanwhile.
/// </summary>
internal static class BackupVerb
{
    /// <summary>In place of a file's name: standard output, or input.</summary>
    public const string Standard = "-";

    public static Command Command()
    {
        var file = new Argument<string>("file") { Description = "The file to write, which must not exist; or - for standard output." };
        var command = new Command("backup", "Copies the ledger into a file, at one moment, while the service goes on. The master key is not in it.") { file };
        command.SetAction((parsed, cancellation) => RunAsync(parsed, parsed.GetRequiredValue(file), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, string name, CancellationToken cancellation)
    {
        var file = name == Standard ? null : new FileInfo(name);
        if (file is not null)
        {
            CommandVerbs.RefuseExisting(file);
        }

        await using var installation = await CommandVerbs.OpenAsync(parsed, cancellation);
        var tools = await PostgresTools.FindAsync(installation.Server.ConnectionString, cancellation);
        if (file is not null)
        {
            await DurableFile.WriteAsync(file.FullName, output => tools.DumpAsync(output, cancellation));
        }
        else
        {
            await using var output = Console.OpenStandardOutput();
            await tools.DumpAsync(output, cancellation);
        }

        var settings = installation.Settings;
        await (file is null ? Console.Error : Console.Out).WriteLineAsync($"""
            wrote {file?.FullName ?? "the back-up to standard output"}
            The master key is not in it, and without the key nothing in it can be read or restored. Keep the key
            ({(settings.MasterKey is null ? settings.MasterKeyFile : "from the settings")}) in another place than the back-ups.
            Keep the journal ({Journal(parsed, settings.DataDirectory)}) out of the way of whatever may destroy the
            database: erasures and refusals since a back-up are restored from it.
            """);
        return 0;
    }

    private static string Journal(ParseResult parsed, string dataDirectory) =>
        ErasureJournal.FolderOf(CommandVerbs.Configuration(parsed), dataDirectory);
}
