using ConsentLedger.Database;
using Dapper;
using Npgsql;

namespace ConsentLedger.Feedback;

/// <summary>Deletes soft bounces that don't count any more, and Mailgun's tokens that are too old to be shown again.</summary>
internal sealed class FeedbackCleanup(NpgsqlDataSource database, SoftBounces bounces, TimeProvider clock, ILogger<FeedbackCleanup> log)
    : HourlyCleanup("Old feedback", clock, log)
{
    private readonly TimeProvider clock = clock;

    protected override async Task DeleteAsync(CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await connection.ExecuteAsync(new CommandDefinition(
            """
            delete from soft_bounce
            where occurred_at <= @since and not exists (select from legal_hold where legal_hold.subscriber_id = soft_bounce.subscriber_id)
            """,
            new { since = bounces.Since },
            cancellationToken: cancellation));
        await connection.ExecuteAsync(new CommandDefinition(
            "delete from mailgun_token where used_at <= @since",
            new { since = clock.GetUtcNow() - FeedbackOptions.Tolerance - FeedbackOptions.Tolerance },
            cancellationToken: cancellation));
    }
}
