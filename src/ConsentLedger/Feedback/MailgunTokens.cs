using System.Security.Cryptography;
using System.Text;
using ConsentLedger.Database;
using ConsentLedger.Security;
using Dapper;

namespace ConsentLedger.Feedback;

/// <summary>
/// Mailgun signs a timestamp and a token, and not the message: whoever has seen one request could put that signature
/// under anything. So each token stands for the message it came with first; with the same one it may come again.
/// </summary>
internal sealed class MailgunTokens(LedgerDatabase database, KeyRing keys, TimeProvider clock)
{
    /// <summary>
    /// Takes a token for a message; false if it was taken for another. It is durable before the message counts, so that a
    /// crash in between leaves a token that only the same message can show again.
    /// </summary>
    public async Task<bool> ClaimAsync(string token, byte[] body, CancellationToken cancellation)
    {
        var values = new
        {
            token = HMACSHA256.HashData(keys.RequestDigestKey, Encoding.UTF8.GetBytes(token)),
            body = HMACSHA256.HashData(keys.RequestDigestKey, body),
            now = clock.GetUtcNow(),
        };
        return await database.ShortWork.ExecuteAsync(
            async cancelled =>
            {
                await using var connection = await database.Service.OpenConnectionAsync(cancelled);
                return await connection.ExecuteAsync(new CommandDefinition(
                    """
                    insert into mailgun_token (token, body, used_at) values (@token, @body, @now)
                    on conflict (token) do update set used_at = excluded.used_at where mailgun_token.body = excluded.body
                    """,
                    values,
                    cancellationToken: cancelled)) > 0;
            },
            cancellation);
    }
}
