using System.Collections.Concurrent;
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
    private const int Readers = 2;
    private const int MaxBatch = 512;

    /// <summary>How many lists may be read at once, whoever sends them: single checks keep connections to themselves.</summary>
    private const int MaxLists = 4;

    private const string PurposesSql = """
        select key, xmin, purpose_id, channel::text, basis::text, ends_at
        from purpose
        where key = any ($1)
        """;

    /// <summary>The versions of purposes' rows, numbered 0, in the columns of the states.</summary>
    private const string Versions = """
        select 0 as n, purpose_id, key as kind, null::text as basis, null::timestamptz as occurred_at, null::timestamptz as expires_at, null::uuid as event_id, xmin
        from purpose
        """;

    /// <summary>
    /// The versions of the purposes' rows, and the states: one index range per check, because the purpose's row
    /// and the facets at * lie together. One statement, since a second costs as much as ten checks.
    /// </summary>
    private const string StatesSql = $"""
        {Versions}
        where key = any ($3)
        union all
        select wanted.n::integer, state.purpose_id, state.kind::text, state.basis::text, state.occurred_at, state.expires_at, state.event_id, null
        from unnest($1::uuid[], $2::integer[]) with ordinality as wanted (subscriber_id, purpose_id, n)
        join consent_state state on state.subscriber_id = wanted.subscriber_id
            and (state.purpose_id = wanted.purpose_id or state.purpose_id <= 0)
        """;

    /// <summary>The same of one check: to unfold arrays takes the server longer than to read what it is about.</summary>
    private const string StateSql = $"""
        {Versions}
        where key = $3
        union all
        select 1, purpose_id, kind::text, basis::text, occurred_at, expires_at, event_id, null
        from consent_state
        where subscriber_id = $1 and (purpose_id = $2 or purpose_id <= 0)
        """;

    private readonly LedgerDatabase ledger;
    private readonly NpgsqlDataSource database;
    private readonly ConcurrentDictionary<string, Remembered> known = new(StringComparer.Ordinal);
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

    /// <summary>Reads what is known of many subscribers for one purpose; one statement.</summary>
    /// <param name="purpose">The purpose.</param>
    /// <param name="ids">The subscribers.</param>
    /// <param name="states">Where it goes, in their order; it may be longer, and hold anything before.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <returns>The purpose's terms; null if there is no such purpose.</returns>
    public async Task<PurposeTerms?> ReadManyAsync(PurposeKey purpose, Guid[] ids, SubscriberState[] states, CancellationToken cancellation)
    {
        var key = purpose.ToString();
        await lists.WaitAsync(cancellation);
        try
        {
            return await ledger.LongReads.ExecuteAsync(
                async token =>
                {
                    var terms = await FindAsync([key], token);
                    var purposes = new int[ids.Length];
                    Array.Fill(purposes, terms.GetValueOrDefault(key)?.Terms.Id.Value ?? 0);
                    await ReadBatchAsync(terms, [key], ids, purposes, states, token);
                    return terms.GetValueOrDefault(key)?.Terms;
                },
                cancellation);
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
        var states = new SubscriberState[ids.Length];
        var terms = await ledger.ShortWork.ExecuteAsync(
            static async (state, token) =>
            {
                var terms = await state.Reader.FindAsync(state.Distinct, token);
                var purposes = new int[state.Keys.Length];
                for (var i = 0; i < purposes.Length; i++)
                {
                    purposes[i] = terms.TryGetValue(state.Keys[i], out var purpose) ? purpose.Terms.Id.Value : 0;
                }

                await state.Reader.ReadBatchAsync(terms, state.Distinct, state.Ids, purposes, state.States, token);
                return terms;
            },
            (Reader: this, Distinct: distinct, Ids: ids, Keys: keys, States: states),
            CancellationToken.None);
        var readings = new CheckReading?[wanted.Count];
        for (var i = 0; i < readings.Length; i++)
        {
            readings[i] = terms.TryGetValue(keys[i], out var purpose) ? new CheckReading(purpose.Terms, states[i]) : null;
        }

        return readings;
    }

    /// <summary>What is remembered of these purposes; what is not is read. A purpose that is not there is left out.</summary>
    private async Task<Dictionary<string, Remembered>> FindAsync(string[] keys, CancellationToken cancellation)
    {
        var terms = new Dictionary<string, Remembered>(keys.Length, StringComparer.Ordinal);
        foreach (var key in keys)
        {
            if (known.TryGetValue(key, out var remembered))
            {
                terms.Add(key, remembered);
            }
        }

        if (terms.Count < keys.Length)
        {
            await ReadTermsAsync([.. keys.Where(key => !terms.ContainsKey(key))], terms, cancellation);
        }

        return terms;
    }

    private async Task ReadTermsAsync(string[] keys, Dictionary<string, Remembered> terms, CancellationToken cancellation)
    {
        await using var command = database.CreateCommand(PurposesSql);
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = keys });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        while (await reader.ReadAsync(cancellation))
        {
            var purpose = new PurposeTerms(
                new PurposeId(reader.GetInt32(2)),
                reader.GetString(0),
                Label<Subscribers.Channel>.Parse(reader.GetString(3)),
                Label<LawfulBasis>.Parse(reader.GetString(4)),
                reader.IsDBNull(5) ? null : reader.GetFieldValue<DateTimeOffset>(5));
            terms[purpose.Key] = known[purpose.Key] = new Remembered(reader.GetFieldValue<uint>(1), purpose);
        }
    }

    /// <summary>
    /// Reads the states of these subscribers for these purposes, and asks whether the purposes' rows are still those that
    /// were remembered; <paramref name="terms"/> is put right where one is not. A purpose's number never changes.
    /// </summary>
    private async Task ReadBatchAsync(
        Dictionary<string, Remembered> terms, string[] keys, Guid[] ids, int[] purposes, SubscriberState[] states, CancellationToken cancellation)
    {
        Array.Clear(states, 0, ids.Length);
        List<string>? changed = null;
        await using (var command = StatesCommand(keys, ids, purposes))
        {
            await using var reader = await command.ExecuteReaderAsync(cancellation);
            while (await reader.ReadAsync(cancellation))
            {
                if (reader.GetInt32(0) is > 0 and var n)
                {
                    states[n - 1] = states[n - 1].With(LedgerStore.ReadState(reader, column: 1));
                }
                else if (!terms.TryGetValue(reader.GetString(2), out var remembered) || remembered.Xmin != reader.GetFieldValue<uint>(7))
                {
                    (changed ??= []).Add(reader.GetString(2));
                }
            }
        }

        if (changed is not null)
        {
            await ReadTermsAsync([.. changed], terms, cancellation);
        }
    }

    private NpgsqlCommand StatesCommand(string[] keys, Guid[] ids, int[] purposes)
    {
        if (ids.Length == 1)
        {
            var one = database.CreateCommand(StateSql);
            one.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = ids[0] });
            one.Parameters.Add(new NpgsqlParameter<int> { TypedValue = purposes[0] });
            one.Parameters.Add(new NpgsqlParameter<string> { TypedValue = keys[0] });
            return one;
        }

        var command = database.CreateCommand(StatesSql);
        command.Parameters.Add(new NpgsqlParameter<Guid[]> { TypedValue = ids });
        command.Parameters.Add(new NpgsqlParameter<int[]> { TypedValue = purposes });
        command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = keys });
        return command;
    }

    /// <summary>A purpose's terms, and the version of its row that they were read from.</summary>
    private sealed record Remembered(uint Xmin, PurposeTerms Terms);
}

/// <summary>What a check looks at, read after it began.</summary>
/// <param name="Purpose">The purpose's terms.</param>
/// <param name="State">What is known of the subscriber.</param>
public sealed record CheckReading(PurposeTerms Purpose, SubscriberState State);

/// <summary>How much a service takes on.</summary>
/// <param name="MaxWaiting">How many single checks may wait; beyond it callers are told to come back.</param>
public sealed record CheckLimits(int MaxWaiting = 8192);
