using System.Threading.Channels;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;
using Npgsql;
using Channel = System.Threading.Channels.Channel;

namespace ConsentLedger.Checks;

/// <summary>
/// Reads what checks look at. Concurrent checks share round trips: those that arrive while a read is under way are
/// read together by the next one, so the database's work per check falls as load rises. Nothing waits for company: a
/// check that comes alone is read at once.
/// </summary>
/// <remarks>
/// Nothing is cached. A read starts after the checks it answers have begun, so a state that was written before a check
/// began is always seen by it.
/// </remarks>
public sealed class CheckReader : IAsyncDisposable
{
    /// <summary>How many reads may be under way at once; more only split the same work into smaller batches.</summary>
    private const int Readers = 3;

    private const int MaxBatch = 512;

    /// <summary>How many lists may be read at once, whoever sends them: single checks keep connections to themselves.</summary>
    private const int MaxLists = 4;

    private const string PurposesSql = """
        select purpose_id, key, channel::text, basis::text, ends_at
        from purpose
        where key = any ($1)
        """;

    /// <summary>One index range per check: the purpose's row and the facets at * lie together.</summary>
    private const string StatesSql = """
        select wanted.n::integer, state.purpose_id, state.kind::text, state.basis::text, state.occurred_at, state.expires_at, state.event_id
        from unnest($1::uuid[], $2::text[]) with ordinality as wanted (subscriber_id, key, n)
        join purpose on purpose.key = wanted.key
        join consent_state state on state.subscriber_id = wanted.subscriber_id
            and (state.purpose_id = purpose.purpose_id or state.purpose_id <= 0)
        """;

    private readonly LedgerDatabase ledger;
    private readonly NpgsqlDataSource database;
    private readonly SemaphoreSlim lists = new(MaxLists);
    private readonly Channel<Pending> waiting;
    private readonly Task[] readers;

    /// <summary>Starts the readers.</summary>
    public CheckReader(LedgerDatabase ledger, CheckLimits? limits = null)
    {
        this.ledger = ledger;
        database = ledger.Checks;
        waiting = Channel.CreateBounded<Pending>(
            new BoundedChannelOptions((limits ?? new CheckLimits()).MaxWaiting) { FullMode = BoundedChannelFullMode.Wait, SingleReader = false });
        readers = [.. Enumerable.Range(0, Readers).Select(_ => Task.Run(ReadAsync))];
    }

    /// <summary>
    /// What is known of a subscriber for a purpose now; null if there is no such purpose.
    /// </summary>
    /// <exception cref="NpgsqlException">The database can't be asked.</exception>
    /// <exception cref="Polly.ExecutionRejectedException">The same, known from before or found out by waiting.</exception>
    /// <exception cref="CheckQueueFullException">More checks are waiting than can be answered soon.</exception>
    public Task<CheckReading?> ReadAsync(PurposeKey purpose, SubscriberId subscriber, CancellationToken cancellation)
    {
        var pending = new Pending(purpose.ToString(), subscriber.Value, cancellation);
        return waiting.Writer.TryWrite(pending) ? pending.Task : Task.FromException<CheckReading?>(new CheckQueueFullException());
    }

    /// <summary>What is known of many subscribers for one purpose, in their order; one statement.</summary>
    public async Task<(PurposeTerms? Purpose, SubscriberState[] States)> ReadManyAsync(
        PurposeKey purpose, IReadOnlyList<SubscriberId> subscribers, CancellationToken cancellation)
    {
        var keys = new string[subscribers.Count];
        Array.Fill(keys, purpose.ToString());
        var ids = subscribers.Select(subscriber => subscriber.Value).ToArray();
        await lists.WaitAsync(cancellation);
        try
        {
            var (purposes, states) = await ledger.LongReads.ExecuteAsync(
                async token => await ReadBatchAsync([purpose.ToString()], ids, keys, token), cancellation);
            return (purposes.GetValueOrDefault(purpose.ToString()), states);
        }
        finally
        {
            lists.Release();
        }
    }

    /// <inheritdoc />
    public async ValueTask DisposeAsync()
    {
        waiting.Writer.TryComplete();
        await Task.WhenAll(readers);
        lists.Dispose();
    }

    private async Task ReadAsync()
    {
        var batch = new List<Pending>(MaxBatch);
        while (await waiting.Reader.WaitToReadAsync())
        {
            batch.Clear();
            while (batch.Count < MaxBatch && waiting.Reader.TryRead(out var pending))
            {
                // Whoever has gone meanwhile is not read for.
                if (!pending.IsCancelled())
                {
                    batch.Add(pending);
                }
            }

            if (batch.Count > 0)
            {
                await AnswerAsync(batch);
            }
        }
    }

    /// <summary>Reads a batch and answers each; what fails, fails for each alone, and the reader lives on.</summary>
    private async Task AnswerAsync(List<Pending> batch)
    {
        try
        {
            var ids = new Guid[batch.Count];
            var keys = new string[batch.Count];
            for (var i = 0; i < batch.Count; i++)
            {
                ids[i] = batch[i].Subscriber;
                keys[i] = batch[i].Purpose;
            }

            var distinct = batch.Count == 1 ? keys : [.. keys.Distinct(StringComparer.Ordinal)];
            var (purposes, states) = await ledger.ShortWork.ExecuteAsync(
                static async (state, token) => await state.Reader.ReadBatchAsync(state.Distinct, state.Ids, state.Keys, token),
                (Reader: this, Distinct: distinct, Ids: ids, Keys: keys),
                CancellationToken.None);
            for (var i = 0; i < batch.Count; i++)
            {
                batch[i].Answer(purposes.TryGetValue(keys[i], out var purpose) ? new CheckReading(purpose, states[i]) : null);
            }
        }
#pragma warning disable CA1031 // Each caller gets what went wrong, whatever it is; it must not end the reader.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            foreach (var pending in batch)
            {
                pending.Fail(exception);
            }
        }
    }

    private async Task<(Dictionary<string, PurposeTerms> Purposes, SubscriberState[] States)> ReadBatchAsync(
        string[] distinct, Guid[] ids, string[] keys, CancellationToken cancellation)
    {
        await using var batch = database.CreateBatch();
        batch.BatchCommands.Add(new NpgsqlBatchCommand(PurposesSql) { Parameters = { new NpgsqlParameter<string[]> { TypedValue = distinct } } });
        batch.BatchCommands.Add(new NpgsqlBatchCommand(StatesSql)
        {
            Parameters = { new NpgsqlParameter<Guid[]> { TypedValue = ids }, new NpgsqlParameter<string[]> { TypedValue = keys } },
        });
        await using var reader = await batch.ExecuteReaderAsync(cancellation);
        var purposes = new Dictionary<string, PurposeTerms>(distinct.Length, StringComparer.Ordinal);
        while (await reader.ReadAsync(cancellation))
        {
            purposes.Add(reader.GetString(1), new PurposeTerms(
                new PurposeId(reader.GetInt32(0)),
                reader.GetString(1),
                Label<Subscribers.Channel>.Parse(reader.GetString(2)),
                Label<LawfulBasis>.Parse(reader.GetString(3)),
                reader.IsDBNull(4) ? null : reader.GetFieldValue<DateTimeOffset>(4)));
        }

        await reader.NextResultAsync(cancellation);
        var states = new SubscriberState[ids.Length];
        while (await reader.ReadAsync(cancellation))
        {
            var index = reader.GetInt32(0) - 1;
            states[index] = states[index].With(LedgerStore.ReadState(reader, column: 1));
        }

        return (purposes, states);
    }

    /// <summary>One check that waits for its reading.</summary>
    private sealed class Pending(string purpose, Guid subscriber, CancellationToken cancellation)
    {
        // The answer must not run on the reader's own turn: it would make the next batch wait for it.
        private readonly TaskCompletionSource<CheckReading?> source = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public string Purpose => purpose;

        public Guid Subscriber => subscriber;

        public Task<CheckReading?> Task => source.Task;

        public bool IsCancelled() => cancellation.IsCancellationRequested && source.TrySetCanceled(cancellation);

        public void Answer(CheckReading? reading) => source.TrySetResult(reading);

        public void Fail(Exception exception) => source.TrySetException(exception);
    }
}

/// <summary>What a check looks at, read at one instant.</summary>
/// <param name="Purpose">The purpose's terms.</param>
/// <param name="State">What is known of the subscriber.</param>
public sealed record CheckReading(PurposeTerms Purpose, SubscriberState State);

/// <summary>How much a service takes on.</summary>
/// <param name="MaxWaiting">How many single checks may wait; beyond it callers are told to come back.</param>
public sealed record CheckLimits(int MaxWaiting = 8192);

/// <summary>More checks are waiting than can be answered soon.</summary>
public sealed class CheckQueueFullException() : Exception("More checks are waiting than can be answered soon.");
