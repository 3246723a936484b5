using System.Text.Json;
using ConsentLedger.Database;
using Dapper;
using Npgsql;

namespace ConsentLedger.Security;

/// <summary>
/// Records who did what, for <c>GET /v1/audit</c>. Append-only by grant. What changes something is recorded in the
/// transaction that changes it: the two are there together or not at all. What only shows something is recorded before
/// it is shown: a reader of whom nothing can be recorded is told nothing.
/// </summary>
public sealed class AuditTrail(NpgsqlDataSource database, TimeProvider clock)
{
    private const string Sql = """
        insert into audit_entry (
            audit_id, happened_at, action, actor, key_id, command, about_subscriber, purpose, target, details, request_id)
        values (
            @id, @now, @Action, @actor::audit_actor, @KeyId, @Verb, @SubscriberId, @Purpose, @Target, @details::json, @RequestId)
        """;

    /// <summary>Records it in the transaction that this connection is in; it is durable once that commits.</summary>
    public Task WriteAsync(NpgsqlConnection connection, Actor by, AuditEntry entry, CancellationToken cancellation)
    {
        var now = Instant.Of(clock.GetUtcNow());
        return connection.ExecuteAsync(new CommandDefinition(
            Sql,
            new
            {
                id = Guid.CreateVersion7(now),
                now = now.UtcDateTime,
                entry.Action,
                actor = Label<ActorKind>.Of(by.Kind),
                by.KeyId,
                by.Verb,
                entry.SubscriberId,
                entry.Purpose,
                entry.Target,
                details = JsonSerializer.Serialize(entry.Details),
                by.RequestId,
            },
            cancellationToken: cancellation));
    }

    /// <summary>Records it by itself; it is durable when this returns.</summary>
    /// <exception cref="NpgsqlException">It could not be recorded.</exception>
    public async Task WriteAsync(Actor by, AuditEntry entry, CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await WriteAsync(connection, by, entry, cancellation);
    }
}

/// <summary>What was done, and to what. Nothing here may hold an address, or anything else that is personal.</summary>
/// <param name="Action">One of <see cref="AuditAction"/>.</param>
public sealed record AuditEntry(string Action)
{
    /// <summary>Whose records it is about, as the value of a subscriber's id; null if no one's.</summary>
    public Guid? SubscriberId { get; init; }

    /// <summary>The purpose's key; null if it is about none.</summary>
    public string? Purpose { get; init; }

    /// <summary>What else it was done to: an id or a key.</summary>
    public string? Target { get; init; }

    /// <summary>Counts and settings.</summary>
    public IReadOnlyDictionary<string, string> Details { get; init; } = NoDetails;

    private static readonly Dictionary<string, string> NoDetails = [];
}
