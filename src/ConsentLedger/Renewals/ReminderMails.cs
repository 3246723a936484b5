using ConsentLedger.Choices;
using ConsentLedger.Ledger;
using ConsentLedger.Mail;
using ConsentLedger.Pages;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Npgsql;

namespace ConsentLedger.Renewals;

/// <summary>
/// The mail that says that a consent runs out, in the language of the wording that was agreed to: what that was, until when
/// it is good, that nothing need be done, and one link to renew it. Its way out ends the consent at once.
/// </summary>
public sealed class ReminderMails(MailOutbox outbox, UnsubscribeLinks links, Organisation organisation, PublicUrl publicUrl, KeyRing keys)
{
    private const string Kind = "renewal-reminder";

    private string Organisation => organisation.Name ?? "ConsentLedger";

    /// <summary>True while such a mail to this address has not been sent; reads the connection's transaction.</summary>
    public static Task<bool> IsWaitingAsync(NpgsqlConnection connection, SubscriberId recipient, CancellationToken cancellation) =>
        MailOutbox.IsWaitingAsync(connection, recipient, Kind, cancellation);

    /// <summary>The language to write in: that of the wording, or English where nothing is written in that.</summary>
    public static PageTexts LanguageOf(Notice? agreed) =>
        agreed is not null && PageTexts.All.TryGetValue(agreed.Language.Split('-')[0], out var texts) ? texts : PageTexts.All[PageTexts.DefaultLanguage];

    /// <summary>Queues it, in the connection's transaction.</summary>
    /// <param name="connection">In the transaction that notes that it was sent.</param>
    /// <param name="recipient">The person, or for a child the guardian who consented.</param>
    /// <param name="consent">The event that runs out.</param>
    /// <param name="agreed">What it was agreed to.</param>
    /// <param name="hasChanged">True if it is said in other words by now.</param>
    /// <param name="cancellation">Ends the wait.</param>
    public Task RemindAsync(
        NpgsqlConnection connection, Address recipient, ConsentEvent consent, Offer agreed, bool hasChanged, CancellationToken cancellation)
    {
        var texts = LanguageOf(agreed.Notice);
        var runsOutAt = consent.ExpiresAt!.Value;
        var token = new RenewalToken(consent.SubscriberId, consent.Purpose, runsOutAt).Sign(keys);
        var wayOut = links.For(agreed.Purpose.Terms, consent.SubscriberId);
        var letter = new Letter(texts)
            .Say(texts["mail.hello"])
            .Say(texts.With(
                consent.Evidence?.Guardian is null ? "mail.renewal.intro" : "mail.renewal.guardian",
                ("since", texts.Day(consent.OccurredAt)), ("organisation", Organisation)))
            .Quote(agreed)
            .Say(texts.With("mail.renewal.until", ("until", texts.Day(runsOutAt))))
            .Say(texts["mail.renewal.go-on"]);
        if (hasChanged)
        {
            letter.Say(texts["mail.renewal.changed"]);
        }

        letter.Button(texts["mail.renewal.button"], publicUrl.Link($"/renew/{token}?lang={texts.Language}"))
            .Say(texts["mail.renewal.page"])
            .Link(texts["mail.renewal.stop"], $"{wayOut.Url}?lang={texts.Language}")
            .Say(Organisation);
        return outbox.EnqueueAsync(
            connection,
            letter.To(recipient, Kind, texts.With("mail.renewal.subject", ("organisation", Organisation))) with
            {
                Unsubscribe = wayOut.Headers,
                RestsOn = new MailConsent(consent.SubscriberId, consent.Purpose),
            },
            cancellation);
    }

    /// <summary>Has what was committed sent now.</summary>
    public void Wake() => outbox.Wake();
}
