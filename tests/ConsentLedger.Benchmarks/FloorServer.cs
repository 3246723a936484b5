using ConsentLedger.Database;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Npgsql;

namespace ConsentLedger.Benchmarks;

/// <summary>
/// The floor: the least a service on the same framework and database can do. One prepared primary-key select a request;
/// no key, no token, no body to read.
/// </summary>
internal static class FloorServer
{
    public static async Task<int> RunAsync(string connectionString, string url)
    {
        await using var source = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(connectionString)
        {
            Options = $"-c search_path={LedgerDatabase.Schema}",
            MaxAutoPrepare = 8,
            NoResetOnClose = true,
            MaxPoolSize = 64,
        }.ConnectionString);
        var builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls(url);
        await using var app = builder.Build();
        app.MapGet("/{id:guid}", async (Guid id) =>
        {
            await using var command = source.CreateCommand(
                "select kind::text, basis::text, occurred_at, expires_at, event_id from consent_state where subscriber_id = $1 and purpose_id = 1");
            command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = id });
            await using var reader = await command.ExecuteReaderAsync();
            return await reader.ReadAsync()
                ? TypedResults.Ok(new Row(reader.GetString(0), reader.GetString(1), reader.GetDateTime(2), reader.GetGuid(4)))
                : null;
        });
        await app.RunAsync();
        return 0;
    }

    internal sealed record Row(string Kind, string Basis, DateTime Since, Guid EventId);
}
