using System.Runtime.CompilerServices;
using System.Text.Json;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.PersonalData;

/// <summary>Who did what with the person's records. Kept after an erasure: it shows that the law was kept, and holds no address.</summary>
internal sealed class AuditRecords : IPersonalRecords
{
    public string Name => "audit";

    public bool TellsOfHandling => true;

    public IReadOnlyList<string> Columns =>
        ["audit_entry.action", "audit_entry.command", "audit_entry.purpose", "audit_entry.target", "audit_entry.details", "audit_entry.request_id"];

    public IReadOnlyList<string> Fields => ["happenedAt", "action", "actor", "purpose", "target", "details", "command", "keyId", "requestId"];

    public async IAsyncEnumerable<object> ReadAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const string Sql = """
            select happened_at, action, actor::text, key_id, command, purpose, target, details::text, request_id
            from audit_entry
            where about_subscriber = @Value
            order by audit_id desc
            """;
        await foreach (var row in connection.QueryUnbufferedAsync<Row>(Sql, new { subscriber.Value }).WithCancellation(cancellation))
        {
            yield return new AuditRecord(
                row.HappenedAt, row.Action, row.Actor, row.KeyId, row.Command, row.Purpose, row.Target,
                JsonSerializer.Deserialize<Dictionary<string, string>>(row.Details)!, row.RequestId);
        }
    }

    private sealed record Row(
        DateTimeOffset HappenedAt, string Action, string Actor, Guid? KeyId, string? Command, string? Purpose, string? Target, string Details, string? RequestId);
}

/// <summary>Something that was done with the person's records.</summary>
/// <param name="HappenedAt">When.</param>
/// <param name="Action">What.</param>
/// <param name="Actor">What kind of actor did it.</param>
/// <param name="KeyId">By which key.</param>
/// <param name="Command">By which verb on the machine.</param>
/// <param name="Purpose">For which purpose.</param>
/// <param name="Target">To what else.</param>
/// <param name="Details">Counts and settings.</param>
/// <param name="RequestId">In which request.</param>
public sealed record AuditRecord(
    DateTimeOffset HappenedAt, string Action, string Actor, Guid? KeyId, string? Command, string? Purpose, string? Target,
    IReadOnlyDictionary<string, string> Details, string? RequestId);
