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
    /// How a subscriber stands with every purpose, locked until the connection's transaction ends: whoever would write to
    /// them waits.
    /// </summary>
    public static async Task<IReadOnlyList<ConsentState>> LockStatesAsync(
        NpgsqlConnection connection, SubscriberId subscriber, CancellationToken cancellation)
    {
        const string Sql = """
            select purpose_id, kind::text, basis::text, occurred_at, expires_at, event_id
            from consent_state
            where subscriber_id = $1
            order by purpose_id
            for update
            """;
        await using var command = new NpgsqlCommand(Sql, connection);
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = subscriber.Value });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var states = new List<ConsentState>();
        while (await reader.ReadAsync(cancellation))
        {
            states.Add(ReadState(reader));
        }

        return states;
    }
}
