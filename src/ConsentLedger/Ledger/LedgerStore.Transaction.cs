using ConsentLedger.Subscribers;
using Npgsql;

namespace ConsentLedger.Ledger;

public sealed partial class LedgerStore
{
    /// <summary>
    /// Appends an event in the connection's transaction: it is durable, with whatever else the transaction writes, when
    /// that commits, and not there when it does not. True if it was appended; false if its id was there already.
    /// </summary>
    public async Task<bool> AppendAsync(NpgsqlConnection connection, ConsentEvent @event, Address? address, CancellationToken cancellation)
    {
        await using var command = new NpgsqlCommand(AppendSql, connection);
        LedgerRow.AddTo(command.Parameters, [LedgerRow.Of(@event, address, sealer, subscribers)]);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        await reader.ReadAsync(cancellation);
        var appended = reader.GetBoolean(0);
        if (appended)
        {
            metrics.Appended(@event.Kind, 1);
        }

        return appended;
    }

    /// <summary>
    /// How these stand with every purpose, locked until the connection's transaction ends: whoever would write to them waits.
    /// In one order, in which everybody takes them who needs more than one.
    /// </summary>
    public static async Task<ILookup<SubscriberId, ConsentState>> LockStatesAsync(
        NpgsqlConnection connection, IEnumerable<SubscriberId> subscribers, CancellationToken cancellation)
    {
        const string Sql = """
            select purpose_id, kind::text, basis::text, occurred_at, expires_at, event_id, subscriber_id
            from consent_state
            where subscriber_id = any ($1)
            order by subscriber_id, purpose_id
            for update
            """;
        await using var command = new NpgsqlCommand(Sql, connection);
        command.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = [.. subscribers.Select(subscriber => subscriber.Value)] });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var states = new List<(SubscriberId Subscriber, ConsentState State)>();
        while (await reader.ReadAsync(cancellation))
        {
            states.Add((new SubscriberId(reader.GetGuid(6)), ReadState(reader)));
        }

        return states.ToLookup(row => row.Subscriber, row => row.State);
    }
}
