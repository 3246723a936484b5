using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.PersonalData;

/// <summary>
/// Keeps journal and database together. At the start, before the first request is answered, the database learns of what
/// the journals have and it has not: that is so when it was restored from a back-up, by whoever and however. From then on
/// every event that forbids is written from the queue into the journal within a second, and erasures that were
/// interrupted go on.
/// </summary>
/// <remarks>
/// The queue's rows go once they are on the disk, and the place that the database knows moves in the same transaction. A
/// crash in between writes them twice, which changes nothing.
/// </remarks>
public sealed partial class JournalKeeper(
    LedgerDatabase database, LedgerStore ledger, ErasureJournal journal, Erasure erasure, PurposeCatalogue purposes, TimeProvider clock,
    ILogger<JournalKeeper> log) : Keeper("the journal", log), IHostedLifecycleService
{
    private const int Batch = 5_000;

    /// <summary>Brings the database up to the journals. Nothing else has started by then.</summary>
    public async Task StartingAsync(CancellationToken cancellationToken)
    {
        var learned = await ReplayAsync(cancellationToken);
        if (learned > 0)
        {
            LogReplayed(log, learned);
        }
    }

    /// <summary>
    /// Has the database learn of everything that the journals have behind the places it knows; repeated, it changes nothing.
    /// Durable in parts: a crash leaves the rest to be learned at the next start. Returns how many entries it read.
    /// </summary>
    public async Task<long> ReplayAsync(CancellationToken cancellation)
    {
        var read = 0L;
        foreach (var id in journal.Journals)
        {
            await using var connection = await database.Service.OpenConnectionAsync(cancellation);
            var place = await connection.ExecuteScalarAsync<long?>(new CommandDefinition(
                "select position from journal_position where journal_id = @id", new { id }, cancellationToken: cancellation)) ?? 0;
            var known = await purposes.KeysAsync(cancellation);
            foreach (var part in journal.ReadFrom(id, place).Chunk(Batch))
            {
                foreach (var (entry, _) in part)
                {
                    await ApplyAsync(connection, entry, known, cancellation);
                }

                await MoveToAsync(connection, id, part[^1].After, cancellation);
                read += part.Length;
            }
        }

        await erasure.FinishOpenAsync(cancellation);
        return read;
    }

    /// <summary>Writes what is queued into the journal. Returns how many events; fewer than a batch means that it was all.</summary>
    public async Task<int> DrainAsync(CancellationToken cancellation)
    {
        const string Take = """
            select subscriber_id, event_id, purpose_id, kind::text, occurred_at
            from journal_queue
            order by subscriber_id, event_id
            limit @Batch
            for update skip locked
            """;
        const string Remove = """
            delete from journal_queue
            using unnest(@subscribers, @events) as written (subscriber_id, event_id)
            where journal_queue.subscriber_id = written.subscriber_id and journal_queue.event_id = written.event_id
            """;
        await using var connection = await database.Service.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var queued = (await connection.QueryAsync<Row>(new CommandDefinition(Take, new { Batch }, cancellationToken: cancellation))).AsList();
        if (queued.Count == 0)
        {
            return 0;
        }

        await journal.WriteAsync([.. queued.Select(row => row.ToEntry())], applied: true, cancellation);
        await connection.ExecuteAsync(new CommandDefinition(
            Remove,
            new { subscribers = queued.Select(row => row.SubscriberId).ToArray(), events = queued.Select(row => row.EventId).ToArray() },
            cancellationToken: cancellation));
        await MoveToAsync(connection, journal.Own!.Value, journal.AppliedUntil, cancellation);
        await transaction.CommitAsync(cancellation);
        return queued.Count;
    }

    /// <inheritdoc />
    protected override async Task KeepAsync(CancellationToken cancellation)
    {
        if (journal.HasFailed)
        {
            await ResumeAsync(cancellation);
        }

        while (await DrainAsync(cancellation) == Batch)
        {
            // Until it is all.
        }

        await erasure.FinishOpenAsync(cancellation);
    }

    /// <summary>Goes on with erasures of this process that the database could not be told of.</summary>
    private async Task ResumeAsync(CancellationToken cancellation)
    {
        journal.Recovered();
        try
        {
            await ApplyOwnAsync(cancellation);
        }
        catch
        {
            journal.Failed();
            throw;
        }
    }

    private async Task ApplyOwnAsync(CancellationToken cancellation)
    {
        var from = journal.AppliedUntil;
        await using var connection = await database.Service.OpenConnectionAsync(cancellation);
        var known = await purposes.KeysAsync(cancellation);
        foreach (var (entry, after) in journal.ReadFrom(journal.Own!.Value, from))
        {
            await ApplyAsync(connection, entry, known, cancellation);
            journal.Applied(from);
            from = after;
        }
    }

    /// <summary>
    /// An erasure is begun, unless a later one is known. An event is appended, without the evidence that it once had, unless
    /// it is there, or went with an erasure since, or its purpose is not known any more and so nobody is written to for it.
    /// </summary>
    private async Task ApplyAsync(
        NpgsqlConnection connection, JournalEntry entry, IReadOnlyDictionary<PurposeId, string> known, CancellationToken cancellation)
    {
        if (entry.Kind is not { } kind)
        {
            await erasure.BeginAsync(entry, null, Actor.Service, cancellation);
            return;
        }

        var erased = await connection.ExecuteScalarAsync<bool>(new CommandDefinition(
            "select exists (select from erasure where subscriber_id = @Value and requested_at >= @At)",
            new { entry.Subscriber.Value, At = entry.At.UtcDateTime },
            cancellationToken: cancellation));
        if (erased || !known.ContainsKey(entry.Purpose))
        {
            return;
        }

        await ledger.AppendAsync(
            connection,
            new ConsentEvent
            {
                SubscriberId = entry.Subscriber,
                Id = new EventId(entry.EventId),
                Purpose = entry.Purpose,
                Kind = kind,
                Source = SourceKind.System,
                OccurredAt = entry.At,
                RecordedAt = Instant.Of(clock.GetUtcNow()),
            },
            address: null,
            cancellation);
    }

    private static Task<int> MoveToAsync(NpgsqlConnection connection, Guid id, long place, CancellationToken cancellation) =>
        connection.ExecuteAsync(new CommandDefinition(
            """
            insert into journal_position (journal_id, position) values (@id, @place)
            on conflict (journal_id) do update set position = excluded.position
            """,
            new { id, place },
            cancellationToken: cancellation));

    /// <inheritdoc />
    public Task StartedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc />
    public Task StoppingAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    /// <inheritdoc />
    public Task StoppedAsync(CancellationToken cancellationToken) => Task.CompletedTask;

    [LoggerMessage(LogLevel.Warning, "The database was behind its journal, as after a restore: {Entries} erasures and refusals were applied")]
    private static partial void LogReplayed(ILogger log, long entries);

    private sealed record Row(Guid SubscriberId, Guid EventId, int PurposeId, string Kind, DateTimeOffset OccurredAt)
    {
        public JournalEntry ToEntry() =>
            new(Label<EventKind>.Parse(Kind), new SubscriberId(SubscriberId), new PurposeId(PurposeId), EventId, OccurredAt);
    }
}
