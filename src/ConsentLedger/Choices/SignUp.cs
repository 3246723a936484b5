using System.Text.Json;
using System.Text.Json.Serialization;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.Choices;

/// <summary>
/// Somebody asked to hear about something: all that is needed to look into it, and to show later how it came about.
/// </summary>
/// <param name="Form">The form's key; null for the preference centre.</param>
/// <param name="Address">The address, as given.</param>
/// <param name="Guardian">The guardian's, for a child; null otherwise.</param>
/// <param name="Language">The language to write in.</param>
/// <param name="Choices">What was chosen.</param>
/// <param name="Source">By which way it came.</param>
/// <param name="Url">The page it happened on.</param>
/// <param name="Ip">From which IP address.</param>
/// <param name="UserAgent">What the browser called itself.</param>
/// <param name="Fields">The form's own fields, as filled in.</param>
internal sealed record SignUp(
    string? Form, string Address, string? Guardian, string Language, IReadOnlyList<Choice> Choices, SourceKind Source, string? Url, string? Ip,
    string? UserAgent, IReadOnlyDictionary<string, string> Fields)
{
    /// <summary>Whose address confirms.</summary>
    [JsonIgnore]
    public Address Recipient => Subscribers.Address.Parse(Guardian ?? Address, provider: null);

    /// <summary>What the source is called.</summary>
    [JsonIgnore]
    public string? Reference => Form is null ? null : $"form {Form}";

    /// <summary>What is kept with the request for consent (FACTS 26, 44).</summary>
    public Evidence? Evidence(Offer? offer) => Ledger.Evidence.Of(
        Details(offer),
        sourceReference: Reference,
        sourceUrl: Url,
        guardian: Guardian is null ? null : new Dictionary<string, object?> { ["address"] = Guardian });

    private Dictionary<string, object?> Details(Offer? offer)
    {
        var details = new Dictionary<string, object?> { ["language"] = Language };
        Add(details, "form", Form);
        Add(details, "ip", Ip);
        Add(details, "userAgent", UserAgent);
        Add(details, "noticeDigest", offer?.Notice?.Digest);
        if (Fields.Count > 0)
        {
            details["fields"] = Fields.ToDictionary(field => field.Key, field => (object?)field.Value);
        }

        return details;
    }

    internal static void Add(Dictionary<string, object?> details, string name, string? value)
    {
        if (value is not null)
        {
            details[name] = value;
        }
    }
}

/// <summary>A sign-up as it lies in the database.</summary>
internal sealed record SignUpRow(Guid SubscriberId, Guid SignUpId, string Status, byte[]? Details, int Attempts, DateTimeOffset ReceivedAt) : IQueuedRow
{
    public const string Columns = "subscriber_id, sign_up_id, status::text, details, attempts, received_at";

    public SubscriberId Subscriber => new(SubscriberId);

    Guid IQueuedRow.Id => SignUpId;
}

/// <summary>The sign-ups that were received. Everything in them that is personal is sealed.</summary>
internal sealed class SignUpStore(NpgsqlDataSource database, Sealer sealer, SubscriberIds subscribers, KeyRing keys, TimeProvider clock)
{
    /// <summary>How long a sign-up is kept; what came of it is in the ledger.</summary>
    public static readonly TimeSpan Kept = TimeSpan.FromDays(30);

    private const string Table = "sign_up";

    /// <summary>
    /// Writes a sign-up down; it is durable when this returns. The same work for everybody, known or not: what comes of
    /// it is found out after the answer. With an id of the caller's, said twice it is written once.
    /// </summary>
    public async Task ReceiveAsync(SignUp signUp, Guid? id, CancellationToken cancellation)
    {
        var now = Instant.Of(clock.GetUtcNow());
        var subscriber = subscribers.Of(Address.Parse(signUp.Address, provider: null)).Value;
        var guardian = GuardianOf(signUp);
        var signUpId = id ?? Guid.CreateVersion7(now);
        var details = Seal(subscriber, signUpId, signUp);
        await DatabaseResilience.Repeatable.ExecuteAsync(
            async token =>
            {
                await using var connection = await database.OpenConnectionAsync(token);
                return await connection.ExecuteAsync(new CommandDefinition(
                    """
                    insert into sign_up (subscriber_id, sign_up_id, details, next_attempt_at, received_at, guardian_id)
                    values (@subscriber, @signUpId, @details, @now, @now, @guardian)
                    on conflict (subscriber_id, sign_up_id) do nothing
                    """,
                    new { subscriber, signUpId, details, now, guardian },
                    cancellationToken: token));
            },
            cancellation);
    }

    /// <summary>
    /// Writes down, in the connection's transaction, a request that is put to somebody in the same transaction: by whoever
    /// knows already that it may be.
    /// </summary>
    public async Task<SignUpRow> AskAsync(
        NpgsqlConnection connection, SubscriberId subscriber, SignUp signUp, DateTimeOffset at, CancellationToken cancellation)
    {
        var row = new SignUpRow(subscriber.Value, Guid.CreateVersion7(at), "asked", null, 0, at);
        row = row with { Details = Seal(row.SubscriberId, row.SignUpId, signUp) };
        await connection.ExecuteAsync(new CommandDefinition(
            """
            insert into sign_up (subscriber_id, sign_up_id, status, details, next_attempt_at, received_at, guardian_id)
            values (@SubscriberId, @SignUpId, 'asked', @Details, @ReceivedAt, @ReceivedAt, @guardian)
            """,
            new { row.SubscriberId, row.SignUpId, row.Details, row.ReceivedAt, guardian = GuardianOf(signUp) },
            cancellationToken: cancellation));
        return row;
    }

    /// <summary>What a row says; only rows that are open say anything.</summary>
    public SignUp Open(SignUpRow row) =>
        JsonSerializer.Deserialize<SignUp>(sealer.Open(row.Details, SealedPlace.Of(Table, row.SubscriberId, row.SignUpId)))!;

    /// <summary>Moves a row on, in the connection's transaction: to open with these details, or to closed without any.</summary>
    public Task MoveAsync(NpgsqlConnection connection, SignUpRow row, string status, SignUp? details, CancellationToken cancellation) =>
        connection.ExecuteAsync(new CommandDefinition(
            """
            update sign_up
            set status = @status::sign_up_status, details = @details, guardian_id = case when @details is null then null else guardian_id end
            where subscriber_id = @SubscriberId and sign_up_id = @SignUpId
            """,
            new
            {
                status,
                details = details is null ? null : Seal(row.SubscriberId, row.SignUpId, details),
                row.SubscriberId,
                row.SignUpId,
            },
            cancellationToken: cancellation));

    /// <summary>Reads the row a link names.</summary>
    public static Task<SignUpRow?> FindAsync(NpgsqlConnection connection, ConfirmToken link, CancellationToken cancellation) =>
        connection.QuerySingleOrDefaultAsync<SignUpRow?>(new CommandDefinition(
            $"select {SignUpRow.Columns} from sign_up where subscriber_id = @Value and sign_up_id = @SignUp",
            new { link.Subscriber.Value, link.SignUp },
            cancellationToken: cancellation));

    /// <summary>Reads the row a link names, and has whoever else wants to move it wait.</summary>
    public static Task<SignUpRow?> LockAsync(NpgsqlConnection connection, ConfirmToken link, CancellationToken cancellation) =>
        connection.QuerySingleOrDefaultAsync<SignUpRow?>(new CommandDefinition(
            $"select {SignUpRow.Columns} from sign_up where subscriber_id = @Value and sign_up_id = @SignUp for update",
            new { link.Subscriber.Value, link.SignUp },
            cancellationToken: cancellation));

    /// <summary>
    /// From here to the end of the transaction nobody else decides about this address: what is read of it stays so, and
    /// the mails to it are counted one at a time.
    /// </summary>
    public static async Task LockAsync(NpgsqlConnection connection, SubscriberId one, SubscriberId other, CancellationToken cancellation)
    {
        foreach (var key in new[] { one, other }.Select(id => BitConverter.ToInt64(id.Value.ToByteArray())).Distinct().Order())
        {
            await connection.ExecuteAsync(new CommandDefinition("select pg_advisory_xact_lock(@key)", new { key }, cancellationToken: cancellation));
        }
    }

    /// <summary>The id of an event that a sign-up comes to: the same each time, so that nothing is recorded twice.</summary>
    public EventId EventIdFor(SignUpRow row, string step, PurposeId purpose, DateTimeOffset at) => EventId.Of(
        keys.EventIdKey, at, CanonicalJson.Write(new Dictionary<string, object?>
        {
            ["signUp"] = row.SignUpId.ToString(),
            ["step"] = step,
            ["purpose"] = purpose.Value,
        }));

    private Guid? GuardianOf(SignUp signUp) => signUp.Guardian is { } given ? subscribers.Of(Address.Parse(given, provider: null)).Value : null;

    private byte[] Seal(Guid subscriber, Guid id, SignUp signUp) =>
        sealer.Seal(JsonSerializer.SerializeToUtf8Bytes(signUp), SealedPlace.Of(Table, subscriber, id));
}
