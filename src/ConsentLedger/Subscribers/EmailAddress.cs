using System.Globalization;
using System.Text;

namespace ConsentLedger.Subscribers;

/// <summary>
/// Normalises e-mail addresses for comparison (FACTS 20): NFC, the local part in lower case, the domain in lower case
/// and in A-labels. Dots and <c>+tag</c> are the receiving host's business and stay (RFC 5321 §2.4).
/// </summary>
internal static class EmailAddress
{
    private const int MaxLocalOctets = 64;
    private const int MaxDomainLength = 253;
    private const int MaxOctets = 254;
    private const string AtextSymbols = "!#$%&'*+-/=?^_`{|}~";

    private static readonly IdnMapping Idn = new() { AllowUnassigned = false, UseStd3AsciiRules = true };

    /// <summary>The form to compare and hash, or null with the reason in <paramref name="problem"/>.</summary>
    public static string? Normalise(string given, out string? problem)
    {
        var at = given.LastIndexOf('@');
        if (at < 0)
        {
            problem = "An e-mail address has an @; telephone numbers start with tel:, references with ref:.";
            return null;
        }

        var local = NormaliseLocalPart(given[..at], out problem);
        var domain = problem is null ? NormaliseDomain(given[(at + 1)..], out problem) : null;
        if (domain is null)
        {
            return null;
        }

        var normalised = $"{local}@{domain}";
        if (Encoding.UTF8.GetByteCount(normalised) > MaxOctets)
        {
            problem = $"An e-mail address has at most {MaxOctets} octets.";
            return null;
        }

        return normalised;
    }

    private static string? NormaliseLocalPart(string local, out string? problem)
    {
        problem =
            local.Length == 0 ? "There is nothing before the @."
            : Encoding.UTF8.GetByteCount(local) > MaxLocalOctets ? $"There are more than {MaxLocalOctets} octets before the @."
            : local[0] == '.' || local[^1] == '.' || local.Contains("..", StringComparison.Ordinal)
                ? "A dot can't stand first, last or twice in a row before the @."
            : local.EnumerateRunes().Any(rune => !MayStandInLocalPart(rune)) ? "There is a character before the @ that an address can't hold."
            : LookAlikes.In(local);
        return problem is null ? local.ToLowerInvariant().Normalize(NormalizationForm.FormC) : null;
    }

    /// <summary>RFC 5322 atext, and with RFC 6531 letters, marks and digits of every script.</summary>
    private static bool MayStandInLocalPart(Rune rune) => rune.IsAscii
        ? Rune.IsLetterOrDigit(rune) || rune.Value == '.' || AtextSymbols.Contains((char)rune.Value, StringComparison.Ordinal)
        : Rune.GetUnicodeCategory(rune)
            is UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.OtherLetter
            or UnicodeCategory.TitlecaseLetter or UnicodeCategory.ModifierLetter or UnicodeCategory.DecimalDigitNumber
            or UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark;

    private static string? NormaliseDomain(string domain, out string? problem)
    {
        if (domain.Length is 0 or > MaxDomainLength)
        {
            problem = domain.Length == 0 ? "There is nothing after the @." : $"A domain has at most {MaxDomainLength} characters.";
            return null;
        }

        foreach (var label in domain.Split('.'))
        {
            if (LookAlikes.In(label) is { } lookAlike)
            {
                problem = lookAlike;
                return null;
            }
        }

        string ascii;
        try
        {
            ascii = Idn.GetAscii(domain).ToLowerInvariant();
        }
        catch (ArgumentException)
        {
            problem = "What stands after the @ is not a domain.";
            return null;
        }

        var labels = ascii.Split('.');
        var valid = ascii.Length <= MaxDomainLength && labels.Length >= 2 && !labels[^1].All(char.IsAsciiDigit)
            && labels.All(label => label.Length is > 0 and <= 63 && label[0] != '-' && label[^1] != '-'
                && label.All(character => char.IsAsciiLetterOrDigit(character) || character == '-'));
        problem = valid ? null : "What stands after the @ is not a domain.";
        return valid ? ascii : null;
    }
}
