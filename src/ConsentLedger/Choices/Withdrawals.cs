using System.Buffers.Binary;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;

namespace ConsentLedger.Choices;

/// <summary>Makes withdrawals count.</summary>
public sealed class Withdrawals(LedgerStore ledger, PurposeCatalogue purposes, KeyRing keys, TimeProvider clock)
{
    /// <summary>
    /// Appends a <c>withdrawn</c> event, unless the person has said no already. When this returns, the answer to a check
    /// is no, and durably so; when it throws, nothing was written and it may be called again.
    /// </summary>
    /// <returns>
    /// What undoes it, for a while; null where nothing was ended. Only the call that ended the consent gets it, so that
    /// nobody else who holds the link can take back a no that was said before.
    /// </returns>
    /// <remarks>
    /// One state is withdrawn from once. The event's id follows from the event the state rests on, so that any number
    /// of requests at once that see the same state agree on one id, and the primary key lets one of them in; who comes
    /// later sees the refusal and writes nothing. After a new consent the same link makes a new event. Who has moved to another
    /// address since the message was sent takes the consent back there.
    /// </remarks>
    public async Task<UndoToken?> ApplyAsync(Withdrawal withdrawal, CancellationToken cancellation)
    {
        (withdrawal, var states) = await FollowAsync(withdrawal, cancellation);
        var answered = StateOf(withdrawal.Link, states);
        if (answered?.Kind.Refuses() == true)
        {
            return null;
        }

        // Whoever recorded the consent may have had a faster clock; a no that was said to it can't be older than it.
        var at = Instant.Of(withdrawal.At);
        var occurredAt = answered?.Since >= at ? answered.Value.Since.AddMicroseconds(1) : at;
        var id = IdFor(withdrawal.Link, answered);
        var outcome = await AppendAsync(withdrawal, answered, id, occurredAt, cancellation);
        return outcome == AppendOutcome.Appended && answered is { } ended && withdrawal.How != WithdrawalWay.OneClick
            && await PermittedAsync(ended, states, at, cancellation)
            ? new UndoToken(withdrawal.Link.Subscriber, id, ended.EventId, at + UndoToken.Lifetime)
            : null;
    }

    /// <summary>
    /// Appends a withdrawal that was made while the ledger could not be asked, at the time it was made: a consent given
    /// since then stands, and the withdrawal becomes history. Promises as <see cref="ApplyAsync"/>, and that one record
    /// makes one event however often it is applied, and whatever happened in between: the event's id follows from the
    /// record's.
    /// </summary>
    public async Task ApplyKeptAsync(Guid record, Withdrawal withdrawal, CancellationToken cancellation)
    {
        (withdrawal, var states) = await FollowAsync(withdrawal, cancellation);
        var answered = StateOf(withdrawal.Link, states);
        if (answered?.Kind.Refuses() != true)
        {
            // Clocks differ by minutes at most: what is later than that was given after the no was said.
            var at = Instant.Of(withdrawal.At);
            var since = answered?.Since;
            var occurredAt = since >= at && since <= at + EventRules.ClockTolerance ? since.Value.AddMicroseconds(1) : at;
            await AppendAsync(withdrawal, answered, IdFor(record, at), occurredAt, cancellation);
        }
    }

    /// <summary>The withdrawal where the person's choices are now, and how they stand there.</summary>
    private async Task<(Withdrawal Withdrawal, IReadOnlyList<ConsentState> States)> FollowAsync(Withdrawal withdrawal, CancellationToken cancellation)
    {
        // Nobody moves as often as this between a message and the answer to it; and it ends.
        const int MostMoves = 8;
        for (var moves = 0; ; moves++)
        {
            var states = await ledger.ReadStatesAsync(withdrawal.Link.Subscriber, cancellation);
            if (moves == MostMoves || StateOf(withdrawal.Link, states) is not { Kind: EventKind.Revoked } closed
                || await ledger.FindAsync(withdrawal.Link.Subscriber, closed.EventId, cancellation) is not { } revoked || AddressMove.To(revoked) is not { } next)
            {
                return (withdrawal, states);
            }

            withdrawal = withdrawal with { Link = withdrawal.Link with { Subscriber = next } };
        }
    }

    private static ConsentState? StateOf(UnsubscribeToken link, IReadOnlyList<ConsentState> states) =>
        states.Where(state => state.Purpose == link.Purpose).Select(state => (ConsentState?)state).SingleOrDefault();

    /// <summary>True if messages were allowed until it was taken back; only then is there anything to undo.</summary>
    private async Task<bool> PermittedAsync(ConsentState ended, IReadOnlyList<ConsentState> states, DateTimeOffset at, CancellationToken cancellation)
    {
        var before = SubscriberState.Of(states).With(ended);
        return ended.Kind.Permits() && await purposes.FindAsync(ended.Purpose, cancellation) is { } purpose && before.Decide(purpose.Terms, at).Allowed;
    }

    private async Task<AppendOutcome> AppendAsync(
        Withdrawal withdrawal, ConsentState? answered, EventId id, DateTimeOffset occurredAt, CancellationToken cancellation)
    {
        var (purpose, subscriber) = withdrawal.Link;
        if (answered is null && await purposes.FindAsync(purpose, cancellation) is { } known)
        {
            // This may be the first event that names the purpose; a purpose that is gone has nothing to mark.
            await purposes.MarkInUseAsync(known, clock.GetUtcNow(), cancellation);
        }

        var withdrawn = new ConsentEvent
        {
            SubscriberId = subscriber,
            Id = id,
            Purpose = purpose,
            Kind = EventKind.Withdrawn,
            Basis = answered?.Basis,
            Source = withdrawal.How == WithdrawalWay.PreferenceCentre ? SourceKind.PreferenceCentre : SourceKind.UnsubscribeLink,
            OccurredAt = occurredAt,
            RecordedAt = Instant.Of(clock.GetUtcNow()),
            Evidence = EvidenceOf(withdrawal),
        };

        // A conflict is another request that withdrew from the same state a moment earlier, or this one before: done either way.
        return await ledger.AppendAsync(withdrawn, address: null, cancellation);
    }

    private static Evidence? EvidenceOf(Withdrawal withdrawal)
    {
        var evidence = new Dictionary<string, object?> { ["how"] = Label<WithdrawalWay>.Of(withdrawal.How) };
        if (withdrawal.Ip is { } ip)
        {
            evidence.Add("ip", ip);
        }

        if (withdrawal.UserAgent is { } userAgent)
        {
            evidence.Add("userAgent", userAgent);
        }

        return Evidence.Of(evidence);
    }

    private EventId IdFor(Guid record, DateTimeOffset at)
    {
        var kind = "unsubscribe-kept"u8;
        Span<byte> content = stackalloc byte[kind.Length + 16];
        kind.CopyTo(content);
        record.TryWriteBytes(content[kind.Length..], bigEndian: true, out _);
        return EventId.Of(keys.EventIdKey, at, content);
    }

    private EventId IdFor(UnsubscribeToken link, ConsentState? answered)
    {
        var kind = "unsubscribe"u8;
        Span<byte> content = stackalloc byte[kind.Length + 4 + 16 + 16];
        kind.CopyTo(content);
        var rest = content[kind.Length..];
        BinaryPrimitives.WriteInt32BigEndian(rest, link.Purpose.Value);
        link.Subscriber.Value.TryWriteBytes(rest[4..], bigEndian: true, out _);
        (answered?.EventId.Value ?? Guid.Empty).TryWriteBytes(rest[20..], bigEndian: true, out _);
        return EventId.Of(keys.EventIdKey, answered?.Since ?? Instant.Earliest, content);
    }
}
