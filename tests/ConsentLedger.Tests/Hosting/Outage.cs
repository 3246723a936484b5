using ConsentLedger.Tests.Database;
using Npgsql;

namespace ConsentLedger.Tests.Hosting;

/// <summary>Takes one service's database away, and gives it back; the server and the other tests' databases stay.</summary>
internal static class Outage
{
    /// <summary>Nobody can connect any more, and whoever was connected is cut off.</summary>
    public static async Task CutDatabaseAsync(this TestService service, TestDatabase databases)
    {
        var name = Name(service);
        await databases.Server.ExecuteAsync($"alter database \"{name}\" with allow_connections false");
        await databases.Server.ExecuteAsync($"select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = '{name}'");
    }

    /// <summary>It is back.</summary>
    public static Task JoinDatabaseAsync(this TestService service, TestDatabase databases) =>
        databases.Server.ExecuteAsync($"alter database \"{Name(service)}\" with allow_connections true");

    private static string Name(TestService service) => new NpgsqlConnectionStringBuilder(service.ConnectionString).Database!;
}
