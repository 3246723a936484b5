using System.Security.Cryptography;
using ConsentLedger.Database;
using ConsentLedger.Security;
using Dapper;
using Npgsql;

namespace ConsentLedger.Hosting;

/// <summary>
/// An installation, opened: its server running, its database migrated, its keys at hand and proven to belong to it.
/// Everything that works on the ledger, the service and each verb, starts here.
/// </summary>
public sealed class Installation : IAsyncDisposable
{
    private Installation(ServiceSettings settings, PostgresServer server, LedgerDatabase database)
    {
        Settings = settings;
        Server = server;
        Database = database;
    }

    /// <summary>The settings it was opened by.</summary>
    public ServiceSettings Settings { get; }

    /// <summary>Where PostgreSQL comes from.</summary>
    public PostgresServer Server { get; }

    /// <summary>The database, by role.</summary>
    public LedgerDatabase Database { get; }

    /// <summary>The keys.</summary>
    public KeyRing Keys { get; private set; } = null!;

    /// <summary>True if the master key was made just now, and is nowhere else yet.</summary>
    public bool MadeMasterKey { get; private set; }

    /// <summary>The migrations that opening it applied.</summary>
    public IReadOnlyList<string> Migrated { get; private set; } = [];

    /// <summary>Opens an installation, making what is missing.</summary>
    /// <param name="settings">The settings.</param>
    /// <param name="clock">The time.</param>
    /// <param name="progress">Told, a line each, of what takes long.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="StartupException">It can't be opened; the message says why.</exception>
    public static Task<Installation> OpenAsync(
        ServiceSettings settings, TimeProvider clock, Action<string>? progress, CancellationToken cancellation) =>
        OpenAsync(settings, clock, progress, installation => installation.OpenKeysAsync(clock, cancellation), cancellation);

    /// <summary>
    /// Opens one that a back-up is to be put into, under the key that the back-up was made under. That key is brought along and
    /// never made, and what is there may be of another: <see cref="IsOfThisKeyAsync"/>.
    /// </summary>
    /// <param name="settings">The settings.</param>
    /// <param name="clock">The time.</param>
    /// <param name="progress">Told, a line each, of what takes long.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="StartupException">It can't be opened; the message says why.</exception>
    public static Task<Installation> OpenForRestoreAsync(
        ServiceSettings settings, TimeProvider clock, Action<string>? progress, CancellationToken cancellation) =>
        OpenAsync(settings, clock, progress, installation => installation.BringKeysAsync(), cancellation);

    /// <summary>True if what is in the database can be read with the keys at hand; nothing is, until an installation has been opened on it.</summary>
    public async Task<bool> IsOfThisKeyAsync(CancellationToken cancellation)
    {
        await using var connection = await Database.Service.OpenConnectionAsync(cancellation);
        return await ReadCheckAsync(connection) is { } check && CryptographicOperations.FixedTimeEquals(check, Keys.CheckValue);
    }

    private static async Task<Installation> OpenAsync(
        ServiceSettings settings, TimeProvider clock, Action<string>? progress, Func<Installation, Task> openKeys, CancellationToken cancellation)
    {
        MakePrivate(settings.DataDirectory);
        var server = await PostgresServer.StartAsync(
            new PostgresOptions { ConnectionString = settings.ConnectionString, DataDirectory = settings.DataDirectory, Progress = progress },
            clock,
            cancellation);
        var installation = new Installation(settings, server, new LedgerDatabase(server.ConnectionString, server.IsEmbedded));
        try
        {
            installation.Migrated = await new Migrator(installation.Database).ApplyAsync(cancellation);
            await openKeys(installation);
            return installation;
        }
        catch
        {
            await installation.DisposeAsync();
            throw;
        }
    }

    /// <summary>Closes the connections, and stops the private cluster if nothing else uses it.</summary>
    public async ValueTask DisposeAsync()
    {
        await Database.DisposeAsync();
        await Server.DisposeAsync();
    }

    /// <summary>The data directory holds the master key, and mails with addresses: it is made for this account alone.</summary>
    private static void MakePrivate(string folder)
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(folder);
        }
        else
        {
            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
    }

    /// <summary>
    /// Reads the keys and holds them against the check value in the database, which the first start leaves there. Of two
    /// first starts at once one leaves it, and the other is held against it.
    /// </summary>
    private async Task OpenKeysAsync(TimeProvider clock, CancellationToken cancellation)
    {
        await using var connection = await Database.Service.OpenConnectionAsync(cancellation);
        var check = await ReadCheckAsync(connection);
        (var master, MadeMasterKey) = MasterKeyFile.Read(Settings, mayCreate: check is null);
        Keys = new KeyRing(master, Settings.KeyGeneration);
        if (check is null)
        {
            await connection.ExecuteAsync(
                "insert into installation (master_key_check, created_at) values (@CheckValue, @now) on conflict do nothing",
                new { Keys.CheckValue, now = clock.GetUtcNow() });
            check = await ReadCheckAsync(connection);
        }

        if (!CryptographicOperations.FixedTimeEquals(check, Keys.CheckValue))
        {
            throw new StartupException(
                "This database was made under another master key. Start with that key: nothing in the database can be read with this one.");
        }
    }

    private Task BringKeysAsync()
    {
        (var master, _) = MasterKeyFile.Read(Settings, mayCreate: false);
        Keys = new KeyRing(master, Settings.KeyGeneration);
        return Task.CompletedTask;
    }

    private static Task<byte[]?> ReadCheckAsync(NpgsqlConnection connection) =>
        connection.ExecuteScalarAsync<byte[]?>("select master_key_check from installation");
}
