using System.Globalization;
using System.Text;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using Dapper;
using Npgsql;

namespace ConsentLedger.Choices;

/// <summary>Takes back a withdrawal that was made a moment ago.</summary>
/// <remarks>
/// A forwarded mail holds an unsubscribe link, and whoever presses it gets what undoes that. So undoing restores exactly
/// what that press ended, and nothing else: not once the person, or anybody for them, has said anything newer, not what an
/// objection had voided before, and not twice. Whoever plays with somebody else's link leaves that person where they were.
/// </remarks>
public sealed class Undoing(NpgsqlDataSource database, LedgerStore ledger, PurposeCatalogue purposes, KeyRing keys, TimeProvider clock)
{
    /// <summary>The purpose that would be restored; null if it is too late for that. Writes nothing.</summary>
    public async Task<Purpose?> LookAsync(UndoToken token, CancellationToken cancellation) =>
        await FindAsync(token, cancellation) is { IsDone: false } found ? found.Purpose : null;

    /// <summary>
    /// Appends an event that restores what stood before, names it and the withdrawal, and runs out when it would have. Durable
    /// when this returns; repeated, it changes nothing and returns the same.
    /// </summary>
    /// <returns>The purpose that is restored, or null if it is too late: nothing was written.</returns>
    public async Task<Purpose?> ApplyAsync(UndoToken token, SourceKind source, Visitor visitor, CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await SignUpStore.LockAsync(connection, token.Subscriber, token.Subscriber, cancellation);

        // Whatever else is recorded of this person meanwhile waits for this, and is held against it.
        await connection.ExecuteAsync(new CommandDefinition(
            "select 1 from consent_state where subscriber_id = @id order by purpose_id for update",
            new { id = token.Subscriber.Value },
            cancellationToken: cancellation));
        if (await FindAsync(token, cancellation) is not { } found || await IsOfAnErasedGuardianAsync(connection, found.Ended, cancellation))
        {
            return null;
        }

        if (!found.IsDone)
        {
            await ledger.AppendAsync(connection, Restored(found, source, visitor), address: null, cancellation);
            await transaction.CommitAsync(cancellation);
        }

        return found.Purpose;
    }

    /// <summary>Everything the token is about, if it may still be used, or was used and nothing came after.</summary>
    private async Task<Found?> FindAsync(UndoToken token, CancellationToken cancellation)
    {
        var now = clock.GetUtcNow();
        if (token.ExpiresAt <= now
            || await ledger.FindAsync(token.Subscriber, token.Withdrawal, cancellation) is not { } withdrawal
            || await ledger.FindAsync(token.Subscriber, token.Ended, cancellation) is not { } ended
            || await purposes.FindAsync(withdrawal.Purpose, cancellation) is not { } purpose)
        {
            return null;
        }

        var states = await ledger.ReadStatesAsync(token.Subscriber, cancellation);
        var state = states.FirstOrDefault(state => state.Purpose == purpose.Id);
        var before = SubscriberState.Of(states).With(ConsentState.Of(ended));

        // One withdrawal is undone once: the same id each time, and the primary key lets one in.
        var id = EventId.Of(keys.EventIdKey, withdrawal.OccurredAt, Encoding.ASCII.GetBytes($"undo {token.Subscriber} {token.Withdrawal}"));

        // Where evidence has gone, nobody knows any more whether it was a child's.
        if (ended.EvidenceWasPurged && purpose.MinimumAge > 0)
        {
            return null;
        }

        return (state.EventId == withdrawal.Id || state.EventId == id) && before.Decide(purpose.Terms, now).Allowed
            ? new Found(id, withdrawal, ended, purpose, IsDone: state.EventId == id)
            : null;
    }

    /// <summary>True if whoever gave a child's consent has been erased since: a hold may keep the evidence, and nothing rests on it any more.</summary>
    private static async Task<bool> IsOfAnErasedGuardianAsync(NpgsqlConnection connection, ConsentEvent ended, CancellationToken cancellation) =>
        await connection.ExecuteScalarAsync<bool>(new CommandDefinition(
            """
            select exists (
                select from evidence join erasure on erasure.subscriber_id = evidence.guardian_id
                where evidence.subscriber_id = @subscriber and evidence.event_id = @id and erasure.requested_at >= @recordedAt)
            """,
            new { subscriber = ended.SubscriberId.Value, id = ended.Id.Value, recordedAt = (ended.RecordedAt - EventRules.ClockTolerance).UtcDateTime },
            cancellationToken: cancellation));

    private ConsentEvent Restored(Found found, SourceKind source, Visitor visitor)
    {
        // A no of this very moment stands before it, whatever the clock says.
        var now = Instant.Of(clock.GetUtcNow());
        return new ConsentEvent
        {
            SubscriberId = found.Ended.SubscriberId,
            Id = found.Id,
            Purpose = found.Purpose.Id,
            Kind = found.Ended.Kind == EventKind.Permitted ? EventKind.Permitted : EventKind.Renewed,
            Basis = found.Ended.Basis,
            NoticeVersion = found.Ended.NoticeVersion,
            Source = source,
            OccurredAt = now > found.Withdrawal.OccurredAt ? now : found.Withdrawal.OccurredAt.AddMicroseconds(1),
            RecordedAt = now,
            ExpiresAt = found.Ended.ExpiresAt,
            Evidence = EvidenceOf(found, visitor),
        };
    }

    private static Evidence? EvidenceOf(Found found, Visitor visitor)
    {
        // What a permission rests on has to be on record with it (FACTS 30); what a consent rests on is with the event it names.
        var details = found.Ended.Kind == EventKind.Permitted && found.Ended.Evidence?.Details is { } conditions
            ? new Dictionary<string, object?>(conditions)
            : [];
        details["how"] = "undo";
        details["undoes"] = found.Withdrawal.Id.ToString();
        details["restores"] = found.Ended.Id.ToString();
        SignUp.Add(details, "notice", found.Ended.NoticeVersion?.ToString(CultureInfo.InvariantCulture));
        SignUp.Add(details, "ip", visitor.Ip);
        SignUp.Add(details, "userAgent", visitor.UserAgent);
        return Evidence.Of(details, guardian: found.Ended.Evidence?.Guardian);
    }

    private sealed record Found(EventId Id, ConsentEvent Withdrawal, ConsentEvent Ended, Purpose Purpose, bool IsDone);
}
