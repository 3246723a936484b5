using System.Collections.Concurrent;
using System.Globalization;
using ConsentLedger.Database;
using ConsentLedger.Tests.Hosting;
using Npgsql;
using Testcontainers.PostgreSql;

[assembly: AssemblyFixture(typeof(TestDatabase))]

namespace ConsentLedger.Tests.Hosting;

/// <summary>
/// The one PostgreSQL server of a test run: that of <c>ConnectionStrings__Ledger</c>, or a container when Docker answers,
/// or a private cluster in a temporary data directory, as the service keeps one but without flushing to the disk.
/// </summary>
public sealed class TestDatabase : IAsyncLifetime
{
    private readonly ConcurrentBag<string> created = [];
    private readonly ConcurrentBag<LentLedger> rested = [];
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("consentledger-tests-");
    private PostgreSqlContainer? container;
    private PostgresServer? server;
    private NpgsqlDataSource? maintenance;
    private int count;
    private Lazy<Task<string>> ledgerTemplate = null!;

    /// <summary>The running server, with its maintenance connection string.</summary>
    public PostgresServer Server => server ?? throw new InvalidOperationException("The server is not started yet.");

    public async ValueTask InitializeAsync()
    {
        var configured = Environment.GetEnvironmentVariable("ConnectionStrings__Ledger");
        if (string.IsNullOrWhiteSpace(configured) && await Docker.AnswersAsync())
        {
            container = new PostgreSqlBuilder("postgres:17-alpine")
                .WithCommand("-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=200")
                .Build();
            await container.StartAsync(TestContext.Current.CancellationToken);
            configured = container.GetConnectionString();
        }

        server = await PostgresServer.StartAsync(
            new PostgresOptions { ConnectionString = configured, DataDirectory = folder.FullName, Durable = false },
            TimeProvider.System,
            TestContext.Current.CancellationToken);
        maintenance = NpgsqlDataSource.Create(server.ConnectionString);
        if (server.IsEmbedded || container is not null)
        {
            // It looks at each database once a minute, ten times a second once there are hundreds, and nothing lives that long.
            await ExecuteAsync("alter system set autovacuum = off");
            await ExecuteAsync("select pg_reload_conf()");
        }

        ledgerTemplate = new Lazy<Task<string>>(MigrateTemplateAsync);
    }

    /// <summary>Lends the current test a migrated, empty ledger, which goes on to another one when the test has ended.</summary>
    internal Task<LentLedger> LendLedgerAsync() => LentLedger.LendAsync(rested, CreateLedgerAsync);

    /// <summary>Creates a migrated, empty ledger of this test's own, as a clone of one that is made once.</summary>
    /// <returns>The connection string of the new database.</returns>
    public async Task<string> CreateLedgerAsync() => await CreateDatabaseAsync(await ledgerTemplate.Value);

    /// <summary>Creates a database of this test's own.</summary>
    /// <param name="template">The name of the database to clone, to which nobody may be connected; null for an empty one.</param>
    /// <returns>The connection string of the new database.</returns>
    public async Task<string> CreateDatabaseAsync(string? template)
    {
        var name = string.Create(CultureInfo.InvariantCulture, $"test_{Environment.ProcessId}_{Interlocked.Increment(ref count)}");
        await ExecuteAsync($"create database \"{name}\" template \"{template ?? "template0"}\"");
        created.Add(name);
        return new NpgsqlConnectionStringBuilder(Server.ConnectionString) { Database = name }.ConnectionString;
    }

    private async Task<string> MigrateTemplateAsync()
    {
        var template = await CreateDatabaseAsync(null);
        await using var ledger = new LedgerDatabase(template);
        await new Migrator(ledger).ApplyAsync(TestContext.Current.CancellationToken);
        return new NpgsqlConnectionStringBuilder(template).Database!;
    }

    public async ValueTask DisposeAsync()
    {
        while (rested.TryTake(out var ledger))
        {
            await ledger.DisposeAsync();
        }

        if (server is { IsEmbedded: false } && container is null)
        {
            foreach (var name in created)
            {
                await ExecuteAsync($"drop database if exists \"{name}\" with (force)");
            }
        }

        if (maintenance is not null)
        {
            await maintenance.DisposeAsync();
        }

        if (server is not null)
        {
            await server.DisposeAsync();
        }

        if (container is not null)
        {
            await container.DisposeAsync();
        }

        TemporaryDataDirectory.Remove(folder.FullName);
    }

    private async Task ExecuteAsync(string sql)
    {
        await using var command = maintenance!.CreateCommand(sql);
        await command.ExecuteNonQueryAsync();
    }
}
