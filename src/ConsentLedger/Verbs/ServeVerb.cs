using System.CommandLine;
using System.Reflection;
using ConsentLedger.Database;
using ConsentLedger.Hosting;
using ConsentLedger.Security;
using Microsoft.AspNetCore.HttpOverrides;
using Microsoft.Extensions.Logging.Console;

namespace ConsentLedger.Verbs;

/// <summary><c>serve</c>: opens the installation, serves until told to stop, and closes it again.</summary>
internal static class ServeVerb
{
    private const string DefaultUrl = "http://localhost:8080";

    public static Command Command()
    {
        var command = new Command("serve", "Serves the API and the pages. This is what happens without a verb, too.");
        command.SetAction(RunAsync);
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, CancellationToken cancellation)
    {
        var configuration = CommandVerbs.Configuration(parsed);
        var settings = ServiceSettings.Read(configuration);
        var urls = Urls(configuration);
        var publicUrl = new PublicUrl(settings.PublicUrl ?? Reachable(urls[0]));

        await using var installation = await Installation.OpenAsync(settings, TimeProvider.System, Console.WriteLine, cancellation);
        await using var app = LedgerService.Build([], publicUrl, installation.Database, installation.Keys, TimeProvider.System, builder =>
        {
            builder.Configuration.AddConfiguration(configuration);
            builder.WebHost.UseUrls(urls).UseKestrelHttpsConfiguration();
            builder.Logging.AddSimpleConsole(console =>
            {
                console.SingleLine = true;
                console.TimestampFormat = "yyyy-MM-dd'T'HH:mm:ss'Z' ";
                console.UseUtcTimestamp = true;
                console.ColorBehavior = Console.IsOutputRedirected ? LoggerColorBehavior.Disabled : LoggerColorBehavior.Default;
            });
            builder.Services.AddSingleton(installation.Server).AddHostedService<EmbeddedPostgresSupervisor>();
            TrustProxies(builder.Services, settings);
        });
        await app.StartAsync(cancellation);
        Announce(installation, publicUrl, app.Urls);
        await app.WaitForShutdownAsync(cancellation);
        return 0;
    }

    /// <summary>Where the service listens, as a program on this machine reaches it.</summary>
    public static Uri LocalUrl(IConfiguration configuration) => Reachable(Urls(configuration)[0]);

    private static void Announce(Installation installation, PublicUrl publicUrl, ICollection<string> urls)
    {
        var version = typeof(ServeVerb).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion.Split('+')[0];
        Console.WriteLine($"""

            ConsentLedger {version}
              listens on    {string.Join(", ", urls)}
              public URL    {publicUrl}
              API           {publicUrl}/swagger
              database      {installation.Server.Description}
              data          {installation.Settings.DataDirectory}
              master key    {(installation.Settings.MasterKey is null ? installation.Settings.MasterKeyFile : "from the settings")}
            """);
        if (installation.MadeMasterKey)
        {
            Console.WriteLine($"""

                A master key was made just now. BACK UP {installation.Settings.MasterKeyFile}, away from the database:
                without it the ledger can't be read, and every unsubscribe link in every message sent stops working.
                """);
        }

        Console.WriteLine();
    }

    /// <summary>Where to listen: as ASP.NET Core is told in its usual ways, else on this machine alone.</summary>
    private static string[] Urls(IConfiguration configuration) =>
        configuration["urls"]?.Split(';', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
        ?? (configuration["http_ports"]?.Split(';', StringSplitOptions.RemoveEmptyEntries).Select(port => $"http://*:{port}").ToArray())
        ?? [DefaultUrl];

    /// <summary>The same place as a browser on this machine would write it.</summary>
    private static Uri Reachable(string url) =>
        Uri.TryCreate(
            url.Replace("//*", "//localhost", StringComparison.Ordinal).Replace("//+", "//localhost", StringComparison.Ordinal)
                .Replace("//0.0.0.0", "//localhost", StringComparison.Ordinal).Replace("//[::]", "//localhost", StringComparison.Ordinal),
            UriKind.Absolute,
            out var reachable)
            ? reachable
            : throw new StartupException("The address to listen on is not a URL such as http://localhost:8080.");

    /// <summary>Behind a proxy the client's address is what the proxy says, and nobody else.</summary>
    private static void TrustProxies(IServiceCollection services, ServiceSettings settings) =>
        services.Configure<ForwardedHeadersOptions>(options =>
        {
            options.ForwardedHeaders = settings.TrustedProxies.Count == 0 ? ForwardedHeaders.None : ForwardedHeaders.XForwardedFor;
            options.KnownProxies.Clear();
            options.KnownIPNetworks.Clear();
            foreach (var network in settings.TrustedProxies)
            {
                options.KnownIPNetworks.Add(network);
            }
        });
}
