using System.Collections.Concurrent;
using System.Reflection;
using ConsentLedger.Database;
using ConsentLedger.Tests.Hosting;
using Npgsql;
using Xunit.v3;

[assembly: ReturnLedgers]

namespace ConsentLedger.Tests.Hosting;

/// <summary>
/// A migrated, empty ledger that one test has to itself, lent to another one after it. A database and the ten connections
/// of a service cost a second of processor to make, and next to nothing to empty and keep.
/// </summary>
/// <remarks>
/// It goes on to another test only while it is as it was made: whoever changed its schema, cut a connection, left something
/// running or grew it spoiled it, and it is given up.
/// </remarks>
internal sealed class LentLedger : IAsyncDisposable
{
    /// <summary>Everything but rows, as far as a test could change it, and which migrations are applied.</summary>
    private const string Fingerprint = """
        select concat_ws(' ',
            (select sum(xmin::text::bigint) from pg_class), (select count(*) from pg_class), (select sum(xmin::text::bigint) from pg_attribute),
            (select sum(xmin::text::bigint) from pg_proc), (select sum(xmin::text::bigint) from pg_trigger),
            (select sum(xmin::text::bigint) from pg_constraint), (select sum(xmin::text::bigint) from pg_type),
            (select sum(xmin::text::bigint) from pg_namespace where nspname not like 'pg\_%temp\_%'),
            (select count(*) from pg_db_role_setting where setdatabase = (select oid from pg_database where datname = current_database())),
            (select md5(string_agg(scriptname, ' ' order by scriptname)) from consentledger.schema_version),
            (select concat(datallowconn, datconnlimit) from pg_database where datname = current_database()),
            (select sessions_killed from pg_stat_database where datname = current_database()))
        """;

    /// <summary>Whether somebody else is at work in it, or holds on to something there.</summary>
    private const string Busy = """
        select exists (select from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() and state <> 'idle')
            or exists (select from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database()))
        """;

    /// <summary>Past this a table that was emptied is slow to look through.</summary>
    private const long MostGrowth = 4 << 20;

    private static readonly ConcurrentDictionary<string, ConcurrentBag<LentLedger>> LentTo = [];

    private readonly string fingerprint;
    private readonly long size;
    private readonly string emptying;
    private readonly LedgerDatabase database;
    private readonly ConcurrentBag<LentLedger> rested;

    /// <summary>The test, and the services it runs on it.</summary>
    private int users = 1;

    private LentLedger(ConcurrentBag<LentLedger> rested, string connectionString, NpgsqlDataSource superuser, string fingerprint, long size, string emptying)
    {
        this.rested = rested;
        ConnectionString = connectionString;
        Superuser = superuser;
        this.fingerprint = fingerprint;
        this.size = size;
        this.emptying = emptying;
        database = new LedgerDatabase(connectionString);
    }

    /// <summary>Connects as the server's superuser.</summary>
    public string ConnectionString { get; }

    /// <summary>As tests connect, past every grant.</summary>
    public NpgsqlDataSource Superuser { get; }

    /// <summary>Lends the current test a ledger that nobody else has.</summary>
    /// <param name="rested">Those that tests have given back.</param>
    /// <param name="create">Makes another one, and says how to connect to it.</param>
    public static async Task<LentLedger> LendAsync(ConcurrentBag<LentLedger> rested, Func<Task<string>> create)
    {
        LentLedger? lent;
        while (rested.TryTake(out lent) && !await lent.TryEmptyAsync())
        {
            await lent.DisposeAsync();
        }

        lent ??= await CreateAsync(rested, await create());
        LentTo.GetOrAdd(TestContext.Current.Test!.UniqueID, _ => []).Add(lent);
        return lent;
    }

    /// <summary>Takes back what a test was lent that has ended.</summary>
    public static void Return(string test)
    {
        if (LentTo.TryRemove(test, out var lent))
        {
            foreach (var ledger in lent)
            {
                ledger.Leave();
            }
        }
    }

    /// <summary>A service begins to use it, by connections that are kept, and as if the database had never been away.</summary>
    public LedgerDatabase Enter()
    {
        Interlocked.Increment(ref users);
        return new LedgerDatabase(database);
    }

    /// <summary>A service, or the test, has done with it; after the last one it is free for another test.</summary>
    public void Leave()
    {
        if (Interlocked.Decrement(ref users) == 0)
        {
            users = 1;
            rested.Add(this);
        }
    }

    /// <inheritdoc />
    public async ValueTask DisposeAsync()
    {
        await database.DisposeAsync();
        await Superuser.DisposeAsync();
    }

    private static async Task<LentLedger> CreateAsync(ConcurrentBag<LentLedger> rested, string connectionString)
    {
        var superuser = TestService.OpenSuperuser(connectionString);
        await using var connection = await superuser.OpenConnectionAsync();
        var emptying = (string)(await AskAsync(connection, """
            select 'set session_replication_role = replica; ' || string_agg(format('delete from %s; ', oid::regclass), '' order by oid) filter (where relkind = 'r')
                || coalesce(string_agg(format('select setval(%L, 1, false); ', oid::regclass), '') filter (where relkind = 'S'), '')
                || 'reset session_replication_role'
            from pg_class
            where relnamespace = 'consentledger'::regnamespace and relname <> 'schema_version'
            """))!;
        return new LentLedger(rested, connectionString, superuser, (string)(await AskAsync(connection, Fingerprint))!, await SizeAsync(connection), emptying);
    }

    private static async Task<object?> AskAsync(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteScalarAsync();
    }

    private static async Task<long> SizeAsync(NpgsqlConnection connection) => (long)(await AskAsync(connection, "select pg_database_size(current_database())"))!;

    private async Task<bool> TryEmptyAsync()
    {
        try
        {
            await using var connection = await Superuser.OpenConnectionAsync();
            for (var tries = 0; (bool)(await AskAsync(connection, Busy))!; tries++)
            {
                if (tries == 10)
                {
                    return false;
                }

                // What was closed just now may not have ended yet.
                await Task.Delay(20);
            }

            if ((string)(await AskAsync(connection, Fingerprint))! != fingerprint || await SizeAsync(connection) > size + MostGrowth)
            {
                return false;
            }

            await AskAsync(connection, emptying);
            return true;
        }
        catch (NpgsqlException)
        {
            return false;
        }
    }
}

/// <summary>After each test takes back the ledgers it was lent.</summary>
[AttributeUsage(AttributeTargets.Assembly)]
public sealed class ReturnLedgersAttribute : BeforeAfterTestAttribute
{
    /// <inheritdoc />
    public override void After(MethodInfo methodUnderTest, IXunitTest test) => LentLedger.Return(test.UniqueID);
}
