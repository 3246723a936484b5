using System.Net;
using System.Text;
using ConsentLedger.Mail;
using ConsentLedger.Pages;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Choices;

/// <summary>Writes the same thing twice: as text and as HTML that needs nothing from anywhere.</summary>
internal sealed class Letter(PageTexts texts)
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
