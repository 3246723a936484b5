using System.Globalization;
using System.Security.Cryptography;
using ConsentLedger.Database;

namespace ConsentLedger.Feedback;

/// <summary>The settings under <c>ConsentLedger:Feedback</c>.</summary>
public sealed record FeedbackOptions
{
    /// <summary>
    /// How old a signed request may be. Providers go on trying for up to a day while they are answered 503, some with the
    /// signature of the first attempt, and what comes again changes nothing: this only bounds for how long a request that
    /// somebody else got hold of is worth anything.
    /// </summary>
    public static readonly TimeSpan Tolerance = TimeSpan.FromDays(3);

    private const string Section = "ConsentLedger:Feedback";

    /// <summary>How many soft bounces suppress an address.</summary>
    public int SoftBounceLimit { get; init; } = 3;

    /// <summary>Within what time they have to come.</summary>
    public TimeSpan SoftBounceWindow { get; init; } = TimeSpan.FromDays(30);

    /// <summary>The SNS topics (their ARNs) that SES reports to.</summary>
    public IReadOnlyList<string> Topics { get; init; } = [];

    /// <summary>The public key of SendGrid's signed event webhook; null if its events are not signed.</summary>
    public byte[]? SendGridKey { get; init; }

    /// <summary>Mailgun's webhook signing key; null if there is none.</summary>
    public string? MailgunKey { get; init; }

    /// <summary>Reads them.</summary>
    /// <exception cref="StartupException">One can't be what it says.</exception>
    public static FeedbackOptions Read(IConfiguration configuration)
    {
        var section = configuration.GetSection(Section);
        var topics = section.GetSection("Ses:Topics");
        return new FeedbackOptions
        {
            SoftBounceLimit = ReadNumber(section, "SoftBounceLimit", 3, 1, 100),
            SoftBounceWindow = TimeSpan.FromDays(ReadNumber(section, "SoftBounceDays", 30, 1, 365)),
            Topics = topics.Value is { } list
                ? list.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
                : [.. topics.GetChildren().Select(child => child.Value ?? string.Empty)],
            SendGridKey = ReadPublicKey(section["SendGrid:PublicKey"]),
            MailgunKey = section["Mailgun:SigningKey"] is { Length: > 0 } key ? key : null,
        };
    }

    private static int ReadNumber(IConfigurationSection section, string name, int unset, int least, int most) =>
        section[name] is not { Length: > 0 } text ? unset
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most ? number
        : throw new StartupException(string.Create(CultureInfo.InvariantCulture, $"{Section}:{name} is not a number from {least} to {most}."));

    private static byte[]? ReadPublicKey(string? text)
    {
        if (string.IsNullOrWhiteSpace(text))
        {
            return null;
        }

        try
        {
            var key = Convert.FromBase64String(text);
            using var parsed = ECDsa.Create();
            parsed.ImportSubjectPublicKeyInfo(key, out _);
            return key;
        }
        catch (Exception fault) when (fault is FormatException or CryptographicException)
        {
            throw new StartupException($"{Section}:SendGrid:PublicKey is not the verification key that SendGrid shows: a public key in base64.");
        }
    }
}
