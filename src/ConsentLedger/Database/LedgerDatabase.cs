using Npgsql;
using Polly;

namespace ConsentLedger.Database;

/// <summary>
/// The database by role. Each data source connects with the one login of the connection string and takes its role as
/// it connects, so no session ever runs with more than it needs (DESIGN: append-only by grant).
/// </summary>
public sealed class LedgerDatabase : IAsyncDisposable
{
    /// <summary>The schema everything lives in.</summary>
    public const string Schema = "consentledger";

    /// <summary>
    /// Checks are index look-ups by primary key, whatever the statistics say: a table that grew by millions of rows
    /// since it was last analysed must not turn them into scans.
    /// </summary>
    private const string IndexOnly =
        "-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c plan_cache_mode=force_generic_plan -c jit=off";

    /// <summary>
    /// A commit that many share gives up on a lock that it does not get at once: longer than another append takes, and
    /// shorter than a purge's batch.
    /// </summary>
    private const string AtOnce = "-c lock_timeout=50ms";

    /// <summary>A batch is of a thousand: a plan that was made for a few would compare each with each.</summary>
    private const string ForManyAtOnce = "-c plan_cache_mode=force_custom_plan -c jit=off";

    private readonly string connectionString;
    private readonly bool ownServer;
    private readonly NpgsqlDataSource owner;
    private readonly NpgsqlDataSource session;
    private readonly NpgsqlDataSource login;

    /// <summary>Prepares the data sources; nothing connects yet.</summary>
    /// <param name="connectionString">Where the database is, and the one login.</param>
    /// <param name="ownServer">True if the server is this installation's own, and runs on this machine.</param>
    public LedgerDatabase(string connectionString, bool ownServer = false)
    {
        this.ownServer = ownServer;
        this.connectionString = connectionString;
        Service = Open("service", ForRole("consentledger_service", connections: 64));
        Checks = Open("checks", ForRole("consentledger_service", connections: 8, IndexOnly));
        Appends = Open("appends", ForRole("consentledger_service", connections: 4, AtOnce));
        Purge = Open("purge", ForRole("consentledger_purge", connections: 4));
        owner = Open("owner", Unpooled("consentledger_owner"));
        session = Open("session", Unpooled("consentledger_service"));
        login = Open("login", Unpooled(role: null));
        (ShortWork, LongReads) = BehindOneCircuit();
    }

    /// <summary>The connections of another one, which stay that one's, behind a circuit that has seen no failure.</summary>
    public LedgerDatabase(LedgerDatabase other)
    {
        (ownServer, connectionString) = (other.ownServer, other.connectionString);
        (Service, Checks, Appends, Purge) = (other.Service, other.Checks, other.Appends, other.Purge);
        (owner, session, login) = (other.owner, other.session, other.login);
        (ShortWork, LongReads) = BehindOneCircuit();
    }

    /// <summary>Runs as consentledger_service: may select and insert on the ledger, and nothing else there.</summary>
    public NpgsqlDataSource Service { get; }

    /// <summary>As <see cref="Service"/>, for checks alone: few connections, and plans that never change.</summary>
    public NpgsqlDataSource Checks { get; }

    /// <summary>As <see cref="Service"/>, for appends that share a commit: few connections, and no long wait for a lock.</summary>
    public NpgsqlDataSource Appends { get; }

    /// <summary>Runs as consentledger_purge: the only one that may delete history.</summary>
    public NpgsqlDataSource Purge { get; }

    /// <summary>
    /// For what many callers wait for and takes milliseconds: repeated where it may be, given up after three seconds, and
    /// refused at once while the database is known to be away. What it runs may run twice.
    /// </summary>
    public ResiliencePipeline ShortWork { get; }

    /// <summary>As <see cref="ShortWork"/>, for a read of thousands of rows; one circuit serves both.</summary>
    public ResiliencePipeline LongReads { get; }

    /// <summary>A single connection as the owner, for migrations and rebuilding; it is not pooled.</summary>
    public NpgsqlConnection OpenAsOwner() => owner.CreateConnection();

    /// <summary>A single connection as the service, for what holds a session: advisory locks. It is not pooled.</summary>
    public NpgsqlConnection OpenSession() => session.CreateConnection();

    /// <summary>
    /// A single connection as the purge role, which deletes under the advisory lock that it holds itself: if it dies, the
    /// lock and what was under way go together. It is not pooled, and waits for a statement however long that takes: nobody
    /// waits for it, and a statement that is given up would only be begun again.
    /// </summary>
    public NpgsqlConnection OpenPurgeSession() =>
        new(new NpgsqlConnectionStringBuilder(Unpooled("consentledger_purge", ForManyAtOnce)) { CommandTimeout = 0 }.ConnectionString);

    /// <summary>A single connection as the login itself, before there are roles. It is not pooled.</summary>
    public NpgsqlConnection OpenAsLogin() => login.CreateConnection();

    /// <summary>
    /// Lets the server work for this session after everyone else, so that a check does not wait for its turn; where the
    /// server is not this installation's own, nothing happens.
    /// </summary>
    public void GiveWay(NpgsqlConnection opened)
    {
        if (ownServer)
        {
            BackgroundThreads.GiveWay(opened.ProcessID);
        }
    }

    /// <inheritdoc />
    public async ValueTask DisposeAsync()
    {
        await Service.DisposeAsync();
        await Checks.DisposeAsync();
        await Appends.DisposeAsync();
        await Purge.DisposeAsync();
        await owner.DisposeAsync();
        await session.DisposeAsync();
        await login.DisposeAsync();
    }

    private static (ResiliencePipeline ShortWork, ResiliencePipeline LongReads) BehindOneCircuit()
    {
        var circuit = DatabaseResilience.NewCircuit();
        return (DatabaseResilience.Behind(circuit, TimeSpan.FromSeconds(3)), DatabaseResilience.Behind(circuit, TimeSpan.FromSeconds(30)));
    }

    // Metrics are labelled with the pool's name, which is otherwise its connection string.
    private static NpgsqlDataSource Open(string name, string connectionString) =>
        new NpgsqlDataSourceBuilder(connectionString) { Name = name }.Build();

    internal string Unpooled(string? role, string? more = null) =>
        new NpgsqlConnectionStringBuilder(ForRole(role, connections: 1, more)) { Pooling = false }.ConnectionString;

    // Times are UTC and intervals ISO 8601 on every session, whatever the server's or the login's settings say.
    private string ForRole(string? role, int connections, string? more = null)
    {
        var settings = new NpgsqlConnectionStringBuilder(connectionString);
        var options = $"-c search_path={Schema} -c timezone=UTC -c intervalstyle=iso_8601" + (role is null ? string.Empty : $" -c role={role}")
            + (more is null ? string.Empty : $" {more}");
        settings.Options = settings.Options is { Length: > 0 } given ? $"{given} {options}" : options;
        settings.ApplicationName ??= "consentledger";
        settings.MaxPoolSize = connections;

        // Statements are few and constant, so all of them end up prepared. Nothing changes a session's state, so
        // there is nothing to reset when a connection goes back to the pool.
        settings.MaxAutoPrepare = 64;
        settings.NoResetOnClose = true;

        // A database that does not answer is away: better 503 now than a queue of callers.
        settings.Timeout = Math.Min(settings.Timeout, 5);

        // Errors reach the log; their details may repeat a parameter, and a parameter may be an address.
        settings.IncludeErrorDetail = false;
        return settings.ConnectionString;
    }
}
