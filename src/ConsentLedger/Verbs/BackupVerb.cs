using System.CommandLine;
using ConsentLedger.Database;
using ConsentLedger.PersonalData;

namespace ConsentLedger.Verbs;

/// <summary><c>backup FILE</c>: copies the ledger into a file. The service goes on meanwhile.</summary>
internal static class BackupVerb
{
    public static Command Command()
    {
        var file = new Argument<FileInfo>("file") { Description = "The file to write. It must not exist." };
        var command = new Command("backup", "Copies the ledger into a file, at one moment, while the service goes on. The master key is not in it.") { file };
        command.SetAction((parsed, cancellation) => RunAsync(parsed, parsed.GetRequiredValue(file), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, FileInfo file, CancellationToken cancellation)
    {
        if (file.Exists)
        {
            throw new StartupException($"{file.FullName} exists already, and is left as it is.");
        }

        await using var installation = await CommandVerbs.OpenAsync(parsed, cancellation);
        var tools = await PostgresTools.FindAsync(installation.Server.ConnectionString, cancellation);

        // Written beside its place and moved there at the end: a back-up that was cut short never looks whole.
        var unfinished = $"{file.FullName}.unfinished";
        CreateForOwner(unfinished);
        await tools.DumpAsync(unfinished, cancellation);
        File.Move(unfinished, file.FullName);
        var settings = installation.Settings;
        Console.WriteLine($"""
            wrote {file.FullName}
            The master key is not in it, and without the key nothing in it can be read or restored. Keep the key
            ({(settings.MasterKey is null ? settings.MasterKeyFile : "from the settings")}) in another place than the back-ups.
            Keep the journal ({Journal(parsed, settings.DataDirectory)}) out of the way of whatever may destroy the
            database: erasures and refusals since a back-up are restored from it.
            """);
        return 0;
    }

    private static string Journal(ParseResult parsed, string dataDirectory) =>
        ErasureJournal.FolderOf(CommandVerbs.Configuration(parsed), dataDirectory);

    private static void CreateForOwner(string path)
    {
        var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        using var made = new FileStream(path, options);
    }
}
