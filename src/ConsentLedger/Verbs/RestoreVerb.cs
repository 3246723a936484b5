using System.CommandLine;
using System.Security.Cryptography;
using ConsentLedger.Database;
using ConsentLedger.Hosting;
using ConsentLedger.PersonalData;
using Dapper;

namespace ConsentLedger.Verbs;

/// <summary>
/// <c>restore FILE</c>: puts a back-up in the place of the ledger, or on a machine that has none yet, and has it learn of every
/// no since.
/// </summary>
/// <remarks>
/// The back-up replaces the ledger in one transaction; a crash before its end leaves the old one. After it the database
/// is behind its journal, and catches up here. A crash in between changes nothing of that: whatever starts on the database
/// next catches up first.
/// </remarks>
internal static class RestoreVerb
{
    public static Command Command()
    {
        var file = new Argument<string>("file") { Description = "A file that backup wrote, or - for standard input." };
        var command = new Command("restore", "Puts a back-up in the place of the ledger. Stop the service first. Erasures and refusals since the back-up are applied again.") { file };
        command.SetAction((parsed, cancellation) => RunAsync(parsed, parsed.GetRequiredValue(file), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, string name, CancellationToken cancellation)
    {
        var file = new FileInfo(name);
        if (name != BackupVerb.Standard && !file.Exists)
        {
            throw new StartupException($"There is no file {file.FullName}.");
        }

        var configuration = CommandVerbs.Configuration(parsed);
        var settings = ServiceSettings.Read(configuration);
        await using (var installation = await Installation.OpenForRestoreAsync(settings, TimeProvider.System, Console.Error.WriteLine, cancellation))
        {
            using var input = name == BackupVerb.Standard ? await KeptInput.ReadAsync(settings.DataDirectory, cancellation) : null;
            await ReplaceAsync(installation, configuration, input?.Path ?? file.FullName, cancellation);
        }

        // Opened anew: the back-up may be of an older version, and is brought to this one.
        await using var restored = await CommandVerbs.OpenAsync(parsed, cancellation);
        await using var ledger = restored.ServicesOfPersonalData(configuration);
        var learned = await ledger.GetRequiredService<JournalKeeper>().ReplayAsync(cancellation);
        Console.WriteLine($"restored {(name == BackupVerb.Standard ? "what came from standard input" : file.FullName)}; {learned} erasures and refusals from the journal were applied again");
        Console.WriteLine("Consents that were given since the back-up are not in it: nobody is written to on the strength of them.");
        if (ledger.GetRequiredService<ErasureJournal>().Journals.Count == 0 || (await ledger.GetRequiredService<JournalKeeper>().FindMissingAsync(cancellation)).Count > 0)
        {
            Console.WriteLine($"""
                The journal is not in {ErasureJournal.FolderOf(configuration, settings.DataDirectory)}, or not all of it: who was
                erased or said no since the back-up is not known here. If it was kept, put it there before the service starts.
                """);
        }

        return 0;
    }

    private static async Task ReplaceAsync(Installation installation, IConfiguration configuration, string file, CancellationToken cancellation)
    {
        var tools = await PostgresTools.FindAsync(installation.Server.ConnectionString, cancellation);
        if (!CryptographicOperations.FixedTimeEquals(await tools.ReadCheckValueAsync(file, cancellation), installation.Keys.CheckValue))
        {
            throw new StartupException(
                $"This back-up was made under another master key, and nothing in it can be read with this one. Put that key into {installation.Settings.MasterKeyFile}, or name it with ConsentLedger:MasterKeyFile.");
        }

        await RefuseWhileInUseAsync(installation, cancellation);
        if (await installation.IsOfThisKeyAsync(cancellation))
        {
            // What the old database has said and not yet written down is written down now.
            await using var services = installation.ServicesOfPersonalData(configuration);
            var keeper = services.GetRequiredService<JournalKeeper>();
            while (await keeper.DrainAsync(cancellation) > 0)
            {
                // Until it is all.
            }
        }
        else
        {
            await RefuseUnlessEmptyAsync(installation, cancellation);
        }

        await tools.RestoreAsync(file, cancellation);
    }

    /// <summary>A service that runs would go on with what it knows of the old database.</summary>
    private static async Task RefuseWhileInUseAsync(Installation installation, CancellationToken cancellation)
    {
        await using var connection = installation.Database.OpenAsLogin();
        await connection.OpenAsync(cancellation);
        using var self = System.Diagnostics.Process.GetCurrentProcess();
        var others = await connection.ExecuteScalarAsync<long>(new CommandDefinition(
            """
            select count(*) from pg_stat_activity
            where datname = current_database() and backend_type = 'client backend'
                and application_name = current_setting('application_name') and backend_start < now() - @age
            """,
            new { age = TimeProvider.System.GetUtcNow() - self.StartTime.ToUniversalTime() },
            cancellationToken: cancellation));
        if (others > 0)
        {
            throw new StartupException("The service is still running on this database. Stop it on every machine, then restore.");
        }
    }

    /// <summary>
    /// A new machine may have been started once before its back-up was brought, under a key of its own that nothing was recorded
    /// under. A ledger of another key that holds something is somebody's.
    /// </summary>
    private static async Task RefuseUnlessEmptyAsync(Installation installation, CancellationToken cancellation)
    {
        await using var connection = await installation.Database.Service.OpenConnectionAsync(cancellation);
        if (await connection.ExecuteScalarAsync<bool>(new CommandDefinition(
            "select exists (select from consent_event) or exists (select from suppression)", cancellationToken: cancellation)))
        {
            throw new StartupException(
                "The ledger here was made under another master key, and is not empty. Restore into an empty database, or with another ConsentLedger:DataDirectory.");
        }
    }

    /// <summary>What came from standard input, in a file for this account alone: it is read twice.</summary>
    private sealed class KeptInput : IDisposable
    {
        private KeptInput(string path) => Path = path;

        public string Path { get; }

        public static async Task<KeptInput> ReadAsync(string folder, CancellationToken cancellation)
        {
            var path = System.IO.Path.Combine(folder, $"restore.{Guid.NewGuid():N}");
            await using var input = Console.OpenStandardInput();
            await DurableFile.WriteAsync(path, output => input.CopyToAsync(output, cancellation));
            return new KeptInput(path);
        }

        public void Dispose() => File.Delete(Path);
    }
}
