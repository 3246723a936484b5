using System.Text;
using ConsentLedger.Ledger;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Npgsql;

namespace ConsentLedger.SubjectRights;

/// <summary>
/// What makes an objection or a restriction of the register hold in the ledger. Both are in force from the moment they are
/// entered: nobody who has objected is written to while the month runs. A restriction that is refused is lifted.
/// </summary>
public sealed class RightInForce(LedgerStore ledger, KeyRing keys)
{
    /// <summary>
    /// Puts an objection or a restriction in force, from the moment at which it came. The event's id is made from the
    /// request's, so there is one however often this is done.
    /// </summary>
    public async Task PutInForceAsync(NpgsqlConnection connection, RightsRequest request, Address address, DateTimeOffset now, CancellationToken cancellation)
    {
        if (FacetOf(request) is not { } kind)
        {
            return;
        }

        // A no that an erasure left stands for every purpose, and not as an objection: this is one, however early it came.
        var standing = (await ledger.ReadStatesAsync(request.SubscriberId, cancellation)).FirstOrDefault(state => state.Purpose == kind.Facet());
        var occurredAt = standing.Kind == EventKind.Revoked && standing.Since >= request.ReceivedAt ? standing.Since.AddMicroseconds(1) : request.ReceivedAt;
        await ledger.AppendAsync(connection, EventOf(request, kind, EventIdOf(request), occurredAt, now), address, cancellation);
    }

    /// <summary>Lifts a restriction that was refused, unless another one stands.</summary>
    public async Task LiftAsync(NpgsqlConnection connection, RightsRequest request, DateTimeOffset now, CancellationToken cancellation)
    {
        if (request.Kind != RequestKind.Restriction
            || (await ledger.ReadStatesAsync(request.SubscriberId, cancellation)).All(state => state.EventId != EventIdOf(request)))
        {
            return;
        }

        var id = EventId.Of(keys.EventIdKey, request.ReceivedAt, Encoding.ASCII.GetBytes($"request {request.Id:D} refused"));
        var at = now > request.ReceivedAt ? now : request.ReceivedAt.AddMicroseconds(1);
        await ledger.AppendAsync(connection, EventOf(request, EventKind.Unrestricted, id, at, now), address: null, cancellation);
    }

    private static EventKind? FacetOf(RightsRequest request) => request.Kind switch
    {
        RequestKind.Objection => EventKind.Objected,
        RequestKind.Restriction => EventKind.Restricted,
        _ => null,
    };

    private EventId EventIdOf(RightsRequest request) =>
        EventId.Of(keys.EventIdKey, request.ReceivedAt, Encoding.ASCII.GetBytes($"request {request.Id:D}"));

    private static ConsentEvent EventOf(RightsRequest request, EventKind kind, EventId id, DateTimeOffset occurredAt, DateTimeOffset now) => new()
    {
        SubscriberId = request.SubscriberId,
        Id = id,
        Purpose = kind.Facet()!.Value,
        Kind = kind,
        Source = SourceKind.Admin,
        OccurredAt = occurredAt,
        RecordedAt = now,
        Evidence = Evidence.Of(new Dictionary<string, object?> { ["request"] = request.Id.ToString("D") }, null, null, null),
    };
}
