using System.Diagnostics;
using System.Globalization;
using ConsentLedger.Database;
using ConsentLedger.Hosting;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Microsoft.Extensions.Configuration;
using Npgsql;

namespace ConsentLedger.Benchmarks;

/// <summary>
/// An installation of its own in a temporary folder, with as many subscribers as asked for, and processes that work on
/// it. All of it is gone at the end.
/// </summary>
internal sealed class Scene : IAsyncDisposable
{
    private readonly DirectoryInfo folder;
    private readonly List<Process> processes = [];

    private Scene(DirectoryInfo folder, Installation installation)
    {
        this.folder = folder;
        Installation = installation;
    }

    public Installation Installation { get; }

    /// <summary>An API key with every scope.</summary>
    public string Key { get; private set; } = "";

    public string DataDirectory => folder.FullName;

    public static async Task<Scene> SetAsync(int subscribers)
    {
        var folder = Directory.CreateTempSubdirectory("consentledger-benchmarks-");
        var settings = ServiceSettings.Read(new ConfigurationBuilder()
            .AddInMemoryCollection([new("ConsentLedger:DataDirectory", folder.FullName)]).Build());
        var scene = new Scene(folder, await Installation.OpenAsync(settings, TimeProvider.System, null, CancellationToken.None));
        DapperTypes.Register();
        var keys = new ApiKeyCatalogue(
            scene.Installation.Database, scene.Installation.Keys, new AuditTrail(scene.Installation.Database.Service, TimeProvider.System), TimeProvider.System);
        (scene.Key, _) = await keys.CreateAsync(Actor.Service, "benchmark", Scope.All, null, null, CancellationToken.None);
        await scene.FillAsync(subscribers);
        return scene;
    }

    public static string AddressOf(int number) => string.Create(CultureInfo.InvariantCulture, $"subscriber-{number}@museum.example");

    /// <summary>The request for a single check of one of them.</summary>
    public byte[] CheckOf(int number) => Load.Post("/v1/checks", Key, $$"""{"address":"{{AddressOf(number)}}","purpose":"newsletter"}""");

    /// <summary>Starts the service as a process of its own and waits until it answers.</summary>
    public async Task<Server> StartServiceAsync()
    {
        var url = new Uri($"http://127.0.0.1:{FreePort()}");
        var process = Start([Path.Combine(AppContext.BaseDirectory, "consentledger.dll"), "serve"], url);
        await WaitForAsync(new Uri(url, "/v1/checks"));
        return new Server(process, url);
    }

    /// <summary>Starts the floor as a process of its own and waits until it answers.</summary>
    public async Task<Server> StartFloorAsync()
    {
        var url = new Uri($"http://127.0.0.1:{FreePort()}");
        var process = Start([Path.Combine(AppContext.BaseDirectory, "ConsentLedger.Benchmarks.dll"), "floor", Installation.Server.ConnectionString, url.ToString()], url);
        await WaitForAsync(new Uri(url, "/"));
        return new Server(process, url);
    }

    /// <summary>Imports a list from a process of its own.</summary>
    public async Task SendAsync(Server service, string list)
    {
        var url = new Uri(service.Url, "/v1/events/import");
        using var process = Process.Start("dotnet", [Path.Combine(AppContext.BaseDirectory, "ConsentLedger.Benchmarks.dll"), "send", list, url.ToString(), Key]);
        await process.WaitForExitAsync();
        if (process.ExitCode != 0)
        {
            throw new InvalidOperationException("The list could not be imported.");
        }
    }

    public void Stop(Server server) => Stop(server.Process);

    private void Stop(Process process)
    {
        process.Kill();
        process.WaitForExit();
        processes.Remove(process);
    }

    /// <summary>Runs one statement as the superuser.</summary>
    public async Task SqlAsync(string sql)
    {
        await using var source = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(Installation.Server.ConnectionString)
        {
            Options = $"-c search_path={LedgerDatabase.Schema}",
            CommandTimeout = 0,
            Pooling = false,
        }.ConnectionString);
        await using var command = source.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var process in processes.ToList())
        {
            Stop(process);
        }

        await Installation.DisposeAsync();
        folder.Delete(recursive: true);
    }

    private Process Start(string[] arguments, Uri url)
    {
        var start = new ProcessStartInfo("dotnet", arguments) { RedirectStandardOutput = true };
        start.Environment["ConsentLedger__DataDirectory"] = folder.FullName;
        start.Environment["ASPNETCORE_URLS"] = url.ToString();
        var process = Process.Start(start)!;
        process.OutputDataReceived += (_, line) =>
        {
            // What goes wrong in the service has to be seen here: its figures would mean nothing.
            if (line.Data?.Contains(" fail:", StringComparison.Ordinal) == true)
            {
                Console.Error.WriteLine(line.Data);
            }
        };
        process.BeginOutputReadLine();
        processes.Add(process);
        return process;
    }

    private static async Task WaitForAsync(Uri url)
    {
        using var client = new HttpClient();
        for (var i = 0; i < 600; i++)
        {
            try
            {
                using var answer = await client.GetAsync(url);
                return;
            }
            catch (HttpRequestException)
            {
                await Task.Delay(25);
            }
        }

        throw new TimeoutException($"{url} does not answer.");
    }

    private static int FreePort()
    {
        using var listener = new System.Net.Sockets.TcpListener(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        return ((System.Net.IPEndPoint)listener.LocalEndpoint).Port;
    }

    /// <summary>Two purposes, and a consent for the first in the state and the history of everyone.</summary>
    private async Task FillAsync(int subscribers)
    {
        await SqlAsync("""
            insert into purpose (key, name, channel, basis, double_opt_in, special_category, data_categories, recipients,
                retention_pending, retention_lapsed, created_at, updated_at)
            select key, key, 'email', 'consent', true, false, '{}', '{}', 'P30D', 'P24M', now(), now()
            from (values ('newsletter'), ('events')) purposes (key)
            """);
        var ids = new SubscriberIds(Installation.Keys);
        await using var source = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(Installation.Server.ConnectionString)
        {
            Options = $"-c search_path={LedgerDatabase.Schema}",
            Pooling = false,
        }.ConnectionString);
        await using var connection = await source.OpenConnectionAsync();
        var now = TimeProvider.System.GetUtcNow().UtcDateTime.AddDays(-1);
        await using (var create = new NpgsqlCommand("create temporary table filled (subscriber_id uuid, event_id uuid)", connection))
        {
            await create.ExecuteNonQueryAsync();
        }

        await using (var copy = await connection.BeginBinaryImportAsync("copy filled from stdin (format binary)"))
        {
            for (var i = 0; i < subscribers; i++)
            {
                await copy.StartRowAsync();
                await copy.WriteAsync(ids.Of(Address.Parse(AddressOf(i), null)).Value);
                await copy.WriteAsync(Guid.CreateVersion7());
            }

            await copy.CompleteAsync();
        }

        await using var insert = new NpgsqlCommand(
            """
            with placed as (
                insert into consent_event (subscriber_id, event_id, purpose_id, kind, basis, source_kind, occurred_at, recorded_at, commitment, opening)
                select subscriber_id, event_id, 1, 'given', 'consent', 'import', @now, @now, decode(repeat('ab', 32), 'hex'), decode(repeat('cd', 16), 'hex')
                from filled
            )
            insert into consent_state (subscriber_id, purpose_id, kind, basis, occurred_at, event_id)
            select subscriber_id, 1, 'given', 'consent', @now, event_id from filled
            """,
            connection)
        { CommandTimeout = 0 };
        insert.Parameters.AddWithValue("now", now);
        await insert.ExecuteNonQueryAsync();
        await using var settle = new NpgsqlCommand("vacuum (analyze) consent_state, consent_event; checkpoint", connection) { CommandTimeout = 0 };
        foreach (var statement in settle.CommandText.Split(';'))
        {
            await using var command = new NpgsqlCommand(statement, connection) { CommandTimeout = 0 };
            await command.ExecuteNonQueryAsync();
        }
    }
}

/// <summary>A process that is loaded.</summary>
internal sealed record Server(Process Process, Uri Url)
{
    /// <summary>What it has used of the processor so far.</summary>
    public TimeSpan Processor
    {
        get
        {
            Process.Refresh();
            return Process.TotalProcessorTime;
        }
    }

    /// <summary>The most that it ever held in memory, in megabytes; what it holds now where the system does not tell.</summary>
    public long PeakMemory
    {
        get
        {
            var status = $"/proc/{Process.Id}/status";
            return File.Exists(status) && File.ReadLines(status).FirstOrDefault(line => line.StartsWith("VmHWM:", StringComparison.Ordinal)) is { } peak
                ? long.Parse(peak.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024
                : Memory / 1024 / 1024;
        }
    }

    /// <summary>Its resident memory, in bytes.</summary>
    public long Memory
    {
        get
        {
            Process.Refresh();
            return Process.WorkingSet64;
        }
    }
}
