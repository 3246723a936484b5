using ConsentLedger.Choices;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Npgsql;

namespace ConsentLedger.PersonalData;

/// <summary>
/// Carries a person's choices over to a new address (UK GDPR Art 16). A subscriber is an address, so what stands at the old
/// one is said again of the new one, by events that name the old ones and keep their time and evidence, and the old address
/// is closed.
/// </summary>
/// <remarks>
/// All of it is one transaction: a crash leaves it done or not begun. The ids of the new events follow from the old ones, so
/// that doing it again adds nothing. Permissions are carried over only where the new address does not say no; refusals,
/// objections and restrictions always. Of suppressions those are not that say that the old address takes no mail: that is
/// what the new one is for. What permitted at the old address is <c>revoked</c> there and not <c>withdrawn</c>: it is the
/// organisation that stops using it, the person has taken nothing back; and a revocation is not carried over again. Nor is it a
/// no to who comes back to an address that was closed so: what is carried there counts from just after the closing.
/// </remarks>
public sealed class Rectification(
    NpgsqlDataSource database, LedgerStore ledger, PurposeCatalogue purposes, SubscriberIds subscribers, KeyRing keys, AuditTrail audit, TimeProvider clock)
{
    /// <summary>Carries over; durable when this returns. Null if nothing is known of the old address.</summary>
    public async Task<RectificationOutcome?> RectifyAsync(Address old, Address next, Actor by, CancellationToken cancellation)
    {
        var (from, to) = (subscribers.Of(old), subscribers.Of(next));
        var now = Instant.Of(clock.GetUtcNow());
        var known = (await purposes.ListAsync(cancellation)).ToDictionary(purpose => purpose.Id);
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await SignUpStore.LockAsync(connection, from, to, cancellation);
        var locked = await LedgerStore.LockStatesAsync(connection, [from, to], cancellation);
        var states = locked[from].ToList();
        if (states.Count == 0)
        {
            return null;
        }

        var standing = locked[to].ToDictionary(state => state.Purpose);
        var facets = SubscriberState.Of(standing.Values);
        var carried = 0;
        List<string> heldBack = [];
        foreach (var state in states)
        {
            var original = await ledger.FindAsync(from, state.EventId, cancellation);
            if (CarriesOver(state, original, now))
            {
                ConsentState? there = standing.TryGetValue(state.Purpose, out var found) ? found : null;
                var cameBack = there is { Kind: EventKind.Revoked, EventId: var closing }
                    && await ledger.FindAsync(to, closing, cancellation) is { } closed && AddressMove.To(closed) is not null;
                if (state.Kind.Permits() && (facets.Objection is not null || (!cameBack && there is { } stands && Forbids(stands))))
                {
                    heldBack.Add(known[state.Purpose].Key);
                }
                else
                {
                    var since = cameBack && there!.Value.Since >= state.Since ? there.Value.Since.AddMicroseconds(1) : state.Since;
                    carried += await ledger.AppendAsync(connection, Carried(state, original, from, to, since, now), next, cancellation) ? 1 : 0;
                }
            }

            if (!state.Purpose.IsFacet && (state.Kind.Permits() || state.Kind == EventKind.Requested))
            {
                await ledger.AppendAsync(connection, Closed(state, from, to, now), old, cancellation);
            }
        }

        await audit.WriteAsync(
            connection, by, new AuditEntry(AuditAction.SubscriberRectified) { SubscriberId = from.Value, Target = to.ToString() }, cancellation);
        await transaction.CommitAsync(cancellation);
        return new RectificationOutcome(from, to, carried, heldBack);
    }

    /// <summary>Whether a state at the old address is one that the person takes along.</summary>
    private static bool CarriesOver(ConsentState state, ConsentEvent? original, DateTimeOffset now) => state.StatusAt(now) switch
    {
        EventKind.Given or EventKind.Renewed or EventKind.Permitted => true,
        EventKind.Refused or EventKind.Withdrawn or EventKind.Objected or EventKind.Invalidated or EventKind.Restricted => true,
        EventKind.Suppressed => !(original?.Source == SourceKind.Feedback && original.Evidence?.Details?.GetValueOrDefault("feedback") as string != "complaint"),
        _ => false,
    };

    private static bool Forbids(ConsentState state) => state.Kind.Refuses() || state.Kind == EventKind.Invalidated;

    private ConsentEvent Carried(
        ConsentState state, ConsentEvent? original, SubscriberId from, SubscriberId to, DateTimeOffset since, DateTimeOffset now)
    {
        var rectified = new Dictionary<string, object?>
        {
            ["subscriberId"] = from.ToString(),
            ["eventId"] = state.EventId.ToString(),
            ["at"] = Instant.Format(now),
        };
        return new ConsentEvent
        {
            SubscriberId = to,
            Id = IdFor("carried", state, from, to),
            Purpose = state.Purpose,
            Kind = state.Kind,
            Basis = state.Basis,
            NoticeVersion = original?.NoticeVersion,
            Source = original?.Source ?? SourceKind.Admin,
            OccurredAt = since,
            RecordedAt = now,
            ExpiresAt = state.ExpiresAt,
            Evidence = Evidence.Of(
                new Dictionary<string, object?>(original?.Evidence?.Details ?? new Dictionary<string, object?>()) { ["rectified"] = rectified },
                original?.Evidence?.SourceReference, original?.Evidence?.SourceUrl, original?.Evidence?.Guardian),
        };
    }

    private ConsentEvent Closed(ConsentState state, SubscriberId from, SubscriberId to, DateTimeOffset now)
    {
        var at = state.Since >= now ? state.Since.AddMicroseconds(1) : now;
        return new ConsentEvent
        {
            SubscriberId = from,
            Id = IdFor("closed", state, from, to),
            Purpose = state.Purpose,
            Kind = EventKind.Revoked,
            Basis = state.Basis,
            Source = SourceKind.Admin,
            OccurredAt = at,
            RecordedAt = now,
            Evidence = AddressMove.Evidence(to),
        };
    }

    private EventId IdFor(string step, ConsentState state, SubscriberId from, SubscriberId to) => EventId.Of(
        keys.EventIdKey,
        state.Since,
        CanonicalJson.Write(new Dictionary<string, object?>
        {
            ["eventId"] = state.EventId.ToString(),
            ["from"] = from.ToString(),
            ["rectification"] = step,
            ["to"] = to.ToString(),
        }));
}

/// <summary>What a rectification did.</summary>
/// <param name="From">The holder of the old address.</param>
/// <param name="To">The holder of the new one.</param>
/// <param name="CarriedOver">How many events were appended at the new address.</param>
/// <param name="HeldBack">Purposes, by key, whose permission was not carried over, because the new address says no.</param>
public sealed record RectificationOutcome(SubscriberId From, SubscriberId To, int CarriedOver, IReadOnlyList<string> HeldBack);
