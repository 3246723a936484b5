using ConsentLedger.Database;
using Npgsql;

namespace ConsentLedger.Tests.Database;

/// <summary>One statement on a connection of its own, so that no pool outlives a stopped server.</summary>
internal static class ServerQueries
{
    public static Task ExecuteAsync(this PostgresServer server, string sql) => server.ScalarAsync(sql);

    public static Task<object?> ScalarAsync(this PostgresServer server, string sql) => ScalarAsync(server.ConnectionString, sql);

    public static async Task<object?> ScalarAsync(string connectionString, string sql)
    {
        await using var connection = new NpgsqlConnection(
            new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false }.ConnectionString);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var command = new NpgsqlCommand(sql, connection);
        return await command.ExecuteScalarAsync(TestContext.Current.CancellationToken);
    }
}
