using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Mail;
using ConsentLedger.Pages;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Npgsql;

namespace ConsentLedger.Choices;

/// <summary>
/// The mails a sign-up leads to, text and HTML. They hold the exact wording that is agreed to, nothing that whoever signed
/// up could choose, and no advertising (FACTS 44).
/// </summary>
internal sealed class SignUpMails(MailOutbox outbox, UnsubscribeLinks links, Organisation organisation, PublicUrl publicUrl, KeyRing keys, TimeProvider clock)
{
    /// <summary>How many mails a day sign-ups may lead to for one address, whatever the forms.</summary>
    public const int PerDay = 3;

    private const string Confirmation = "confirmation";
    private const string AlreadySubscribed = "already-subscribed";

    private string Organisation => organisation.Name ?? "ConsentLedger";

    /// <summary>True if this address may get another mail today; ask with its lock held.</summary>
    public async Task<bool> MayWriteAsync(NpgsqlConnection connection, SubscriberId recipient, CancellationToken cancellation) =>
        await MailOutbox.CountAsync(connection, recipient, [Confirmation, AlreadySubscribed], Instant.Of(clock.GetUtcNow()).AddDays(-1), cancellation) < PerDay;

    /// <summary>Asks to confirm, in the connection's transaction. Its way out cancels the request.</summary>
    public Task AskAsync(NpgsqlConnection connection, SignUpRow row, SignUp signUp, IReadOnlyList<Offer> asked, CancellationToken cancellation)
    {
        var texts = PageTexts.All[signUp.Language];
        var token = new ConfirmToken(row.Subscriber, row.SignUpId, clock.GetUtcNow() + ConfirmToken.Lifetime).Sign(keys);
        var url = publicUrl.Link($"/confirm/{token}?lang={texts.Language}");
        var wayOut = links.For(asked[0].Purpose.Terms, row.Subscriber);
        var letter = new Letter(texts)
            .Say(texts["mail.hello"])
            .Say(texts.With(signUp.Guardian is null ? "mail.confirm.intro" : "mail.confirm.guardian", ("organisation", Organisation)))
            .Say(texts["mail.confirm.agreed"]);
        foreach (var offer in asked)
        {
            letter.Quote(offer);
        }

        letter.Button(texts["mail.confirm.button"], url)
            .Say(texts["mail.confirm.until"])
            .Link(texts["mail.confirm.not"], $"{wayOut.Url}?lang={texts.Language}")
            .Say(Organisation);
        return outbox.EnqueueAsync(
            connection,
            letter.To(signUp.Recipient, Confirmation, texts.With("mail.confirm.subject", ("organisation", Organisation))) with { Unsubscribe = wayOut.Headers },
            cancellation);
    }

    /// <summary>Says that there is nothing to confirm, in the connection's transaction.</summary>
    public Task SayAlreadyAsync(NpgsqlConnection connection, SignUpRow row, SignUp signUp, IReadOnlyList<Offer> had, CancellationToken cancellation)
    {
        var texts = PageTexts.All[signUp.Language];
        var letter = new Letter(texts)
            .Say(texts["mail.hello"])
            .Say(texts.With("mail.already.intro", ("organisation", Organisation)));
        foreach (var offer in had)
        {
            letter.Name(offer.Purpose.Name);
        }

        letter.Link(texts["mail.already.stop"], $"{links.UrlFor(had[0].Purpose.Id, row.Subscriber)}?lang={texts.Language}").Say(Organisation);
        return outbox.EnqueueAsync(
            connection,
            letter.To(Address.Parse(signUp.Address, provider: null), AlreadySubscribed, texts.With("mail.already.subject", ("organisation", Organisation))),
            cancellation);
    }

    /// <summary>Has what was committed sent now.</summary>
    public void Wake() => outbox.Wake();
}
