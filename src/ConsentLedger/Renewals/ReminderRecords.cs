using System.Runtime.CompilerServices;
using ConsentLedger.PersonalData;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.Renewals;

/// <summary>That the person was told that a consent runs out.</summary>
internal sealed class ReminderRecords(PurposeCatalogue purposes) : IPersonalRecords
{
    public string Name => "reminders";

    public IReadOnlyList<string> Columns => [];

    public IReadOnlyList<string> Fields => ["remindedAt", "purpose", "expiresAt"];

    public async IAsyncEnumerable<object> ReadAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const string Sql = "select purpose_id, expires_at, reminded_at from renewal_reminder where subscriber_id = @Value order by reminded_at desc, purpose_id";
        var keys = await purposes.KeysAsync(cancellation);
        await foreach (var row in connection.QueryUnbufferedAsync<Row>(Sql, new { subscriber.Value }).WithCancellation(cancellation))
        {
            yield return new ReminderRecord(row.RemindedAt, keys.Of(new PurposeId(row.PurposeId)), row.ExpiresAt);
        }
    }

    public Task EraseAsync(NpgsqlConnection connection, SubscriberId subscriber, CancellationToken cancellation) =>
        connection.ExecuteAsync(new CommandDefinition(
            "delete from renewal_reminder where subscriber_id = @Value", new { subscriber.Value }, cancellationToken: cancellation));

    private sealed record Row(int PurposeId, DateTimeOffset ExpiresAt, DateTimeOffset RemindedAt);
}

/// <summary>A reminder.</summary>
internal sealed record ReminderRecord(DateTimeOffset RemindedAt, string Purpose, DateTimeOffset ExpiresAt);
