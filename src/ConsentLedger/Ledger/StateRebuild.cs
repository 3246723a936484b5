using ConsentLedger.Database;
using Npgsql;

namespace ConsentLedger.Ledger;

/// <summary>Recomputes the states from the history (<c>sql/rebuild_state.sql</c>) and mends what differs.</summary>
/// <param name="States">How many states there are.</param>
/// <param name="Mended">How many were missing or differed; 0 on a healthy database.</param>
/// <param name="Removed">How many had no history; 0 on a healthy database.</param>
public sealed record StateRebuild(long States, long Mended, long Removed)
{
    /// <summary>
    /// Runs it, in one transaction: all of it is durable when this returns, and none of it after a crash. Checks go on
    /// meanwhile; appends wait.
    /// </summary>
    public static async Task<StateRebuild> RunAsync(LedgerDatabase database, CancellationToken cancellation)
    {
        await using var connection = database.OpenAsOwner();
        await connection.OpenAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await using var command = new NpgsqlCommand(EmbeddedSql.Read("rebuild_state.sql"), connection, transaction) { CommandTimeout = 0 };
        StateRebuild rebuilt;
        await using (var reader = await command.ExecuteReaderAsync(cancellation))
        {
            // The lock comes first and returns no rows.
            while (!await reader.ReadAsync(cancellation))
            {
                await reader.NextResultAsync(cancellation);
            }

            rebuilt = new StateRebuild(reader.GetInt64(0), reader.GetInt64(1), reader.GetInt64(2));
        }

        await transaction.CommitAsync(cancellation);
        return rebuilt;
    }
}
