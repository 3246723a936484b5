using System.Globalization;
using ConsentLedger.Choices;
using ConsentLedger.Ledger;
using ConsentLedger.Mail;
using ConsentLedger.Pages;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Npgsql;

namespace ConsentLedger.SubjectRights;

/// <summary>
/// Answers a request for a copy by mail (Art 15, Art 20): not with the copy, which would lie in mailboxes, but with a link to
/// where the person downloads it.
/// </summary>
public sealed class CopyMails(LedgerStore ledger, MailOutbox outbox, Organisation organisation, PublicUrl publicUrl, KeyRing keys)
{
    private const string MailKind = "copy-link";

    /// <summary>
    /// Queues the mail in the connection's transaction, or returns why the person can't be mailed. A restriction is no
    /// hindrance: it is the person who asks, and the law that answers (Art 18(2)).
    /// </summary>
    internal async Task<string?> SendAsync(
        NpgsqlConnection connection, RequestRegister.Entry entry, string language, DateTimeOffset now, CancellationToken cancellation)
    {
        var subscriber = entry.Request.SubscriberId;
        if (entry.Address is not { } given)
        {
            return "The person was erased since, and the address with the rest. There is nothing left to send, and nowhere to send it: complete it with \"delivered\": \"by-hand\", or refuse it.";
        }

        // The address as its holder gave it stands before another spelling of it that somebody may have typed.
        var (known, _) = await ledger.FindSubscriberAsync(subscriber, cancellation);
        var recipient = known ?? Address.Parse(given, CultureInfo.InvariantCulture);
        if (recipient.Kind != AddressKind.Email)
        {
            return "This is no e-mail address. Export what is held (POST /v1/subscribers/export), hand it over or send it by other means, and complete the request with \"delivered\": \"by-hand\".";
        }

        var states = await ledger.ReadStatesAsync(subscriber, cancellation);
        if (states.Any(state => state is { Purpose: var purpose, Kind: EventKind.Suppressed } && purpose.IsFacet))
        {
            return "Mail to this address is suppressed: it came back, or was complained of. Export what is held (POST /v1/subscribers/export), hand it over or send it by other means, and complete the request with \"delivered\": \"by-hand\".";
        }

        var token = new CopyToken(subscriber, entry.Request.Id, now + CopyToken.Lifetime);
        await outbox.EnqueueAsync(connection, Write(token, recipient, PageTexts.All[language]), cancellation);
        return null;
    }

    private OutgoingMail Write(CopyToken token, Address recipient, PageTexts texts)
    {
        var name = organisation.Name ?? "ConsentLedger";
        return new Letter(texts)
            .Say(texts["mail.hello"])
            .Say(texts.With("mail.copy.intro", ("organisation", name)))
            .Button(texts["mail.copy.button"], publicUrl.Link($"/copy/{token.Sign(keys)}?lang={texts.Language}"))
            .Say(texts["mail.copy.until"])
            .Say(texts.With("mail.copy.not", ("organisation", name)))
            .Say(name)
            .To(recipient, MailKind, texts.With("mail.copy.subject", ("organisation", name)));
    }
}
