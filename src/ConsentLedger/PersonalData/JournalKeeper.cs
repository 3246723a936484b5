using System.Collections.Concurrent;
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
/// crash in between writes them twice, which changes nothing. A database that knows less than it was told was put back
/// underneath the service, and learns again within a second. What was said of a purpose that is not known waits in the journal
/// until there is one of that name.
/// </remarks>
public sealed partial class JournalKeeper(
    LedgerDatabase database, LedgerStore ledger, ErasureJournal journal, Erasure erasure, PurposeCatalogue purposes, TimeProvider clock,
    ILogger<JournalKeeper> log) : Keeper("the journal", log), IHostedLifecycleService
{
    private const int Batch = 5_000;

    /// <summary>Up to where the database has been told of each journal, as far as this process saw to it.</summary>
    private readonly ConcurrentDictionary<Guid, long> told = [];

    /// <summary>Brings the database up to the journals. Nothing else has started by then.</summary>
    public async Task StartingAsync(CancellationToken cancellationToken)
    {
        var learned = await ReplayAsync(cancellationToken);
        if (learned > 0)
        {
            LogReplayed(log, learned);
        }

        foreach (var missing in await FindMissingAsync(cancellationToken))
        {
            LogMissing(log, missing);
        }
    }

    /// <summary>
    /// The journals that the database has been told of and that are gone, or shorter than they were: erasures and refusals since
    /// a back-up that they had are lost to a database that is restored.
    /// </summary>
    public async Task<IReadOnlyList<Guid>> FindMissingAsync(CancellationToken cancellation) =>
        [.. (await ReadPlacesAsync(cancellation)).Where(place => journal.LengthOf(place.Key) < place.Value).Select(place => place.Key)];

    /// <summary>
    /// Has the database learn of everything that the journals have behind the places it knows; repeated, it changes nothing.
    /// Durable in parts: a crash leaves the rest to be learned at the next start. Returns how many entries it read.
    /// </summary>
    public async Task<long> ReplayAsync(CancellationToken cancellation)
    {
        var read = 0L;
        var places = await ReadPlacesAsync(cancellation);
        var known = await purposes.KeysAsync(cancellation);
        await using var connection = await database.Service.OpenConnectionAsync(cancellation);
        foreach (var id in journal.Journals)
        {
            told[id] = Math.Min(places.GetValueOrDefault(id), journal.LengthOf(id));
            foreach (var part in journal.ReadFrom(id, places.GetValueOrDefault(id)).Chunk(Batch))
            {
                foreach (var (entry, _) in part)
                {
                    await ApplyAsync(connection, entry, known, cancellation);
                }

                await MoveToAsync(connection, id, part[^1].After, cancellation);
                told[id] = part[^1].After;
                read += part.Length;
            }
        }

        await erasure.FinishOpenAsync(cancellation);
        return read;
    }

    /// <summary>Writes what is queued into the journal. Returns how many events; fewer than a batch means that it was all.</summary>
    public Task<int> DrainAsync(CancellationToken cancellation) => DrainAsync(replayed: false, cancellation);

    private async Task<int> DrainAsync(bool replayed, CancellationToken cancellation)
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
        if (queued.Count == 0 && (journal.Own is not { } opened || journal.AppliedUntil <= told.GetValueOrDefault(opened)))
        {
            // Nothing is queued, nor was there an erasure since.
            return 0;
        }

        await journal.OpenAsync(cancellation);
        var own = journal.Own!.Value;
        var place = await connection.ExecuteScalarAsync<long?>(new CommandDefinition(
            "select position from journal_position where journal_id = @own for update", new { own }, cancellationToken: cancellation)) ?? 0;
        var before = told.GetValueOrDefault(own);
        if ((before < journal.TakenOverAt && !replayed) || place < before)
        {
            // A journal that this process has taken over, or a database that was put back: what stands before these lines may
            // not be known yet, and must not be passed over.
            await transaction.RollbackAsync(cancellation);
            await ReplayAsync(cancellation);
            return await DrainAsync(replayed: true, cancellation);
        }

        if (queued.Count > 0)
        {
            var known = await purposes.KeysAsync(cancellation);
            await journal.WriteAsync([.. queued.Select(row => row.ToEntry(known))], applied: true, cancellation);
            await connection.ExecuteAsync(new CommandDefinition(
                Remove,
                new { subscribers = queued.Select(row => row.SubscriberId).ToArray(), events = queued.Select(row => row.EventId).ToArray() },
                cancellationToken: cancellation));
        }

        var until = journal.AppliedUntil;
        await MoveToAsync(connection, own, until, cancellation);
        await transaction.CommitAsync(cancellation);
        told[own] = until;
        return queued.Count;
    }

    /// <inheritdoc />
    protected override async Task KeepAsync(CancellationToken cancellation)
    {
        if (journal.HasFailed)
        {
            await ResumeAsync(cancellation);
        }

        var places = await ReadPlacesAsync(cancellation);
        if (told.Any(place => places.GetValueOrDefault(place.Key) < place.Value) && await ReplayAsync(cancellation) is > 0 and var learned)
        {
            LogReplayed(log, learned);
        }

        await LearnOfNewPurposesAsync(cancellation);
        while (await DrainAsync(cancellation) == Batch)
        {
            // Until it is all.
        }

        await erasure.FinishOpenAsync(cancellation);
    }

    /// <summary>Has the database learn what the journals say of purposes that were not known when they were read, and are now.</summary>
    private async Task LearnOfNewPurposesAsync(CancellationToken cancellation)
    {
        await using var connection = await database.Service.OpenConnectionAsync(cancellation);
        var waiting = await connection.QueryAsync<string>(new CommandDefinition(
            "select purpose_key from journal_waiting where purpose_key in (select key from purpose)", cancellationToken: cancellation));
        if (waiting.ToHashSet(StringComparer.Ordinal) is not { Count: > 0 } made)
        {
            return;
        }

        var known = await purposes.KeysAsync(cancellation);
        foreach (var (entry, _) in journal.Journals.SelectMany(id => journal.ReadFrom(id, 0)).Where(line => line.Entry.Kind is not null && made.Contains(line.Entry.Purpose)))
        {
            await ApplyAsync(connection, entry, known, cancellation);
        }

        await connection.ExecuteAsync(new CommandDefinition(
            "delete from journal_waiting where purpose_key = any (@made)", new { made = made.ToArray() }, cancellationToken: cancellation));
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
    /// it is there, or an erasure since says no to all that it says no to. One whose purpose is not known waits until it is:
    /// nobody is written to for it meanwhile.
    /// </summary>
    private async Task ApplyAsync(NpgsqlConnection connection, JournalEntry entry, PurposeKeys known, CancellationToken cancellation)
    {
        if (entry.Kind is not { } kind)
        {
            await erasure.BeginAsync(entry, null, Actor.Service, cancellation);
            return;
        }

        if (entry.PurposeIn(known) is not { } purpose)
        {
            await connection.ExecuteAsync(new CommandDefinition(
                "insert into journal_waiting (purpose_key) values (@Purpose) on conflict do nothing", new { entry.Purpose }, cancellationToken: cancellation));
            return;
        }

        // No consent lifts a suppression or a restriction, as it does what an erasure leaves.
        if (purpose != PurposeId.Suppression && purpose != PurposeId.Restriction && await connection.ExecuteScalarAsync<bool>(new CommandDefinition(
            "select exists (select from erasure where subscriber_id = @Value and requested_at >= @At)",
            new { entry.Subscriber.Value, At = entry.At.UtcDateTime },
            cancellationToken: cancellation)))
        {
            return;
        }

        await ledger.AppendAsync(
            connection,
            new ConsentEvent
            {
                SubscriberId = entry.Subscriber,
                Id = new EventId(entry.EventId),
                Purpose = purpose,
                Kind = kind,
                Source = SourceKind.System,
                OccurredAt = entry.At,
                RecordedAt = Instant.Of(clock.GetUtcNow()),
            },
            address: null,
            cancellation);
    }

    private async Task<Dictionary<Guid, long>> ReadPlacesAsync(CancellationToken cancellation)
    {
        await using var connection = await database.Service.OpenConnectionAsync(cancellation);
        return (await connection.QueryAsync<(Guid Journal, long Place)>(new CommandDefinition(
            "select journal_id, position from journal_position", cancellationToken: cancellation))).ToDictionary(row => row.Journal, row => row.Place);
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

    [LoggerMessage(LogLevel.Error, "The journal {Journal}, which this database has learned from, is not in its folder, or not whole. Erasures and refusals that only it knows are lost if a back-up is restored, or were if this is one: put the journal back and start again")]
    private static partial void LogMissing(ILogger log, Guid journal);

    private sealed record Row(Guid SubscriberId, Guid EventId, int PurposeId, string Kind, DateTimeOffset OccurredAt)
    {
        public JournalEntry ToEntry(PurposeKeys keys) =>
            new(Label<EventKind>.Parse(Kind), new SubscriberId(SubscriberId), JournalEntry.NameOf(new PurposeId(PurposeId), keys), EventId, OccurredAt);
    }
}
