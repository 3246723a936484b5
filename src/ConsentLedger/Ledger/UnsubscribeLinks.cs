using System.Text.Json.Serialization;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Ledger;

/// <summary>Makes the link, and the header fields, by which a subscriber leaves one purpose in one click (RFC 8058).</summary>
public sealed class UnsubscribeLinks(KeyRing keys, PublicUrl publicUrl)
{
    private readonly string prefix = publicUrl.Link("/u/");

    /// <summary>The link alone.</summary>
    public string UrlFor(PurposeId purpose, SubscriberId subscriber) => prefix + new UnsubscribeToken(purpose, subscriber).Sign(keys);

    /// <summary>The link and the header fields of a message; a DKIM signature must cover them (FACTS 6).</summary>
    public UnsubscribeLink For(PurposeTerms purpose, SubscriberId subscriber)
    {
        var url = UrlFor(purpose.Id, subscriber);
        return new UnsubscribeLink(url, new UnsubscribeHeaders($"<{url}>", UnsubscribeHeaders.OneClick, $"<{purpose.Key}.{publicUrl.Host}>"));
    }
}

/// <summary>How a subscriber leaves one purpose.</summary>
/// <param name="Url">For a person to open and for a mail program to post to; it changes nothing when it is fetched.</param>
/// <param name="Headers">The header fields to put into the message, by name.</param>
public sealed record UnsubscribeLink(string Url, UnsubscribeHeaders Headers);

/// <summary>The header fields of RFC 8058 §3.1 and RFC 2919.</summary>
/// <param name="ListUnsubscribe">The link in angle brackets.</param>
/// <param name="ListUnsubscribePost">Exactly <c>List-Unsubscribe=One-Click</c>.</param>
/// <param name="ListId">Names the list for the mail program: the purpose at the service's host.</param>
public sealed record UnsubscribeHeaders(
    [property: JsonPropertyName("List-Unsubscribe")] string ListUnsubscribe,
    [property: JsonPropertyName("List-Unsubscribe-Post")] string ListUnsubscribePost,
    [property: JsonPropertyName("List-Id")] string ListId)
{
    /// <summary>What the POST carries, and what <c>List-Unsubscribe-Post</c> says.</summary>
    public const string OneClick = "List-Unsubscribe=One-Click";
}
