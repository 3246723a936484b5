using System.Runtime.CompilerServices;
using ConsentLedger.PersonalData;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.Preferences;

/// <summary>Requests for the link to somebody's choices that nobody has looked into yet.</summary>
internal sealed class LinkRequestRecords(LinkRequests requests) : IPersonalRecords
{
    public string Name => "linkRequests";

    public IReadOnlyList<string> Columns => ["preference_request.details"];

    public IReadOnlyList<string> Fields => ["requestedAt", "address", "language"];

    public async IAsyncEnumerable<object> ReadAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const string Sql = $"select {LinkRequests.Columns} from preference_request where subscriber_id = @Value order by requested_at desc, request_id";
        await foreach (var row in connection.QueryUnbufferedAsync<LinkRequests.Row>(Sql, new { subscriber.Value }).WithCancellation(cancellation))
        {
            var said = requests.Open(row);
            yield return new LinkRequestRecord(row.RequestedAt, said.Typed, said.Language);
        }
    }

    public Task EraseAsync(NpgsqlConnection connection, SubscriberId subscriber, CancellationToken cancellation) =>
        connection.ExecuteAsync(new CommandDefinition(
            "delete from preference_request where subscriber_id = @Value", new { subscriber.Value }, cancellationToken: cancellation));
}

/// <summary>Somebody asked for the link.</summary>
internal sealed record LinkRequestRecord(DateTimeOffset RequestedAt, string? Address, string Language);
