using System.Buffers.Binary;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.Feedback;

/// <summary>
/// Counts the soft bounces of each subscriber. What the count looks for is a mailbox that no longer takes mail, so it
/// starts afresh when a message gets through, and when a suppression begins or is lifted; and old ones don't count.
/// </summary>
internal sealed class SoftBounces(FeedbackOptions options, TimeProvider clock)
{
    /// <summary>What is older than this does not count any more.</summary>
    public DateTimeOffset Since => clock.GetUtcNow() - options.SoftBounceWindow;

    /// <summary>
    /// Notes one in the connection's transaction. Null if it was noted before; otherwise whether there are enough of
    /// them now, and when the last of those was.
    /// </summary>
    public async Task<(bool Enough, DateTimeOffset Last)?> CountAsync(
        NpgsqlConnection connection, SubscriberId subscriber, EventId report, DateTimeOffset occurredAt, CancellationToken cancellation)
    {
        // Two about one subscriber take turns, or each would be counted without the other.
        await connection.ExecuteAsync(new CommandDefinition(
            "select pg_advisory_xact_lock(@turn)", new { turn = Turn(subscriber) }, cancellationToken: cancellation));
        var values = new { subscriber = subscriber.Value, report = report.Value, occurredAt, since = Since };
        var noted = await connection.ExecuteAsync(new CommandDefinition(
            """
            insert into soft_bounce (subscriber_id, report_id, occurred_at) values (@subscriber, @report, @occurredAt)
            on conflict (subscriber_id, report_id) do nothing
            """,
            values,
            cancellationToken: cancellation));
        if (noted == 0)
        {
            return null;
        }

        var (count, last) = await connection.QuerySingleAsync<(long, DateTimeOffset?)>(new CommandDefinition(
            """
            select count(*), max(occurred_at)
            from soft_bounce
            where subscriber_id = @subscriber and not cleared and occurred_at > @since
                and occurred_at > all (select occurred_at from consent_state where subscriber_id = @subscriber and purpose_id = -1)
            """,
            values,
            cancellationToken: cancellation));
        return (count >= options.SoftBounceLimit, last ?? occurredAt);
    }

    /// <summary>A message got through: those before it don't count any more.</summary>
    public static Task ClearAsync(NpgsqlConnection connection, SubscriberId subscriber, DateTimeOffset deliveredAt, CancellationToken cancellation) =>
        connection.ExecuteAsync(new CommandDefinition(
            "update soft_bounce set cleared = true where subscriber_id = @subscriber and occurred_at <= @deliveredAt and not cleared",
            new { subscriber = subscriber.Value, deliveredAt },
            cancellationToken: cancellation));

    private static long Turn(SubscriberId subscriber)
    {
        Span<byte> bytes = stackalloc byte[16];
        subscriber.Value.TryWriteBytes(bytes, bigEndian: true, out _);
        return BinaryPrimitives.ReadInt64BigEndian(bytes);
    }
}
