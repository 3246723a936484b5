using System.Runtime.CompilerServices;
using ConsentLedger.Choices;
using ConsentLedger.PersonalData;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.SignUps;

/// <summary>
/// The forms a person filled in, with what they filled in while that is still needed. Of those in which they are named as the
/// guardian of a child, that they are: what the child filled in is the child's.
/// </summary>
internal sealed class SignUpRecords(SignUpStore store) : IPersonalRecords
{
    public string Name => "signUps";

    public IReadOnlyList<string> Columns => ["sign_up.details"];

    public IReadOnlyList<string> Fields =>
        ["receivedAt", "status", "form", "address", "guardian", "language", "url", "ip", "userAgent", "fields"];

    public async IAsyncEnumerable<object> ReadAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const string Sql = $"select {SignUpRow.Columns} from sign_up where subscriber_id = @Value or guardian_id = @Value order by received_at desc, sign_up_id";
        await foreach (var row in connection.QueryUnbufferedAsync<SignUpRow>(Sql, new { subscriber.Value }).WithCancellation(cancellation))
        {
            var said = row.Details is null ? null : store.Open(row);
            yield return row.Subscriber != subscriber
                ? new SignUpRecord(row.ReceivedAt, row.Status, said?.Form, null, said?.Guardian, said?.Language, null, null, null, null)
                : new SignUpRecord(
                    row.ReceivedAt, row.Status, said?.Form, said?.Address, said?.Guardian, said?.Language, said?.Url, said?.Ip, said?.UserAgent, said?.Fields);
        }
    }

    public Task EraseAsync(NpgsqlConnection connection, SubscriberId subscriber, CancellationToken cancellation) =>
        connection.ExecuteAsync(new CommandDefinition(
            "delete from sign_up where subscriber_id = @Value", new { subscriber.Value }, cancellationToken: cancellation));
}

/// <summary>A form that was filled in; what it said is kept while the sign-up is open.</summary>
internal sealed record SignUpRecord(
    DateTimeOffset ReceivedAt, string Status, string? Form, string? Address, string? Guardian, string? Language, string? Url, string? Ip,
    string? UserAgent, IReadOnlyDictionary<string, string>? Fields);
