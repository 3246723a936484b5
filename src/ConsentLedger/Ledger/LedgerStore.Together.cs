using System.Runtime.InteropServices;
using ConsentLedger.Database;
using Npgsql;

namespace ConsentLedger.Ledger;

/// <content>
/// Appends share commits: those that arrive while one is under way are committed together by the next, so that a
/// durable write costs less the more there are. One alone waits for nobody, and none waits for a lock that another needs:
/// what can't go together at once goes alone, and holds up nobody but who asked for it.
/// </content>
public sealed partial class LedgerStore
{
    private const int MaxCommits = 2;
    private const int MaxTogether = 64;
    private const int MaxWaiting = 8192;

    /// <inheritdoc />
    public ValueTask DisposeAsync() => appends.DisposeAsync();

    /// <summary>
    /// Writes these events in one transaction that commits before this returns: all of them are durable then. Where they
    /// can't go together, be it for what is the matter with one or for a lock that is not to be had at once, this returns
    /// while each is written alone; a commit whose answer was lost is found again by the events' ids.
    /// </summary>
    private async Task<IReadOnlyList<Task<Written>>> WriteTogetherAsync(IReadOnlyList<LedgerRow> rows)
    {
        try
        {
            return [.. (await WriteAsync(database.Appends, rows)).Select(Task.FromResult)];
        }
        catch (NpgsqlException)
        {
            return [.. rows.Select(WriteAloneAsync)];
        }
    }

    private async Task<Written> WriteAloneAsync(LedgerRow row) =>
        (await DatabaseResilience.Repeatable.ExecuteAsync(
            static async (state, _) => await WriteAsync(state.Service, [state.row]), (database.Service, row), CancellationToken.None))[0];

    private static async Task<Written[]> WriteAsync(NpgsqlDataSource database, IReadOnlyList<LedgerRow> rows)
    {
        var rounds = InRounds(rows);
        await using var batch = database.CreateBatch();
        foreach (var round in rounds)
        {
            var command = new NpgsqlBatchCommand(AppendSql);
            LedgerRow.AddTo(command.Parameters, [.. round.Select(n => rows[n])]);
            batch.BatchCommands.Add(command);
        }

        var written = new Written[rows.Count];
        await using var reader = await batch.ExecuteReaderAsync(CancellationToken.None);
        foreach (var round in rounds)
        {
            foreach (var n in round)
            {
                await reader.ReadAsync(CancellationToken.None);
                written[n] = new Written(reader.GetBoolean(0), reader.GetBoolean(1));
            }

            await reader.NextResultAsync(CancellationToken.None);
        }

        return written;
    }

    /// <summary>
    /// The rows by their numbers, parted so that no round has two of one subscriber, and ordered by subscriber: whoever
    /// locks several does it in one order, and nobody waits for another in a circle.
    /// </summary>
    private static int[][] InRounds(IReadOnlyList<LedgerRow> rows)
    {
        if (rows.Count == 1)
        {
            return [[0]];
        }

        var seen = new Dictionary<Guid, int>(rows.Count);
        return [.. Enumerable.Range(0, rows.Count)
            .OrderBy(n => rows[n].Event.SubscriberId.Value)
            .GroupBy(n => CollectionsMarshal.GetValueRefOrAddDefault(seen, rows[n].Event.SubscriberId.Value, out _)++)
            .Select(round => round.ToArray())];
    }

    /// <summary>What became of one row: whether it was not there yet, and whether the state follows from it.</summary>
    private readonly record struct Written(bool Appended, bool Projected);
}
