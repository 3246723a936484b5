using ConsentLedger.Tests.Hosting;
using Npgsql;

namespace ConsentLedger.Tests.Retention;

/// <summary>Stops, by a trigger, whoever writes to a table until it is opened: inside the transaction, with its locks held.</summary>
internal sealed class Gate : IAsyncDisposable
{
    private const int Key = 4711;
    private readonly TestService service;
    private readonly NpgsqlConnection keeper;
    private readonly string table;

    private Gate(TestService service, NpgsqlConnection keeper, string table)
    {
        this.service = service;
        this.keeper = keeper;
        this.table = table;
    }

    public static async Task<Gate> CloseAsync(TestService service, string table, string operation)
    {
        var keeper = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(service.ConnectionString) { Pooling = false }.ConnectionString);
        await keeper.OpenAsync();
        await using (var command = new NpgsqlCommand($"select pg_advisory_lock({Key})", keeper))
        {
            await command.ExecuteNonQueryAsync();
        }

        await service.SqlAsync(
            $"""
            create function gate() returns trigger language plpgsql as $$ begin perform pg_advisory_xact_lock_shared({Key}); return null; end $$;
            create trigger gate after {operation} on {table} for each row execute function gate();
            """);
        return new Gate(service, keeper, table);
    }

    /// <summary>
    /// Waits until somebody stands before it, and stays: an append that shares a commit gives up after 50 milliseconds, and
    /// comes again by itself.
    /// </summary>
    public async Task ReachedAsync()
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        while (await service.CountAsync(
            "pg_locks", $"locktype = 'advisory' and not granted and objid = {Key} and waitstart < clock_timestamp() - interval '0.3 seconds' and database = (select oid from pg_database where datname = current_database())") == 0)
        {
            await Task.Delay(5, deadline.Token);
        }
    }

    public async Task OpenAsync()
    {
        await using var command = new NpgsqlCommand($"select pg_advisory_unlock_all()", keeper);
        await command.ExecuteNonQueryAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await keeper.DisposeAsync();
        await service.SqlAsync($"drop trigger gate on {table}; drop function gate()");
    }
}
