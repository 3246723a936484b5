using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using ConsentLedger.Database;
using ConsentLedger.Security;
using Dapper;
using Npgsql;

namespace ConsentLedger.Http;

/// <summary>
/// The requests that came with an Idempotency-Key, and the answers they were given. Nothing in the table is readable
/// without the installation's keys: keys, targets and bodies are keyed hashes, answers are sealed, and open only for who sends
/// the Idempotency-Key again.
/// </summary>
internal sealed class IdempotencyStore(NpgsqlDataSource database, Sealer sealer, KeyRing keys, TimeProvider clock)
{
    /// <summary>How long an answer is kept (API "Conventions").</summary>
    public static readonly TimeSpan Kept = TimeSpan.FromHours(24);

    /// <summary>How long a request that says nothing more is taken to be running.</summary>
    public static readonly TimeSpan Lease = TimeSpan.FromSeconds(30);

    private const int Batch = 5000;

    /// <summary>
    /// Takes the row for this attempt, or says what stands in the way. It is taken, in one statement, when there is
    /// none, when the one there is has outlived <see cref="Kept"/>, or when the attempt that held it has let its lease
    /// run out: of several retries that try, PostgreSQL's row lock lets one through, and the others then see its lease.
    /// </summary>
    public async Task<Claim> ClaimAsync(Request request, CancellationToken cancellation)
    {
        // A row that is released between the two statements is gone for the second: then the first has its turn again.
        for (var turn = 0; turn < 3; turn++)
        {
            var claim = await DatabaseResilience.Repeatable.ExecuteAsync(token => TryClaimAsync(request, token), cancellation);
            if (claim is not null)
            {
                return claim;
            }
        }

        return new Claim.InFlight();
    }

    private async ValueTask<Claim?> TryClaimAsync(Request request, CancellationToken cancellation)
    {
        // The last alternative below is this same attempt, repeated because the connection broke before it was told.
        const string Take = """
            insert into idempotency as kept (
                key_id, key_digest, attempt, target_digest, body_digest, in_flight_until, created_at)
            values (@KeyId, @KeyDigest, @Attempt, @TargetDigest, @BodyDigest, @until, @now)
            on conflict on constraint idempotency_pk do update
            set attempt = excluded.attempt, target_digest = excluded.target_digest, body_digest = excluded.body_digest,
                in_flight_until = excluded.in_flight_until, status = null, answer = null,
                created_at = case when kept.created_at <= @outlived then excluded.created_at else kept.created_at end
            where (kept.created_at <= @outlived and kept.in_flight_until <= @now)
                or (kept.status is null and kept.in_flight_until <= @now and kept.target_digest = excluded.target_digest
                    and (kept.body_digest is null or excluded.body_digest is null or kept.body_digest = excluded.body_digest))
                or kept.attempt = excluded.attempt
            returning created_at
            """;
        const string Look = """
            select target_digest, body_digest, status, answer from idempotency
            where key_id = @KeyId and key_digest = @KeyDigest
            """;
        var now = Instant.Of(clock.GetUtcNow());
        await using var connection = await database.OpenConnectionAsync(cancellation);
        var firstSeenAt = await connection.QuerySingleOrDefaultAsync<DateTimeOffset?>(new CommandDefinition(
            Take,
            new { request.KeyId, request.KeyDigest, request.Attempt, request.TargetDigest, request.BodyDigest, until = now + Lease, now, outlived = now - Kept },
            cancellationToken: cancellation));
        if (firstSeenAt is { } time)
        {
            return new Claim.Taken(time);
        }

        var row = await connection.QuerySingleOrDefaultAsync<Row>(new CommandDefinition(
            Look, new { request.KeyId, request.KeyDigest }, cancellationToken: cancellation));
        return row is null ? null
            : !Same(row.TargetDigest, request.TargetDigest) || !Same(row.BodyDigest, request.BodyDigest) ? new Claim.Reused()
            : row.Status is not { } status ? new Claim.InFlight()
            : new Claim.Answered(row.BodyDigest!, Open(request, status, row.Answer!));
    }

    /// <summary>True unless both are known and differ.</summary>
    private static bool Same(byte[]? one, byte[]? other) =>
        one is null || other is null || CryptographicOperations.FixedTimeEquals(one, other);

    /// <summary>Says that the attempt is still running. False if the row is no longer its own.</summary>
    public Task<bool> RenewAsync(Request request, CancellationToken cancellation) =>
        ExecuteAsync(
            """
            update idempotency set in_flight_until = @now + @Lease
            where key_id = @KeyId and key_digest = @KeyDigest and attempt = @Attempt and status is null
            """,
            new { request.KeyId, request.KeyDigest, request.Attempt, now = Now, Lease },
            cancellation);

    /// <summary>
    /// Keeps the answer; from then on every retry gets it. An attempt that was given up for dead, and whose row another
    /// one took over, keeps nothing.
    /// </summary>
    public Task<bool> AnswerAsync(Request request, byte[] bodyDigest, StoredAnswer answer, CancellationToken cancellation) =>
        ExecuteAsync(
            """
            update idempotency set status = @Status, answer = @sealed, body_digest = @bodyDigest, in_flight_until = @now
            where key_id = @KeyId and key_digest = @KeyDigest and attempt = @Attempt
            """,
            new { request.KeyId, request.KeyDigest, request.Attempt, answer.Status, @sealed = Seal(request, answer), bodyDigest, now = Now },
            cancellation);

    /// <summary>
    /// Ends the attempt without an answer. A retry takes the row over at once, as the same request: it may already
    /// have done something, so its <see cref="IdempotentRequest.FirstSeenAt"/> stays.
    /// </summary>
    public Task<bool> AbandonAsync(Request request, CancellationToken cancellation) =>
        ExecuteAsync(
            """
            update idempotency set in_flight_until = @now
            where key_id = @KeyId and key_digest = @KeyDigest and attempt = @Attempt and status is null
            """,
            new { request.KeyId, request.KeyDigest, request.Attempt, now = Now },
            cancellation);

    /// <summary>Forgets a request that was turned away before it did anything.</summary>
    public Task<bool> ForgetAsync(Request request, CancellationToken cancellation) =>
        ExecuteAsync(
            "delete from idempotency where key_id = @KeyId and key_digest = @KeyDigest and attempt = @Attempt and status is null",
            new { request.KeyId, request.KeyDigest, request.Attempt },
            cancellation);

    /// <summary>Deletes what has outlived <see cref="Kept"/>, a batch at a time, and returns how many went.</summary>
    public async Task<int> DeleteOutlivedAsync(CancellationToken cancellation)
    {
        const string Sql = """
            delete from idempotency
            where (key_id, key_digest) in (
                select key_id, key_digest from idempotency
                where created_at <= @outlived and in_flight_until <= @now
                order by created_at
                limit @Batch)
            and created_at <= @outlived
            """;
        var deleted = 0;
        int batch;
        do
        {
            await using var connection = await database.OpenConnectionAsync(cancellation);
            batch = await connection.ExecuteAsync(new CommandDefinition(
                Sql, new { outlived = Now - Kept, now = Now, Batch }, cancellationToken: cancellation));
            deleted += batch;
        }
        while (batch == Batch);

        return deleted;
    }

    /// <summary>What a request is recognised by.</summary>
    public Request Recognise(Guid keyId, string key, HttpRequest request)
    {
        // A length before each part, so that no two requests run into the same text.
        var path = request.PathBase.Add(request.Path).Value ?? string.Empty;
        var query = request.QueryString.Value ?? string.Empty;
        var target = Encoding.UTF8.GetBytes($"{request.Method} {path.Length}:{path}{query}");
        return new Request
        {
            KeyId = keyId,
            Key = key,
            KeyDigest = HMACSHA256.HashData(keys.RequestDigestKey, Encoding.ASCII.GetBytes(key)),
            Attempt = Guid.CreateVersion7(clock.GetUtcNow()),
            TargetDigest = HMACSHA256.HashData(keys.RequestDigestKey, target),
        };
    }

    private DateTimeOffset Now => Instant.Of(clock.GetUtcNow());

    private async Task<bool> ExecuteAsync(string sql, object parameters, CancellationToken cancellation) =>
        await DatabaseResilience.Repeatable.ExecuteAsync(
            async token =>
            {
                await using var connection = await database.OpenConnectionAsync(token);
                return await connection.ExecuteAsync(new CommandDefinition(sql, parameters, cancellationToken: token)) > 0;
            },
            cancellation);

    private byte[] Seal(Request request, StoredAnswer answer) =>
        sealer.Seal(JsonSerializer.SerializeToUtf8Bytes(answer), Place(request), Encoding.ASCII.GetBytes(request.Key));

    private StoredAnswer Open(Request request, int status, byte[] box)
    {
        var plaintext = sealer.Open(box, Place(request), Encoding.ASCII.GetBytes(request.Key));
        return JsonSerializer.Deserialize<StoredAnswer>(plaintext)! with { Status = status };
    }

    private static byte[] Place(Request request) => SealedPlace.Of("idempotency", request.KeyId, request.Key);

    private sealed record Row(byte[] TargetDigest, byte[]? BodyDigest, int? Status, byte[]? Answer);

    /// <summary>One attempt at a request that has an Idempotency-Key.</summary>
    internal sealed record Request
    {
        public required Guid KeyId { get; init; }

        public required string Key { get; init; }

        public required byte[] KeyDigest { get; init; }

        public required Guid Attempt { get; init; }

        public required byte[] TargetDigest { get; init; }

        /// <summary>Null where the body is only known once it was read.</summary>
        public byte[]? BodyDigest { get; init; }
    }

    /// <summary>The answer a request was given, as it is given again.</summary>
    internal sealed record StoredAnswer(int Status, IReadOnlyDictionary<string, string> Headers, byte[] Body);

    /// <summary>What became of the attempt to take the row.</summary>
    internal abstract record Claim
    {
        /// <summary>This attempt runs the request.</summary>
        internal sealed record Taken(DateTimeOffset FirstSeenAt) : Claim;

        /// <summary>Another one is running it.</summary>
        internal sealed record InFlight : Claim;

        /// <summary>The key stands for another request.</summary>
        internal sealed record Reused : Claim;

        /// <summary>It was answered; for a body not read yet it remains to be seen whether it is the same.</summary>
        internal sealed record Answered(byte[] BodyDigest, StoredAnswer Answer) : Claim;
    }
}
