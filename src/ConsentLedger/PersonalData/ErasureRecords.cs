using System.Runtime.CompilerServices;
using System.Text;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.PersonalData;

/// <summary>That the person was erased, and when; kept to show that it was done.</summary>
internal sealed class ErasureRecords(Sealer sealer) : IPersonalRecords
{
    public string Name => "erasures";

    public bool TellsOfHandling => true;

    public IReadOnlyList<string> Columns => ["erasure.reason"];

    public IReadOnlyList<string> Fields => ["requestedAt", "reason", "completedAt", "eventsErased"];

    public async IAsyncEnumerable<object> ReadAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const string Sql = "select requested_at, reason, completed_at, events_erased from erasure where subscriber_id = @Value";
        await foreach (var row in connection.QueryUnbufferedAsync<Row>(Sql, new { subscriber.Value }).WithCancellation(cancellation))
        {
            var reason = row.Reason is null ? null : Encoding.UTF8.GetString(sealer.Open(row.Reason, Erasure.ReasonPlace(subscriber)));
            yield return new ErasureRecord(row.RequestedAt, reason, row.CompletedAt, row.EventsErased);
        }
    }

    private sealed record Row(DateTimeOffset RequestedAt, byte[]? Reason, DateTimeOffset? CompletedAt, long EventsErased);
}

/// <summary>An erasure.</summary>
/// <param name="RequestedAt">When it was asked for.</param>
/// <param name="Reason">What was noted.</param>
/// <param name="CompletedAt">When it was done; null while a legal hold stands.</param>
/// <param name="EventsErased">How many events went.</param>
public sealed record ErasureRecord(DateTimeOffset RequestedAt, string? Reason, DateTimeOffset? CompletedAt, long EventsErased);
