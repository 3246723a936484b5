using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;
using ConsentLedger.Database;
using Npgsql;

namespace ConsentLedger.Ledger;

/// <content>
/// Appends share commits: those that arrive while one is under way are committed together by the next, so that a
/// durable write costs less the more there are, and one alone waits for nobody.
/// </content>
public sealed partial class LedgerStore
{
    private const int MaxCommits = 2;
    private const int MaxTogether = 64;
    private const int MaxWaiting = 8192;

    /// <inheritdoc />
    public ValueTask DisposeAsync() => appends.DisposeAsync();

    /// <summary>
    /// Writes these events, each by the append statement, in one transaction that commits before this returns: all of
    /// them are durable then. Where they can't go together each goes alone, so that what is the matter with one is no
    /// other's; a commit whose answer was lost is found again by the events' ids.
    /// </summary>
    private async Task<IReadOnlyList<Written>> WriteTogetherAsync(IReadOnlyList<LedgerRow> rows)
    {
        try
        {
            return await WriteAsync(rows);
        }
        catch (NpgsqlException) when (rows.Count > 1)
        {
            return await Task.WhenAll(rows.Select(WriteAloneAsync));
        }
    }

    private async Task<Written> WriteAloneAsync(LedgerRow row)
    {
        try
        {
            return (await WriteAsync([row]))[0];
        }
        catch (NpgsqlException fault)
        {
            return new Written(false, false, ExceptionDispatchInfo.Capture(fault));
        }
    }

    private async Task<IReadOnlyList<Written>> WriteAsync(IReadOnlyList<LedgerRow> rows)
    {
        var rounds = InRounds(rows);
        return await DatabaseResilience.Repeatable.ExecuteAsync(
            static async (state, _) =>
            {
                await using var batch = state.database.CreateBatch();
                foreach (var round in state.rounds)
                {
                    var command = new NpgsqlBatchCommand(AppendSql);
                    LedgerRow.AddTo(command.Parameters, [.. round.Select(n => state.rows[n])]);
                    batch.BatchCommands.Add(command);
                }

                var written = new Written[state.rows.Count];
                await using var reader = await batch.ExecuteReaderAsync(CancellationToken.None);
                foreach (var round in state.rounds)
                {
                    foreach (var n in round)
                    {
                        await reader.ReadAsync(CancellationToken.None);
                        written[n] = new Written(reader.GetBoolean(0), reader.GetBoolean(1), null);
                    }

                    await reader.NextResultAsync(CancellationToken.None);
                }

                return written;
            },
            (database, rows, rounds),
            CancellationToken.None);
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

    /// <summary>What became of one row: whether it was not there yet, whether the state follows from it, what went wrong.</summary>
    private readonly record struct Written(bool Appended, bool Projected, ExceptionDispatchInfo? Fault)
    {
        public void Deconstruct(out bool appended, out bool projected)
        {
            Fault?.Throw();
            (appended, projected) = (Appended, Projected);
        }
    }
}
