using System.Net;
using System.Text;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Mail;
using ConsentLedger.Pages;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Npgsql;

namespace ConsentLedger.SignUps;

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

    /// <summary>Writes the same thing twice: as text and as HTML that needs nothing from anywhere.</summary>
    private sealed class Letter(PageTexts texts)
    {
        private readonly StringBuilder text = new();
        private readonly StringBuilder html = new();

        public Letter Say(string words)
        {
            text.Append(words).Append("\n\n");
            html.Append("<p>").Append(Encode(words)).Append("</p>");
            return this;
        }

        public Letter Name(string words)
        {
            text.Append("  - ").Append(words).Append("\n\n");
            html.Append("<p><strong>").Append(Encode(words)).Append("</strong></p>");
            return this;
        }

        public Letter Quote(Offer offer)
        {
            Name(offer.Purpose.Name);
            if (offer.Notice is not { } notice)
            {
                return this;
            }

            text.Append("    ").Append(notice.Statement.ReplaceLineEndings("\n    ")).Append("\n\n");
            html.Append("<blockquote lang=\"").Append(Encode(notice.Language))
                .Append("\" style=\"margin:0 0 1em;padding:.2em 1em;border-left:3px solid #999;white-space:pre-line\">")
                .Append(Encode(notice.Statement)).Append("</blockquote>");
            return notice.PrivacyNoticeUrl is { } privacy ? Link(texts["signup.privacy"] + ":", privacy) : this;
        }

        public Letter Button(string words, string url)
        {
            text.Append(words).Append(":\n").Append(url).Append("\n\n");
            html.Append("<p><a href=\"").Append(Encode(url))
                .Append("\" style=\"display:inline-block;padding:.7em 1.6em;border-radius:.5em;background:#1f5c63;color:#fff;font-weight:bold;text-decoration:none\">")
                .Append(Encode(words)).Append("</a></p>");
            return this;
        }

        public Letter Link(string words, string url)
        {
            text.Append(words).Append('\n').Append(url).Append("\n\n");
            html.Append("<p>").Append(Encode(words)).Append("<br><a href=\"").Append(Encode(url)).Append("\">").Append(Encode(url)).Append("</a></p>");
            return this;
        }

        public OutgoingMail To(Address recipient, string kind, string subject) => new()
        {
            Kind = kind,
            Recipient = recipient,
            Subject = subject,
            Text = text.ToString().TrimEnd() + "\n",
            Html = $"""
                <!DOCTYPE html>
                <html lang="{texts.Language}"><head><meta charset="utf-8"><title>{Encode(subject)}</title></head>
                <body style="max-width:36em;margin:1.5em auto;padding:0 1em;font:16px/1.6 sans-serif;overflow-wrap:anywhere">{html}</body></html>
                """,
        };

        private static string Encode(string words) => WebUtility.HtmlEncode(words);
    }
}
