using System.Runtime.CompilerServices;
using ConsentLedger.Database;
using ConsentLedger.PersonalData;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.SubjectRights;

/// <summary>What the person asked for and complained of. An erasure takes the address, and leaves that they asked.</summary>
internal sealed class RequestRecords(Sealer sealer) : IPersonalRecords
{
    public string Name => "requests";

    public IReadOnlyList<string> Columns => ["rights_request.person"];

    public IReadOnlyList<string> Fields => ["kind", "status", "receivedAt", "dueAt", "closedAt", "delivered", "address", "channel", "id"];

    public async IAsyncEnumerable<object> ReadAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const string Sql = """
            select request_id, kind::text, status::text, person, received_at, due_at, closed_at, delivered::text
            from rights_request
            where subscriber_id = @Value
            order by received_at, request_id
            """;
        await foreach (var row in connection.QueryUnbufferedAsync<Row>(Sql, new { subscriber.Value }).WithCancellation(cancellation))
        {
            var person = RequestRegister.OpenPerson(row.Person, subscriber, row.RequestId, sealer);
            yield return new RequestRecord(
                Label<RequestKind>.Parse(row.Kind), Label<RequestStatus>.Parse(row.Status), row.ReceivedAt, row.DueAt, row.ClosedAt,
                row.Delivered is null ? null : Label<RequestDelivery>.Parse(row.Delivered), person?.Address, person?.Channel, row.RequestId);
        }
    }

    public Task EraseAsync(NpgsqlConnection connection, SubscriberId subscriber, CancellationToken cancellation) =>
        connection.ExecuteAsync(new CommandDefinition(
            "update rights_request set person = null where subscriber_id = @Value and person is not null", new { subscriber.Value }, cancellationToken: cancellation));

    private sealed record Row(
        Guid RequestId, string Kind, string Status, byte[]? Person, DateTimeOffset ReceivedAt, DateTimeOffset? DueAt, DateTimeOffset? ClosedAt,
        string? Delivered);
}

/// <summary>What the person asked for.</summary>
/// <param name="Kind">What.</param>
/// <param name="Status">How far it is.</param>
/// <param name="ReceivedAt">When it came.</param>
/// <param name="DueAt">By when it is to be answered.</param>
/// <param name="ClosedAt">When it was completed or refused.</param>
/// <param name="Delivered">How the copy that was asked for came to the person.</param>
/// <param name="Address">From which address; null once erased.</param>
/// <param name="Channel">How it came.</param>
/// <param name="Id">The request.</param>
public sealed record RequestRecord(
    RequestKind Kind, RequestStatus Status, DateTimeOffset ReceivedAt, DateTimeOffset? DueAt, DateTimeOffset? ClosedAt, RequestDelivery? Delivered,
    string? Address, string? Channel, Guid Id);

/// <summary>What was done about each of them. An erasure takes the words.</summary>
internal sealed class RequestStepRecords(Sealer sealer) : IPersonalRecords
{
    public string Name => "requestSteps";

    public IReadOnlyList<string> Columns => ["rights_request_step.note"];

    public IReadOnlyList<string> Fields => ["step", "takenAt", "reason", "request"];

    public async IAsyncEnumerable<object> ReadAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        const string Sql = """
            select request_id, step_id, step::text, taken_at, note
            from rights_request_step
            where subscriber_id = @Value
            order by request_id, taken_at, rights_request_step.step, step_id
            """;
        await foreach (var row in connection.QueryUnbufferedAsync<Row>(Sql, new { subscriber.Value }).WithCancellation(cancellation))
        {
            yield return new RequestStepRecord(
                Label<RequestStep>.Parse(row.Step), row.TakenAt, RequestRegister.OpenNote(row.Note, subscriber, row.StepId, sealer), row.RequestId);
        }
    }

    public Task EraseAsync(NpgsqlConnection connection, SubscriberId subscriber, CancellationToken cancellation) =>
        connection.ExecuteAsync(new CommandDefinition(
            "update rights_request_step set note = null where subscriber_id = @Value and note is not null", new { subscriber.Value }, cancellationToken: cancellation));

    private sealed record Row(Guid RequestId, Guid StepId, string Step, DateTimeOffset TakenAt, byte[]? Note);
}

/// <summary>Something that was done about a request.</summary>
/// <param name="Step">What.</param>
/// <param name="TakenAt">When.</param>
/// <param name="Reason">Why, in words; null once erased.</param>
/// <param name="Request">The request.</param>
public sealed record RequestStepRecord(RequestStep Step, DateTimeOffset TakenAt, string? Reason, Guid Request);
