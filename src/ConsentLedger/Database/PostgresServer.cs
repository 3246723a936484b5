using System.Diagnostics.CodeAnalysis;
using Npgsql;
using Polly;
using Polly.Retry;

namespace ConsentLedger.Database;

/// <summary>
/// Where PostgreSQL comes from. A configured connection string names the server; without one, a private cluster is kept
/// under the data directory, run with the newest programs on the machine, or else with downloaded ones.
/// </summary>
/// <remarks>
/// <para>
/// Who stops the cluster: the last one out. Every process that uses it holds a <see cref="ClusterLease"/>, which the operating
/// system takes back when the process dies. Whoever is done gives its own lease back and, when no other is held, stops the
/// cluster. Who started it does not matter. A killed process leaves the cluster running; the next one joins it, and stops it
/// at its end. Starting, joining and stopping happen one at a time, under the <see cref="DataDirectoryLock"/>.
/// </para>
/// <para>
/// A cluster is only ever opened with the major version that made it. An upgrade of PostgreSQL on the machine therefore
/// changes nothing for a cluster as long as its old programs are there too, and is refused with a clear line when they are not.
/// </para>
/// </remarks>
public sealed class PostgresServer : IAsyncDisposable
{
    /// <summary>The database of the ledger in a private cluster.</summary>
    public const string LedgerDatabase = "consentledger";

    private readonly Embedded? embedded;
    private bool disposed;

    private PostgresServer(string connectionString, string description, Embedded? embedded)
    {
        ConnectionString = connectionString;
        Description = description;
        this.embedded = embedded;
    }

    /// <summary>How to connect to the ledger's database; in a private cluster as the superuser. Holds a password: never logged.</summary>
    public string ConnectionString { get; }

    /// <summary>One line for a person, without secrets.</summary>
    public string Description { get; }

    /// <summary>Whether this is a private cluster rather than a configured server.</summary>
    public bool IsEmbedded => embedded is not null;

    /// <summary>Whether the private cluster's server process is alive. A configured server is not ours to watch: always true.</summary>
    public bool IsRunning => embedded?.Cluster.IsRunning ?? true;

    /// <summary>Reaches the configured server, or joins, starts or makes the private cluster.</summary>
    /// <param name="options">The settings.</param>
    /// <param name="clock">The clock that waiting is measured by.</param>
    /// <param name="cancellationToken">Gives up; a cluster that nobody uses is stopped again.</param>
    /// <exception cref="StartupException">No server can be had; the message says why and what to do.</exception>
    public static async Task<PostgresServer> StartAsync(PostgresOptions options, TimeProvider clock, CancellationToken cancellationToken) =>
        string.IsNullOrWhiteSpace(options.ConnectionString)
            ? await StartEmbeddedAsync(options, clock, cancellationToken)
            : await ReachAsync(options.ConnectionString, options.Patience, clock, cancellationToken);

    /// <summary>
    /// Starts the private cluster again after its server process died, on the port it had. Does nothing when it is running.
    /// What was committed is there: PostgreSQL recovers it from its log.
    /// </summary>
    /// <exception cref="StartupException">It does not start.</exception>
    public async Task RestartAsync(CancellationToken cancellationToken)
    {
        if (embedded is { } own)
        {
            using var alone = await DataDirectoryLock.TakeAsync(own.DataDirectory, own.Clock, cancellationToken);
            if (!disposed)
            {
                await own.Cluster.JoinOrStartAsync(own.Port, own.Clock, cancellationToken);
            }
        }
    }

    /// <summary>Gives up the use of the private cluster, and stops it if this was the last one.</summary>
    public async ValueTask DisposeAsync()
    {
        if (embedded is { } own && !Interlocked.Exchange(ref disposed, true))
        {
            using var alone = Directory.Exists(own.DataDirectory)
                ? await DataDirectoryLock.TakeAsync(own.DataDirectory, own.Clock, CancellationToken.None)
                : null;
            await LeaveAsync(own.DataDirectory, own.Lease, own.Cluster);
        }
    }

    private static async Task<PostgresServer> ReachAsync(
        string connectionString,
        TimeSpan patience,
        TimeProvider clock,
        CancellationToken cancellationToken)
    {
        NpgsqlConnectionStringBuilder target;
        try
        {
            target = new NpgsqlConnectionStringBuilder(connectionString);
        }
        catch (Exception unreadable) when (unreadable is ArgumentException or FormatException)
        {
            // Its message may quote a part of the password.
            throw new StartupException("ConnectionStrings:Ledger is not a connection string of PostgreSQL, such as Host=db;Username=ledger;Password=…;Database=ledger.");
        }

        var began = clock.GetTimestamp();
        var reaching = new ResiliencePipelineBuilder { TimeProvider = clock }
            .AddRetry(new RetryStrategyOptions
            {
                ShouldHandle = failed => ValueTask.FromResult(
                    failed.Outcome.Exception is NpgsqlException { IsTransient: true } && clock.GetElapsedTime(began) < patience),
                MaxRetryAttempts = int.MaxValue,
                Delay = TimeSpan.FromMilliseconds(250),
            })
            .Build();
        var place = $"{target.Host}:{target.Port}";
        try
        {
            await using var connection = new NpgsqlConnection(
                new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false }.ConnectionString);
            await reaching.ExecuteAsync(async token => await connection.OpenAsync(token), cancellationToken);
            var version = connection.PostgreSqlVersion;
            return version.Major >= PostgresBinaries.OldestMajor
                ? new PostgresServer(connectionString, $"PostgreSQL {version.Major} ({place}, database {target.Database})", null)
                : throw new StartupException(
                    $"The server at {place} is PostgreSQL {version.Major}; ConsentLedger needs {PostgresBinaries.OldestMajor} or newer.");
        }
        catch (PostgresException refused)
        {
            throw new StartupException($"PostgreSQL at {place} refused the connection: {refused.MessageText} (ConnectionStrings:Ledger).", refused);
        }
        catch (Exception unreachable) when (unreachable is NpgsqlException or TimeoutException or System.Net.Sockets.SocketException)
        {
            var reason = (unreachable.InnerException ?? unreachable).Message.ReplaceLineEndings(" ");
            throw new StartupException($"PostgreSQL at {place} cannot be reached: {reason} (ConnectionStrings:Ledger).", unreachable);
        }
    }

    [SuppressMessage("Reliability", "CA2000", Justification = "The lease goes to the server, or back in LeaveAsync.")]
    private static async Task<PostgresServer> StartEmbeddedAsync(PostgresOptions options, TimeProvider clock, CancellationToken cancellationToken)
    {
        var dataDirectory = Path.TrimEndingDirectorySeparator(Path.GetFullPath(options.DataDirectory));
        try
        {
            MakePrivate(dataDirectory);
            using var alone = await DataDirectoryLock.TakeAsync(dataDirectory, clock, cancellationToken);
            var (cluster, name) = await FindOrCreateAsync(dataDirectory, options, clock, cancellationToken);

            // Who uses it already has been told its port; if its server died just now, it must come back there.
            int? promised = ClusterLease.AnyHeld(dataDirectory) ? PostgresSettings.ReadPort(cluster.Folder) : null;
            var lease = ClusterLease.Take(dataDirectory);
            try
            {
                var port = await cluster.JoinOrStartAsync(promised, clock, cancellationToken);
                var connectionString = await OpenLedgerDatabaseAsync(cluster, port, cancellationToken);
                var description = $"PostgreSQL {cluster.Binaries.Major} (embedded, {Path.Combine(dataDirectory, name)}, port {port})";
                return new PostgresServer(connectionString, description, new Embedded(dataDirectory, cluster, lease, port, clock));
            }
            catch
            {
                await LeaveAsync(dataDirectory, lease, cluster);
                throw;
            }
        }
        catch (Exception denied) when (denied is UnauthorizedAccessException or IOException)
        {
            throw new StartupException($"The data directory {dataDirectory} cannot be used: {denied.Message}", denied);
        }
    }

    private static async Task<(PostgresCluster Cluster, string Name)> FindOrCreateAsync(
        string dataDirectory,
        PostgresOptions options,
        TimeProvider clock,
        CancellationToken cancellationToken)
    {
        var account = await ServerAccount.FindAsync(cancellationToken);
        var home = await ClusterHome.PrepareAsync(dataDirectory, account, cancellationToken);
        var searched = options.BinaryFolders ?? PostgresBinaries.FoldersOnThisMachine();
        var installed = await PostgresBinaries.FindAsync([.. searched, .. PostgresDownload.FoldersIn(home)], cancellationToken);
        if (ClusterHome.FindCluster(dataDirectory) is var (folder, existing, major))
        {
            var own = PostgresBinaries.Choose(installed, major) ?? throw new StartupException(
                $"The database in {Path.Combine(dataDirectory, existing)} was made by PostgreSQL {major}, which is not installed " +
                $"({Describe(installed)}). Install PostgreSQL {major}, or move that folder away and restore a dump into a new one.");
            return (new PostgresCluster(folder, PasswordFile(existing), own, account, options.Durable), existing);
        }

        if (PostgresBinaries.Choose(installed, null) is not { } binaries)
        {
            options.Progress?.Invoke($"PostgreSQL is not installed here: downloading version {PostgresDownload.Version}, once.");
            await PostgresDownload.RunAsync(home, null, cancellationToken);
            binaries = PostgresBinaries.Choose(await PostgresBinaries.FindAsync(PostgresDownload.FoldersIn(home), cancellationToken), null)
                ?? throw new StartupException(
                    $"The downloaded programs in {home} do not run here. Install PostgreSQL {PostgresBinaries.OldestMajor} or newer, or set ConnectionStrings:Ledger.");
        }

        var name = $"postgres-{binaries.Major}";
        options.Progress?.Invoke($"Making a database with PostgreSQL {binaries.Major} in {Path.Combine(dataDirectory, name)}.");
        var cluster = new PostgresCluster(Path.Combine(home, name), PasswordFile(name), binaries, account, options.Durable);
        await ClusterHome.MakeRoomAsync(dataDirectory, cluster, clock);
        await cluster.CreateAsync(cancellationToken);
        return (cluster, name);

        string PasswordFile(string cluster) => Path.Combine(dataDirectory, cluster + ".password");
    }

    private static string Describe(IReadOnlyList<PostgresBinaries> installed) => installed.Count == 0
        ? "no version is"
        : "installed: " + string.Join(", ", installed.Select(binaries => binaries.Major).Distinct());

    /// <summary>Proves that the server is ours, by its password, and that the ledger's database is there.</summary>
    private static async Task<string> OpenLedgerDatabaseAsync(PostgresCluster cluster, int port, CancellationToken cancellationToken)
    {
        var target = new NpgsqlConnectionStringBuilder
        {
            Host = "127.0.0.1",
            Port = port,
            Username = PostgresCluster.Superuser,
            Password = cluster.ReadPassword(),
            Database = LedgerDatabase,
            SslMode = SslMode.Disable,
            GssEncryptionMode = GssEncryptionMode.Disable,
        };
        try
        {
            await using var ledger = Unpooled(LedgerDatabase);
            await ledger.OpenAsync(cancellationToken);
        }
        catch (PostgresException missing) when (missing.SqlState == PostgresErrorCodes.InvalidCatalogName)
        {
            await using var maintenance = Unpooled("postgres");
            await maintenance.OpenAsync(cancellationToken);
            await using var create = new NpgsqlCommand($"create database {LedgerDatabase}", maintenance);
            await create.ExecuteNonQueryAsync(cancellationToken);
        }
        catch (NpgsqlException refused)
        {
            throw new StartupException($"The database in {cluster.Folder} refused us: {refused.Message.ReplaceLineEndings(" ")}", refused);
        }

        return target.ConnectionString;

        NpgsqlConnection Unpooled(string database) =>
            new(new NpgsqlConnectionStringBuilder(target.ConnectionString) { Database = database, Pooling = false }.ConnectionString);
    }

    private static async Task LeaveAsync(string dataDirectory, ClusterLease lease, PostgresCluster cluster)
    {
        lease.Dispose();
        if (!ClusterLease.AnyHeld(dataDirectory))
        {
            await cluster.StopAsync();
        }
    }

    private static void MakePrivate(string dataDirectory)
    {
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(dataDirectory);
        }
        else
        {
            Directory.CreateDirectory(dataDirectory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
    }

    private sealed record Embedded(string DataDirectory, PostgresCluster Cluster, ClusterLease Lease, int Port, TimeProvider Clock);
}
