using System.Runtime.CompilerServices;
using ConsentLedger.PersonalData;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.Feedback;

/// <summary>Messages that came back for now; too many of them suppress the address.</summary>
internal sealed class BounceRecords : IPersonalRecords
{
    public string Name => "softBounces";

    public IReadOnlyList<string> Columns => [];

    public IReadOnlyList<string> Fields => ["occurredAt", "cleared"];

    public async IAsyncEnumerable<object> ReadAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const string Sql = "select occurred_at, cleared from soft_bounce where subscriber_id = @Value order by occurred_at desc, report_id";
        await foreach (var row in connection.QueryUnbufferedAsync<BounceRecord>(Sql, new { subscriber.Value }).WithCancellation(cancellation))
        {
            yield return row;
        }
    }

    public Task EraseAsync(NpgsqlConnection connection, SubscriberId subscriber, CancellationToken cancellation) =>
        connection.ExecuteAsync(new CommandDefinition(
            "delete from soft_bounce where subscriber_id = @Value", new { subscriber.Value }, cancellationToken: cancellation));
}

/// <summary>A message that came back.</summary>
internal sealed record BounceRecord(DateTimeOffset OccurredAt, bool Cleared);
