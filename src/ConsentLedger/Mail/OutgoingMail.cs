using System.Globalization;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Mail;

/// <summary>A mail to one person, in words. Sender, date and Message-ID come with its delivery.</summary>
public sealed record OutgoingMail
{
    private readonly string subject = string.Empty;
    private readonly UnsubscribeHeaders? unsubscribe;

    /// <summary>What it is, for people who look after the service: <c>confirmation</c>. Nothing personal.</summary>
    public required string Kind { get; init; }

    /// <summary>Where it goes: an e-mail address.</summary>
    public required Address Recipient { get; init; }

    /// <summary>Its subject: one line.</summary>
    /// <exception cref="ArgumentException">It holds a control character, by which a header could be added.</exception>
    public required string Subject
    {
        get => subject;
        init => subject = OneLine(value, nameof(Subject));
    }

    /// <summary>The text, for those who read text.</summary>
    public required string Text { get; init; }

    /// <summary>The same in HTML.</summary>
    public required string Html { get; init; }

    /// <summary>The way out, where a mail is about one that can be left; null for what nobody subscribes to.</summary>
    /// <exception cref="ArgumentException">One of them holds a control character.</exception>
    public UnsubscribeHeaders? Unsubscribe
    {
        get => unsubscribe;
        init
        {
            if (value is not null)
            {
                OneLine(value.ListUnsubscribe, nameof(Unsubscribe));
                OneLine(value.ListUnsubscribePost, nameof(Unsubscribe));
                OneLine(value.ListId, nameof(Unsubscribe));
            }

            unsubscribe = value;
        }
    }

    /// <summary>
    /// The consent that has to stand still when it is sent: whoever says no while it waits does not get it. Null for what goes
    /// whatever was said.
    /// </summary>
    public MailConsent? RestsOn { get; init; }

    private static string OneLine(string value, string name) =>
        value.EnumerateRunes().Any(rune => System.Text.Rune.GetUnicodeCategory(rune) is UnicodeCategory.Control or UnicodeCategory.LineSeparator or UnicodeCategory.ParagraphSeparator)
            ? throw new ArgumentException("A header field of a mail holds no control character.", name)
            : value;
}

/// <summary>A consent that a mail rests on: a check of this subscriber for this purpose has to say yes.</summary>
/// <param name="Subscriber">Whose consent it is about; not always who gets the mail.</param>
/// <param name="Purpose">What for.</param>
public sealed record MailConsent(SubscriberId Subscriber, PurposeId Purpose);
