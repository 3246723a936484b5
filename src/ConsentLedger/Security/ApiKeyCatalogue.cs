using System.Collections.Concurrent;
using System.Collections.Frozen;
using ConsentLedger.Database;
using Dapper;
using Npgsql;

namespace ConsentLedger.Security;

/// <summary>A key that was made: what it may do, and for which purposes; never the key itself.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Name">What people call it.</param>
/// <param name="Scopes">What it may do.</param>
/// <param name="Purposes">The purposes it is bound to; null for all.</param>
/// <param name="CreatedAt">When it was made.</param>
/// <param name="ExpiresAt">When it stops; null for never.</param>
/// <param name="RevokedAt">When it was stopped; null if it was not.</param>
public sealed record ApiKeyRecord(
    Guid Id, string Name, string[] Scopes, string[]? Purposes, DateTimeOffset CreatedAt, DateTimeOffset? ExpiresAt, DateTimeOffset? RevokedAt);

/// <summary>
/// The keys that were made. A key that was found is remembered for <see cref="Remembered"/>, so a revoked one stops
/// within that time everywhere, and at once on the instance that revoked it.
/// </summary>
public sealed class ApiKeyCatalogue(LedgerDatabase ledger, KeyRing keys, AuditTrail audit, TimeProvider clock)
{
    /// <summary>How long a key that was found is remembered.</summary>
    public static readonly TimeSpan Remembered = TimeSpan.FromSeconds(5);

    private const string Columns = "key_id as id, name, scopes, purposes, created_at, expires_at, revoked_at";

    private readonly NpgsqlDataSource database = ledger.Service;
    private readonly ConcurrentDictionary<string, (Caller Caller, DateTimeOffset Until)> known = new(StringComparer.Ordinal);

    /// <summary>Who shows this key, or null: not a key, not one of ours, revoked, expired.</summary>
    public async ValueTask<Caller?> FindAsync(string key, CancellationToken cancellation)
    {
        var now = clock.GetUtcNow();
        if (known.TryGetValue(key, out var remembered) && remembered.Until > now)
        {
            return remembered.Caller;
        }

        known.TryRemove(key, out _);
        if (ApiKey.Hash(key, keys) is not { } hash)
        {
            return null;
        }

        var record = await ledger.ShortWork.ExecuteAsync(
            async token =>
            {
                await using var connection = await database.OpenConnectionAsync(token);
                return await connection.QuerySingleOrDefaultAsync<ApiKeyRecord>(new CommandDefinition(
                    $"select {Columns} from api_key where hash = @hash and revoked_at is null and (expires_at is null or expires_at > @now)",
                    new { hash, now = now.UtcDateTime },
                    cancellationToken: token));
            },
            cancellation);
        if (record is null)
        {
            return null;
        }

        var caller = new Caller(record.Id, record.Scopes.ToFrozenSet(), record.Purposes?.ToFrozenSet());
        var until = now + Remembered;
        known[key] = (caller, record.ExpiresAt < until ? record.ExpiresAt.Value : until);
        return caller;
    }

    /// <summary>Makes a key and stores its hash, with who made it; the key itself is only ever in the answer.</summary>
    public async Task<(string Key, ApiKeyRecord Record)> CreateAsync(
        Actor by, string name, IReadOnlyList<string> scopes, IReadOnlyList<string>? purposes, DateTimeOffset? expiresAt, CancellationToken cancellation)
    {
        var now = Instant.Of(clock.GetUtcNow());
        var key = ApiKey.New();
        var record = new ApiKeyRecord(Guid.CreateVersion7(now), name, [.. scopes], purposes?.ToArray(), now, expiresAt, null);
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await connection.ExecuteAsync(new CommandDefinition(
            """
            insert into api_key (key_id, name, hash, scopes, purposes, created_at, expires_at)
            values (@Id, @Name, @Hash, @Scopes, @Purposes, @CreatedAt, @ExpiresAt)
            """,
            new { record.Id, record.Name, Hash = ApiKey.Hash(key, keys), record.Scopes, record.Purposes, record.CreatedAt, record.ExpiresAt },
            cancellationToken: cancellation));
        await audit.WriteAsync(
            connection,
            by,
            new AuditEntry(AuditAction.KeyCreated) { Target = record.Id.ToString("D"), Details = new Dictionary<string, string> { ["scopes"] = string.Join(' ', scopes) } },
            cancellation);
        await transaction.CommitAsync(cancellation);
        return (key, record);
    }

    /// <summary>Every key, newest first; with <paramref name="after"/>, those made before it.</summary>
    public async Task<IReadOnlyList<ApiKeyRecord>> ListAsync(Guid? after, int limit, CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        var records = await connection.QueryAsync<ApiKeyRecord>(new CommandDefinition(
            $"select {Columns} from api_key where key_id < @after order by key_id desc limit @limit",
            new { after = after ?? Guid.AllBitsSet, limit },
            cancellationToken: cancellation));
        return records.AsList();
    }

    /// <summary>Stops a key; false if there is no such key. Stopping one twice changes nothing.</summary>
    public async Task<bool> RevokeAsync(Actor by, Guid id, CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var stopped = await connection.ExecuteAsync(new CommandDefinition(
            "update api_key set revoked_at = @now where key_id = @id and revoked_at is null",
            new { now = Instant.Of(clock.GetUtcNow()), id },
            cancellationToken: cancellation));
        if (stopped == 0)
        {
            known.Clear();
            return await connection.ExecuteScalarAsync<bool>(new CommandDefinition(
                "select exists (select from api_key where key_id = @id)", new { id }, cancellationToken: cancellation));
        }

        await audit.WriteAsync(connection, by, new AuditEntry(AuditAction.KeyRevoked) { Target = id.ToString("D") }, cancellation);
        await transaction.CommitAsync(cancellation);
        known.Clear();
        return true;
    }

    /// <summary>True if no key was ever made: the installation is new.</summary>
    public async Task<bool> IsEmptyAsync(CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        return !await connection.ExecuteScalarAsync<bool>(new CommandDefinition("select exists (select from api_key)", cancellationToken: cancellation));
    }
}
