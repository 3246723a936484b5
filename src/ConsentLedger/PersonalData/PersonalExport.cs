using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Text.Json;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Pages;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.PersonalData;

/// <summary>
/// Everything that is held about the holder of an address (UK GDPR Art 15 and 20, FACTS 35), opened, with what the law
/// wants said beside it. It is read from one snapshot of the database and written while it is read, so that it tells of
/// one moment and takes no more memory the more there is.
/// </summary>
/// <remarks>
/// Not in it: answers to requests that came with an Idempotency-Key. They are sealed under a key that only the sender of
/// the request has, so that nobody here can open them or tell whom they name, and are deleted within a day.
/// </remarks>
public sealed class PersonalExport(
    NpgsqlDataSource database, IEnumerable<IPersonalRecords> records, PurposeCatalogue purposes, SubscriberIds subscribers,
    Organisation organisation, ControllerContact controller, PublicUrl publicUrl, TimeProvider clock)
{
    private const int FlushAt = 64 * 1024;

    internal static readonly JsonSerializerOptions Json = JsonOptions();

    private readonly IReadOnlyList<IPersonalRecords> records = [.. records];

    /// <summary>Opens a snapshot to write from.</summary>
    /// <exception cref="NpgsqlException">The ledger can't be asked; nothing was written.</exception>
    public async Task<Snapshot> OpenAsync(Address address, CancellationToken cancellation)
    {
        var connection = await database.OpenConnectionAsync(cancellation);
        try
        {
            await connection.ExecuteAsync(new CommandDefinition("begin isolation level repeatable read read only", cancellationToken: cancellation));
            var snapshot = new Snapshot(connection, address, subscribers.Of(address), clock.GetUtcNow(), records, organisation.Name ?? publicUrl.Host, controller);
            await snapshot.LookAsync(purposes, cancellation);
            return snapshot;
        }
        catch
        {
            await connection.DisposeAsync();
            throw;
        }
    }

    private static JsonSerializerOptions JsonOptions()
    {
        var options = new JsonSerializerOptions(JsonSerializerDefaults.Web);
        JsonConventions.Apply(options);
        options.MakeReadOnly(populateMissingResolver: true);
        return options;
    }

    /// <summary>One moment of the database, of which one person's part is written.</summary>
    public sealed class Snapshot : IAsyncDisposable
    {
        private readonly NpgsqlConnection connection;

        internal Snapshot(
            NpgsqlConnection connection, Address address, SubscriberId subscriber, DateTimeOffset at, IReadOnlyList<IPersonalRecords> records,
            string organisation, ControllerContact controller)
        {
            this.connection = connection;
            Address = address;
            Subscriber = subscriber;
            At = Instant.Of(at);
            Records = records;
            Organisation = organisation;
            Controller = controller;
        }

        internal Address Address { get; }

        internal SubscriberId Subscriber { get; }

        internal DateTimeOffset At { get; }

        internal IReadOnlyList<IPersonalRecords> Records { get; }

        internal string Organisation { get; }

        internal ControllerContact Controller { get; }

        /// <summary>The purposes that anything is recorded for.</summary>
        internal IReadOnlyList<Purpose> Purposes { get; private set; } = [];

        /// <summary>True if there is nothing at all about this address.</summary>
        internal bool IsEmpty { get; private set; }

        /// <summary>All of it as one JSON object, a member for each kind of record.</summary>
        public async Task WriteJsonAsync(Stream output, CancellationToken cancellation)
        {
            var pipe = PipeWriter.Create(output, new StreamPipeWriterOptions(leaveOpen: true));
            await using var json = new Utf8JsonWriter(pipe, new JsonWriterOptions { Encoder = Json.Encoder, Indented = true });
            json.WriteStartObject();
            json.WriteString("subscriberId", Subscriber.Value);
            json.WriteString("address", Address.Given);
            Write("exportedAt", At);
            json.WriteBoolean("nothingHeld", IsEmpty);
            Write("controller", new { Name = Organisation, Controller.Address, Controller.Email, Controller.Phone, Controller.DataProtectionOfficer, Controller.RegistrationNumber });
            Write("purposes", Purposes.Select(ExportedPurpose.Of));
            foreach (var kind in Records)
            {
                json.WriteStartArray(kind.Name);
                await foreach (var record in ReadAsync(kind, cancellation))
                {
                    JsonSerializer.Serialize(json, record, record.GetType(), Json);
                    if (pipe.UnflushedBytes > FlushAt)
                    {
                        await pipe.FlushAsync(cancellation);
                    }
                }

                json.WriteEndArray();
            }

            json.WriteEndObject();
            json.Flush();
            await pipe.CompleteAsync();

            void Write<T>(string name, T value)
            {
                json.WritePropertyName(name);
                JsonSerializer.Serialize(json, value, Json);
            }
        }

        /// <summary>The records of one kind.</summary>
        internal IAsyncEnumerable<object> ReadAsync(IPersonalRecords kind, CancellationToken cancellation) => kind.ReadAsync(connection, Subscriber, cancellation);

        /// <summary>The records of one kind as the JSON shows them.</summary>
        internal async IAsyncEnumerable<JsonElement> ReadJsonAsync(IPersonalRecords kind, [EnumeratorCancellation] CancellationToken cancellation)
        {
            await foreach (var record in ReadAsync(kind, cancellation))
            {
                yield return JsonSerializer.SerializeToElement(record, record.GetType(), Json);
            }
        }

        /// <summary>Finds what has to be known before the first record is written.</summary>
        internal async Task LookAsync(PurposeCatalogue purposes, CancellationToken cancellation)
        {
            const string Sql = """
                select purpose_id from consent_event where subscriber_id = @Value
                union select purpose_id from consent_state where subscriber_id = @Value
                union select purpose_id from suppression where subscriber_id = @Value
                union select purpose_id from evidence where guardian_id = @Value
                """;
            var named = (await connection.QueryAsync<int>(new CommandDefinition(Sql, new { Subscriber.Value }, cancellationToken: cancellation))).ToHashSet();
            Purposes = [.. (await purposes.ListAsync(cancellation)).Where(purpose => named.Contains(purpose.Id.Value))];
            IsEmpty = true;
            foreach (var kind in Records.Where(kind => !kind.TellsOfHandling))
            {
                await using var first = ReadAsync(kind, cancellation).GetAsyncEnumerator(cancellation);
                IsEmpty &= !await first.MoveNextAsync();
            }
        }

        /// <inheritdoc />
        public async ValueTask DisposeAsync()
        {
            // Nothing was written, so it makes no difference how the transaction ends; but the pool must not get it open.
            if (connection.State == System.Data.ConnectionState.Open)
            {
                await connection.ExecuteAsync("rollback");
            }

            await connection.DisposeAsync();
        }
    }
}

/// <summary>What a purpose means for the people whose data it uses (UK GDPR Art 15(1)).</summary>
/// <param name="Key">The slug it is called by.</param>
/// <param name="Name">What subscribers know it as.</param>
/// <param name="Description">What subscribers get.</param>
/// <param name="Channel">How messages for it are sent.</param>
/// <param name="Basis">What makes writing for it lawful, unless an event says otherwise.</param>
/// <param name="SpecialCategory">True if a consent reveals special category data.</param>
/// <param name="DataCategories">Categories of personal data used for it.</param>
/// <param name="Recipients">Who receives the data.</param>
/// <param name="ConsentLifetime">How long a consent is good for; null for as long as it is not withdrawn.</param>
/// <param name="EndsAt">When the purpose ends.</param>
/// <param name="Retention">How long records are kept once they lapse.</param>
public sealed record ExportedPurpose(
    string Key, string Name, string? Description, Channel Channel, LawfulBasis Basis, bool SpecialCategory, IReadOnlyList<string> DataCategories,
    IReadOnlyList<string> Recipients, Period? ConsentLifetime, DateTimeOffset? EndsAt, PurposeRetention Retention)
{
    /// <summary>Of a purpose.</summary>
    public static ExportedPurpose Of(Purpose purpose) => new(
        purpose.Key, purpose.Name, purpose.Description, purpose.Channel, purpose.Basis, purpose.SpecialCategory, purpose.DataCategories,
        purpose.Recipients, purpose.ConsentLifetime, purpose.EndsAt, purpose.Retention);
}

/// <summary>How the parts of this layer come into the container.</summary>
public static class PersonalDataServices
{
    /// <summary>Adds the export, and the records of the layers below. Every feature that keeps some adds its own.</summary>
    public static IServiceCollection AddPersonalData(this IServiceCollection services, IConfiguration configuration)
    {
        services
            .AddSingleton(ControllerContact.Read(configuration))
            .AddSingleton<PersonalExport>()
            .AddSingleton<ExportArchive>()
            .AddSingleton<PersonalDownload>()
            .AddSingleton<Rectification>()
            .AddSingleton<Erasure>()
            .AddSingleton(provider => new ErasureJournal(ErasureJournal.FolderOf(configuration, provider.GetRequiredService<DataDirectory>().Path)))
            .AddSingleton<JournalKeeper>()
            .AddHostedService(provider => provider.GetRequiredService<JournalKeeper>())
            .AddSingleton<IPersonalRecords, AddressRecords>()
            .AddSingleton<IPersonalRecords, StateRecords>()
            .AddSingleton<IPersonalRecords, EventRecords>()
            .AddSingleton<IPersonalRecords, GuardianshipRecords>()
            .AddSingleton<IPersonalRecords, SuppressionRecords>()
            .AddSingleton<IPersonalRecords, HoldRecords>()
            .AddSingleton<IPersonalRecords, MailRecords>()
            .AddSingleton<IPersonalRecords, MailFileRecords>()
            .AddSingleton<IPersonalRecords, PurgeRecords>()
            .AddSingleton<IPersonalRecords, ErasureRecords>()
            .AddSingleton<IPersonalRecords, AuditRecords>();
        return services;
    }
}
