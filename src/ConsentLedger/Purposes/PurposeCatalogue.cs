using System.Collections.Concurrent;
using ConsentLedger.Database;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.Purposes;

/// <summary>
/// The purposes and their notices, read from the database each time: ending a purpose takes effect at once on every
/// instance, and there are few of them. Concurrent look-ups by key share round trips.
/// </summary>
public sealed class PurposeCatalogue : IAsyncDisposable
{
    private const int MaxReads = 2;
    private const int MaxTogether = 256;
    private const int MaxWaiting = 8192;

    private const string Columns = """
        purpose_id, key, name, description, channel::text, basis::text, double_opt_in, consent_lifetime::text,
        renewal_reminder::text, ends_at, minimum_age, special_category, data_categories, recipients, retention_pending::text,
        retention_lapsed::text, retention_evidence::text, created_at, updated_at, first_event_at,
        array(select version from notice where notice.purpose_id = purpose.purpose_id order by version) as notice_versions
        """;

    private readonly NpgsqlDataSource database;
    private readonly SharedRoundTrips<string, Purpose?> reads;
    private readonly ConcurrentDictionary<string, ((uint Xmin, int Notices) Revision, Purpose Purpose)> known = new(StringComparer.Ordinal);

    /// <summary>Opens it on the service's connections.</summary>
    public PurposeCatalogue(NpgsqlDataSource database)
    {
        this.database = database;
        reads = new SharedRoundTrips<string, Purpose?>(MaxReads, MaxTogether, MaxWaiting, ReadTogetherAsync);
    }

    /// <summary>The purpose with this key, or null.</summary>
    public Task<Purpose?> FindAsync(PurposeKey key, CancellationToken cancellation) => reads.AskAsync(key.ToString(), cancellation);

    /// <summary>The purpose with this number, or null.</summary>
    public async Task<Purpose?> FindAsync(PurposeId id, CancellationToken cancellation)
    {
        const string Sql = $"select {Columns} from purpose where purpose_id = @id";
        return await DatabaseResilience.Repeatable.ExecuteAsync(
            async token =>
            {
                await using var connection = await database.OpenConnectionAsync(token);
                return await FindAsync(connection, Sql, new { id = id.Value }, token);
            },
            cancellation);
    }

    /// <summary>Every purpose, by key.</summary>
    public async Task<IReadOnlyList<Purpose>> ListAsync(CancellationToken cancellation)
    {
        const string Sql = $"select {Columns} from purpose order by key";
        return await DatabaseResilience.Repeatable.ExecuteAsync(
            async token =>
            {
                await using var connection = await database.OpenConnectionAsync(token);
                var rows = await connection.QueryAsync<PurposeRow>(new CommandDefinition(Sql, cancellationToken: token));
                return rows.Select(row => row.ToPurpose()).ToList();
            },
            cancellation);
    }

    /// <summary>What each purpose is called by, and <c>*</c> for the facets that stand for all.</summary>
    public async Task<PurposeKeys> KeysAsync(CancellationToken cancellation) => new(await ListAsync(cancellation));

    /// <summary>These versions of these purposes' notices, in full.</summary>
    public async Task<IReadOnlyDictionary<(PurposeId Purpose, int Version), Notice>> FindNoticesAsync(
        IEnumerable<(PurposeId Purpose, int Version)> wanted, CancellationToken cancellation)
    {
        var distinct = wanted.Distinct().ToList();
        if (distinct.Count == 0)
        {
            return new Dictionary<(PurposeId, int), Notice>();
        }

        await using var connection = await database.OpenConnectionAsync(cancellation);
        var rows = await connection.QueryAsync<NoticeRow>(new CommandDefinition(
            $"select {NoticeRow.Columns} from notice where (purpose_id, version) in (select * from unnest(@purposes, @versions))",
            new { purposes = distinct.Select(notice => notice.Purpose.Value).ToArray(), versions = distinct.Select(notice => notice.Version).ToArray() },
            cancellationToken: cancellation));
        return rows.ToDictionary(row => (new PurposeId(row.PurposeId), row.Version), row => row.ToNotice());
    }

    /// <summary>
    /// Notes that an event names this purpose, after which its channel and basis are fixed. Durable before the first
    /// event is; a crash between the two leaves a purpose that is merely fixed too early.
    /// </summary>
    public async Task MarkInUseAsync(Purpose purpose, DateTimeOffset now, CancellationToken cancellation)
    {
        if (purpose.FirstEventAt is not null)
        {
            return;
        }

        await using var connection = await database.OpenConnectionAsync(cancellation);
        await connection.ExecuteAsync(new CommandDefinition(
            "update purpose set first_event_at = @now where purpose_id = @id and first_event_at is null",
            new { now = now.UtcDateTime, id = purpose.Id.Value },
            cancellationToken: cancellation));
    }

    /// <inheritdoc />
    public ValueTask DisposeAsync() => reads.DisposeAsync();

    /// <summary>
    /// Asks the database whether these purposes are still what was read of them before, and reads anew what is not:
    /// a purpose's row has another xmin after every change, and notices only ever come.
    /// </summary>
    private async Task<IReadOnlyList<Purpose?>> ReadTogetherAsync(IReadOnlyList<string> keys)
    {
        const string Sql = """
            select key, xmin, (select count(*)::integer from notice where notice.purpose_id = purpose.purpose_id)
            from purpose
            where key = any ($1)
            """;
        var wanted = keys.Distinct(StringComparer.Ordinal).ToArray();
        return await DatabaseResilience.Repeatable.ExecuteAsync(
            async token =>
            {
                var found = new Dictionary<string, Purpose>(wanted.Length, StringComparer.Ordinal);
                await using (var command = database.CreateCommand(Sql))
                {
                    command.Parameters.Add(new NpgsqlParameter<string[]> { TypedValue = wanted });
                    await using var reader = await command.ExecuteReaderAsync(token);
                    while (await reader.ReadAsync(token))
                    {
                        var key = reader.GetString(0);
                        if (known.TryGetValue(key, out var before) && before.Revision == (reader.GetFieldValue<uint>(1), reader.GetInt32(2)))
                        {
                            found.Add(key, before.Purpose);
                        }
                    }
                }

                if (found.Count < wanted.Length)
                {
                    await ReadAnewAsync([.. wanted.Where(key => !found.ContainsKey(key))], found, token);
                }

                return keys.Select(key => found.GetValueOrDefault(key)).ToList();
            },
            CancellationToken.None);
    }

    private async Task ReadAnewAsync(string[] keys, Dictionary<string, Purpose> found, CancellationToken cancellation)
    {
        const string Sql = $"select {Columns}, xmin from purpose where key = any (@keys)";
        await using var connection = await database.OpenConnectionAsync(cancellation);
        var rows = await connection.QueryAsync<PurposeRow, uint, (Purpose Purpose, uint Xmin)>(
            new CommandDefinition(Sql, new { keys }, cancellationToken: cancellation), (row, xmin) => (row.ToPurpose(), xmin), splitOn: "xmin");
        foreach (var (purpose, xmin) in rows)
        {
            found.Add(purpose.Key, purpose);
            known[purpose.Key] = ((xmin, purpose.NoticeVersions.Length), purpose);
        }
    }

    /// <summary>Reads one purpose within a caller's connection.</summary>
    internal static async Task<Purpose?> FindForUpdateAsync(NpgsqlConnection connection, PurposeKey key, CancellationToken cancellation) =>
        await FindAsync(connection, $"select {Columns} from purpose where key = @key for update", new { key = key.ToString() }, cancellation);

    private static async Task<Purpose?> FindAsync(NpgsqlConnection connection, string sql, object parameters, CancellationToken cancellation) =>
        (await connection.QuerySingleOrDefaultAsync<PurposeRow>(new CommandDefinition(sql, parameters, cancellationToken: cancellation)))?.ToPurpose();

    /// <summary>In the order of <see cref="Columns"/>, as Dapper needs it.</summary>
    private sealed record PurposeRow(
        int PurposeId, string Key, string Name, string? Description, string Channel, string Basis, bool DoubleOptIn,
        string? ConsentLifetime, string? RenewalReminder, DateTimeOffset? EndsAt, int? MinimumAge, bool SpecialCategory,
        string[] DataCategories, string[] Recipients, string RetentionPending, string RetentionLapsed,
        string? RetentionEvidence, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt, DateTimeOffset? FirstEventAt, int[] NoticeVersions)
    {
        public Purpose ToPurpose() => new()
        {
            Id = new PurposeId(PurposeId),
            Key = Key,
            Name = Name,
            Description = Description,
            Channel = Label<Channel>.Parse(Channel),
            Basis = Label<LawfulBasis>.Parse(Basis),
            DoubleOptIn = DoubleOptIn,
            ConsentLifetime = ReadPeriod(ConsentLifetime),
            RenewalReminder = ReadPeriod(RenewalReminder),
            EndsAt = EndsAt,
            MinimumAge = MinimumAge,
            SpecialCategory = SpecialCategory,
            DataCategories = DataCategories,
            Recipients = Recipients,
            Retention = new PurposeRetention
            {
                Pending = Period.Parse(RetentionPending, null),
                Lapsed = Period.Parse(RetentionLapsed, null),
                Evidence = ReadPeriod(RetentionEvidence),
            },
            CreatedAt = CreatedAt,
            UpdatedAt = UpdatedAt,
            FirstEventAt = FirstEventAt,
            NoticeVersions = NoticeVersions,
        };

        private static Period? ReadPeriod(string? interval) => interval is null ? null : Period.Parse(interval, null);
    }
}
