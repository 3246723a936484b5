using System.Runtime.CompilerServices;
using ConsentLedger.Database;
using Dapper;
using Npgsql;

namespace ConsentLedger.Ledger;

/// <summary>
/// Gives every event its position in the log: from 1, without gaps, each event once, in the order in which they were recorded
/// as far as they are seen together. An event whose transaction ends later than those of younger ones comes after these.
/// </summary>
/// <remarks>
/// One at a time does so, of all instances: whoever holds the advisory lock. A batch takes rows from the outbox and enters
/// them in the log in one statement: a crash leaves the whole of it or nothing. A row that an append is just writing anew is
/// left for the next batch.
/// </remarks>
public sealed class LedgerLog(LedgerDatabase database)
{
    /// <summary>How many events a batch enters at most.</summary>
    public const int Batch = 5_000;

    private const long AdvisoryLock = 0x434C_4C4F_47;

    // The outbox is empty at one moment and holds a million rows at the next, so what the server believes of it is nothing
    // to plan by: by the indexes, always.
    private const string ByIndex = "set local enable_seqscan = off; set local enable_hashjoin = off; set local enable_mergejoin = off";

    private const string Enter = """
        with next as materialized (
            select subscriber_id, event_id, recorded_at, commitment
            from outbox
            where recorded_at >= @from
            order by recorded_at
            limit @Batch
            for update skip locked
        ),
        entered as (
            insert into log_entry (subscriber_id, event_id, position, recorded_at, commitment)
            select
                subscriber_id, event_id,
                (select coalesce(max(position), 0) from log_entry) + row_number() over (order by recorded_at, subscriber_id, event_id),
                recorded_at, commitment
            from next
        ),
        gone as (
            delete from outbox using next
            where outbox.subscriber_id = next.subscriber_id and outbox.event_id = next.event_id
        )
        select count(*), max(recorded_at) from next
        """;

    /// <summary>Enters everything that was recorded when this was called, and waits for whoever is at it already.</summary>
    public async Task CatchUpAsync(CancellationToken cancellation)
    {
        await foreach (var _ in EnterAsync(wait: true, cancellation))
        {
            // One batch after the other.
        }
    }

    /// <summary>
    /// Enters batch after batch until nothing waits, each as it is asked for; tells how many events it was. Nothing if another
    /// is at it, unless told to wait.
    /// </summary>
    internal async IAsyncEnumerable<long> EnterAsync(bool wait, [EnumeratorCancellation] CancellationToken cancellation)
    {
        // Rows that are gone stay in the index until the server cleans it: each batch begins where the last one ended, and
        // the next turn at the beginning.
        var (entered, from) = await EnterAsync(DateTime.UnixEpoch, wait, cancellation);
        while (entered > 0)
        {
            yield return entered;
            (entered, from) = entered < Batch ? (0, from) : await EnterAsync(from, wait, cancellation);
        }
    }

    /// <summary>Enters one batch of what was recorded since; tells how many, and when the last of them was.</summary>
    private async Task<(long Entered, DateTime Last)> EnterAsync(DateTime from, bool wait, CancellationToken cancellation)
    {
        await using var connection = await database.Service.OpenConnectionAsync(cancellation);
        if (!await connection.ExecuteScalarAsync<bool>(new CommandDefinition("select exists (select from outbox)", cancellationToken: cancellation)))
        {
            return (0, from);
        }

        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        if (!await LockAsync(connection, wait, cancellation))
        {
            return (0, from);
        }

        var (entered, last) = await connection.QuerySingleAsync<(long, DateTime?)>(new CommandDefinition(
            Enter, new { from, Batch }, commandTimeout: 0, cancellationToken: cancellation));
        await transaction.CommitAsync(cancellation);
        return (entered, last ?? from);
    }

    /// <summary>In a statement of its own: the next one then sees what whoever had it before has entered.</summary>
    private static async Task<bool> LockAsync(NpgsqlConnection connection, bool wait, CancellationToken cancellation)
    {
        await connection.ExecuteAsync(new CommandDefinition(ByIndex, cancellationToken: cancellation));
        return await connection.ExecuteScalarAsync<bool>(new CommandDefinition(
            wait ? "select true from pg_advisory_xact_lock(@AdvisoryLock)" : "select pg_try_advisory_xact_lock(@AdvisoryLock)",
            new { AdvisoryLock },
            commandTimeout: 0,
            cancellationToken: cancellation));
    }
}
