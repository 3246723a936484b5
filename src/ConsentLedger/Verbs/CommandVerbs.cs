using System.CommandLine;
using System.Runtime.InteropServices;
using ConsentLedger.Database;
using ConsentLedger.Hosting;
using Npgsql;

namespace ConsentLedger.Verbs;

/// <summary>The verbs of <c>consentledger</c>: what a person at the machine can do.</summary>
public static class CommandVerbs
{
    /// <summary>Runs the verb that the arguments name; <c>serve</c> if they name none. Returns the process's exit code.</summary>
    public static async Task<int> RunAsync(string[] arguments)
    {
        var serve = ServeVerb.Command();
        var root = new RootCommand("ConsentLedger: may I write to this address for this purpose, now, and can I prove it later?")
        {
            serve,
            MigrateVerb.Command(),
            KeysVerb.Command(),
            ImportVerb.Command(),
            CheckVerb.Command(),
            ExportVerb.Command(),
            PurgeVerb.Command(),
            BackupVerb.Command(),
            RestoreVerb.Command(),
            RebuildStateVerb.Command(),
            HealthVerb.Command(),
        };
        root.Action = serve.Action;
        foreach (var command in root.Subcommands.SelectMany(command => command.Subcommands.Prepend(command)).Prepend(root))
        {
            // Settings can be given on the command line as well: --ConsentLedger:DataDirectory=/srv/consent, --urls=http://…
            command.TreatUnmatchedTokensAsErrors = false;
        }

        var parsed = root.Parse(arguments);
        if (parsed.UnmatchedTokens.FirstOrDefault(token => !IsSetting(token)) is { } stray)
        {
            await Console.Error.WriteLineAsync($"consentledger: '{stray}' is no verb and no option here; see consentledger --help.");
            return 2;
        }

        using var interruption = new CancellationTokenSource();
        using var interrupt = PosixSignalRegistration.Create(PosixSignal.SIGINT, Interrupt);
        using var terminate = PosixSignalRegistration.Create(PosixSignal.SIGTERM, Interrupt);
        try
        {
            return await parsed.InvokeAsync(
                new InvocationConfiguration { ProcessTerminationTimeout = null, EnableDefaultExceptionHandler = false }, interruption.Token);
        }
        catch (OperationCanceledException) when (interruption.IsCancellationRequested)
        {
            return 130;
        }
        catch (Exception exception) when (exception is StartupException or MigrationException or NpgsqlException or IOException or UnauthorizedAccessException)
        {
            await Console.Error.WriteLineAsync($"consentledger: {exception.Message}");
            return 1;
        }

        // The verb ends in its own time: what it has begun it finishes or takes back, and then the server stops.
        void Interrupt(PosixSignalContext signal)
        {
            signal.Cancel = true;
            interruption.Cancel();
        }
    }

    /// <summary>The configuration: defaults, <c>appsettings.json</c> beside the program, the environment, the command line.</summary>
    internal static IConfigurationRoot Configuration(ParseResult parsed) => new ConfigurationBuilder()
        .AddJsonFile(Path.Combine(AppContext.BaseDirectory, "appsettings.json"), optional: true)
        .AddEnvironmentVariables("ASPNETCORE_")
        .AddEnvironmentVariables()
        .AddCommandLine([.. parsed.UnmatchedTokens])
        .Build();

    /// <summary>Opens the installation that the settings name; progress goes to standard error.</summary>
    internal static Task<Installation> OpenAsync(ParseResult parsed, CancellationToken cancellation) =>
        Installation.OpenAsync(ServiceSettings.Read(Configuration(parsed)), TimeProvider.System, Console.Error.WriteLine, cancellation);

    /// <summary>For a verb that writes a file and never over another.</summary>
    internal static void RefuseExisting(FileInfo file)
    {
        if (file.Exists)
        {
            throw new StartupException($"{file.FullName} exists already, and is left as it is.");
        }
    }

    private static bool IsSetting(string token) => token.StartsWith("--", StringComparison.Ordinal) && token.Contains('=', StringComparison.Ordinal);
}
