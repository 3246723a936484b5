using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;
using Npgsql;

namespace ConsentLedger.Checks;

/// <summary>
/// Reads what checks look at. Concurrent checks share round trips, and nothing is cached: a state that was written
/// before a check began is always seen by it.
/// </summary>
public sealed class CheckReader : IAsyncDisposable
{
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
    private readonly SharedRoundTrips<(string Purpose, Guid Subscriber), CheckReading?> trips;

    /// <summary>Starts the readers.</summary>
    public CheckReader(LedgerDatabase ledger, CheckLimits? limits = null)
    {
        this.ledger = ledger;
        database = ledger.Checks;
        trips = new SharedRoundTrips<(string Purpose, Guid Subscriber), CheckReading?>(
            Readers, MaxBatch, (limits ?? new CheckLimits()).MaxWaiting, ReadTogetherAsync);
    }

    /// <summary>
    /// What is known of a subscriber for a purpose now; null if there is no such purpose.
    /// </summary>
    /// <exception cref="NpgsqlException">The database can't be asked.</exception>
    /// <exception cref="Polly.ExecutionRejectedException">The same, known from before or found out by waiting.</exception>
    /// <exception cref="RoundTripsFullException">More checks are waiting than can be answered soon.</exception>
    public Task<CheckReading?> ReadAsync(PurposeKey purpose, SubscriberId subscriber, CancellationToken cancellation) =>
        trips.AskAsync((purpose.ToString(), subscriber.Value), cancellation);

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
        await trips.DisposeAsync();
        lists.Dispose();
    }

    private async Task<IReadOnlyList<CheckReading?>> ReadTogetherAsync(IReadOnlyList<(string Purpose, Guid Subscriber)> wanted)
    {
        var ids = new Guid[wanted.Count];
        var keys = new string[wanted.Count];
        for (var i = 0; i < wanted.Count; i++)
        {
            (keys[i], ids[i]) = wanted[i];
        }

        var distinct = wanted.Count == 1 ? keys : [.. keys.Distinct(StringComparer.Ordinal)];
        var (purposes, states) = await ledger.ShortWork.ExecuteAsync(
            static async (state, token) => await state.Reader.ReadBatchAsync(state.Distinct, state.Ids, state.Keys, token),
            (Reader: this, Distinct: distinct, Ids: ids, Keys: keys),
            CancellationToken.None);
        var readings = new CheckReading?[wanted.Count];
        for (var i = 0; i < readings.Length; i++)
        {
            readings[i] = purposes.TryGetValue(keys[i], out var purpose) ? new CheckReading(purpose, states[i]) : null;
        }

        return readings;
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
}

/// <summary>What a check looks at, read at one instant.</summary>
/// <param name="Purpose">The purpose's terms.</param>
/// <param name="State">What is known of the subscriber.</param>
public sealed record CheckReading(PurposeTerms Purpose, SubscriberState State);

/// <summary>How much a service takes on.</summary>
/// <param name="MaxWaiting">How many single checks may wait; beyond it callers are told to come back.</param>
public sealed record CheckLimits(int MaxWaiting = 8192);
