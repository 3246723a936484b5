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
        LedgerRow.AddTo(command.Parameters, [LedgerRow.Of(@event, address, sealer)]);
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        await reader.ReadAsync(cancellation);
        var appended = reader.GetBoolean(0);
        if (appended)
        {
            metrics.Appended(@event.Kind, 1);
        }

        return appended;
    }
}
