using MailKit;
using MimeKit;

namespace ConsentLedger.Client;

/// <summary>
/// Sends mail by MailKit to whom the ledger permits it, and to nobody else: it asks, puts the unsubscribe header fields
/// into the message, and sends. Where the ledger can't be asked, nothing is sent.
/// </summary>
/// <param name="ledger">The ledger.</param>
/// <param name="transport">A connection to a mail server, such as an <c>SmtpClient</c>, open and authenticated.</param>
/// <param name="sign">
/// Signs the finished message (DKIM). A signature has to cover the unsubscribe header fields, so it is made after them.
/// </param>
public sealed class GuardedSender(ConsentLedgerClient ledger, IMailTransport transport, Action<MimeMessage>? sign = null)
{
    /// <summary>
    /// Asks, and sends if it may. The answer is the <see cref="Permission"/> the message was sent under, or the
    /// <see cref="Refusal"/> for which it was not.
    /// </summary>
    /// <param name="message">A message to one recipient: each has a link of their own.</param>
    /// <param name="purpose">The key of the purpose it is sent for.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="ArgumentException">The message goes to nobody or to several, or is signed already.</exception>
    /// <exception cref="ConsentLedgerException">The ledger can't be asked; nothing was sent.</exception>
    public async Task<Verdict> SendAsync(MimeMessage message, string purpose, CancellationToken cancellation = default)
    {
        var recipient = RecipientOf(message);
        var verdict = await ledger.CheckAsync(recipient.Address, purpose, cancellation);
        if (verdict is Permission permission)
        {
            await SendAsync(message, permission, cancellation);
        }

        return verdict;
    }

    /// <summary>Sends under a permission that was asked for before, as for a whole list.</summary>
    /// <param name="message">A message to the one recipient that the permission is about.</param>
    /// <param name="permission">The permission.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="ArgumentException">The message is not to that recipient alone, or is signed already.</exception>
    /// <exception cref="InvalidOperationException">The permission is too old.</exception>
    public async Task SendAsync(MimeMessage message, Permission permission, CancellationToken cancellation = default)
    {
        var recipient = RecipientOf(message);
        if (recipient.Address != permission.Address)
        {
            throw new ArgumentException("The permission is about another address than the message goes to.", nameof(permission));
        }

        if (permission.HasExpired)
        {
            throw new InvalidOperationException($"The permission is older than {Permission.Lifetime.TotalMinutes:0} minutes: ask again.");
        }

        foreach (var (name, value) in permission.Headers)
        {
            message.Headers.Replace(name, value);
        }

        sign?.Invoke(message);

        // The envelope is given, so that the message goes to the one who was asked about whatever else it says.
        var sender = message.Sender ?? message.From.Mailboxes.FirstOrDefault() ?? throw new ArgumentException("The message is from nobody.", nameof(message));
        await transport.SendAsync(message, sender, [recipient], cancellation);
    }

    private static MailboxAddress RecipientOf(MimeMessage message)
    {
        if (message.Headers.Contains(HeaderId.DkimSignature))
        {
            throw new ArgumentException("The message is signed already, before it has its unsubscribe header fields: sign it here.", nameof(message));
        }

        return message.GetRecipients().ToList() is [var only]
            ? only
            : throw new ArgumentException("A message goes to one recipient: each has an unsubscribe link of their own.", nameof(message));
    }
}
