using System.CommandLine;
using System.Security.Cryptography;
using ConsentLedger.Database;
using ConsentLedger.Hosting;
using ConsentLedger.PersonalData;
using Dapper;

namespace ConsentLedger.Verbs;

/// <summary><c>restore FILE</c>: puts a back-up in the place of the ledger, and has it learn of every no since.</summary>
/// <remarks>
/// The back-up replaces the ledger in one transaction; a crash before its end leaves the old one. After it the database
/// is behind its journal, and catches up here. A crash in between changes nothing of that: whatever starts on the database
/// next catches up first.
/// </remarks>
internal static class RestoreVerb
{
    public static Command Command()
    {
        var file = new Argument<FileInfo>("file") { Description = "A file that backup wrote." };
        var command = new Command("restore", "Puts a back-up in the place of the ledger. Stop the service first. Erasures and refusals since the back-up are applied again.") { file };
        command.SetAction((parsed, cancellation) => RunAsync(parsed, parsed.GetRequiredValue(file), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, FileInfo file, CancellationToken cancellation)
    {
        if (!file.Exists)
        {
            throw new StartupException($"There is no file {file.FullName}.");
        }

        var configuration = CommandVerbs.Configuration(parsed);
        await using (var installation = await CommandVerbs.OpenAsync(parsed, cancellation))
        {
            var tools = await PostgresTools.FindAsync(installation.Server.ConnectionString, cancellation);
            if (!CryptographicOperations.FixedTimeEquals(await tools.ReadCheckValueAsync(file.FullName, cancellation), installation.Keys.CheckValue))
            {
                throw new StartupException("This back-up was made under another master key. Start with that key: with this one nothing in it can be read.");
            }

            await RefuseWhileInUseAsync(installation, cancellation);
            await using (var services = installation.ServicesOfPersonalData(configuration))
            {
                // What the old database has said and not yet written down is written down now.
                var keeper = services.GetRequiredService<JournalKeeper>();
                while (await keeper.DrainAsync(cancellation) > 0)
                {
                    // Until it is all.
                }
            }

            await tools.RestoreAsync(file.FullName, cancellation);
        }

        // Opened anew: the back-up may be of an older version, and is brought to this one.
        await using var restored = await CommandVerbs.OpenAsync(parsed, cancellation);
        await using var ledger = restored.ServicesOfPersonalData(configuration);
        var learned = await ledger.GetRequiredService<JournalKeeper>().ReplayAsync(cancellation);
        Console.WriteLine($"restored {file.FullName}; {learned} erasures and refusals from the journal were applied again");
        Console.WriteLine("Consents that were given since the back-up are not in it: nobody is written to on the strength of them.");
        return 0;
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
}
