using System.Buffers;
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
    private const string NotADomain = "What stands after the @ is not a domain.";
    private const int MaxLabelLength = 63;
    private const string AtextSymbols = "!#$%&'*+-/=?^_`{|}~";

    /// <summary>RFC 5322 atext, and the dots between.</summary>
    private static readonly SearchValues<char> LocalCharacters =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789." + AtextSymbols);

    private static readonly SearchValues<char> LabelCharacters =
        SearchValues.Create("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-");

    private static readonly IdnMapping Idn = new() { AllowUnassigned = false, UseStd3AsciiRules = true };

    /// <summary>The form to compare and hash, or null with the reason in <paramref name="problem"/>.</summary>
    public static string? Normalise(string given, out string? problem)
    {
        problem = null;
        return IsPlain(given) ? given.ToLowerInvariant() : NormaliseAny(given, out problem);
    }

    /// <summary>
    /// True for what nearly every address is: letters, digits and signs of ASCII, in a form that there is nothing to say
    /// against and that lower case alone normalises. False says nothing.
    /// </summary>
    private static bool IsPlain(ReadOnlySpan<char> given)
    {
        var at = given.LastIndexOf('@');
        return at is > 0 and <= MaxLocalOctets && given.Length <= MaxOctets && IsPlainLocalPart(given[..at]) && IsPlainDomain(given[(at + 1)..]);
    }

    private static bool IsPlainLocalPart(ReadOnlySpan<char> local) =>
        local[0] != '.' && local[^1] != '.' && !local.Contains("..", StringComparison.Ordinal) && !local.ContainsAnyExcept(LocalCharacters);

    private static bool IsPlainDomain(ReadOnlySpan<char> domain)
    {
        var labels = 0;
        var last = domain;
        foreach (var range in domain.Split('.'))
        {
            last = domain[range];
            labels++;

            // Hyphens in the third and fourth place mark what is encoded.
            if (last.Length is 0 or > MaxLabelLength || last[0] == '-' || last[^1] == '-' || last is [_, _, '-', '-', ..]
                || last.ContainsAnyExcept(LabelCharacters))
            {
                return false;
            }
        }

        return labels >= 2 && last.ContainsAnyExceptInRange('0', '9');
    }

    private static string? NormaliseAny(string given, out string? problem)
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
        if (Octets(normalised) > MaxOctets)
        {
            problem = $"An e-mail address has at most {MaxOctets} octets.";
            return null;
        }

        return normalised;
    }

    private static string? NormaliseLocalPart(string local, out string? problem)
    {
        var folded = Fold(local);
        problem =
            local.Length == 0 ? "There is nothing before the @."
            : Octets(local) > MaxLocalOctets || Octets(folded) > MaxLocalOctets ? $"There are more than {MaxLocalOctets} octets before the @."
            : local[0] == '.' || local[^1] == '.' || local.Contains("..", StringComparison.Ordinal)
                ? "A dot can't stand first, last or twice in a row before the @."
            : local.EnumerateRunes().Any(rune => !(rune.IsAscii ? IsAtext(rune) : IsOfAScript(rune))) ? "There is a character before the @ that an address can't hold."
            : IsMark(Rune.GetRuneAt(local, 0)) ? "A mark can't stand first: it belongs to the letter before it."
            : LookAlikes.In(local);
        return problem is null ? folded : null;
    }

    /// <summary>
    /// One case: upper first, then lower, so that letters with two small forms, such as the Greek sigma, become one and
    /// an address in capitals is the address.
    /// </summary>
    private static string Fold(string local) => local.ToUpperInvariant().ToLowerInvariant().Normalize(NormalizationForm.FormC);

    private static int Octets(string text) => Encoding.UTF8.GetByteCount(text);

    /// <summary>RFC 5322 atext, and the dots between.</summary>
    private static bool IsAtext(Rune rune) =>
        Rune.IsLetterOrDigit(rune) || rune.Value == '.' || AtextSymbols.Contains((char)rune.Value, StringComparison.Ordinal);

    /// <summary>What RFC 6531 and IDNA add: letters, marks and digits of every script.</summary>
    private static bool IsOfAScript(Rune rune) => IsMark(rune) || Rune.GetUnicodeCategory(rune)
        is UnicodeCategory.UppercaseLetter or UnicodeCategory.LowercaseLetter or UnicodeCategory.OtherLetter
        or UnicodeCategory.TitlecaseLetter or UnicodeCategory.ModifierLetter or UnicodeCategory.DecimalDigitNumber;

    private static bool IsMark(Rune rune) =>
        Rune.GetUnicodeCategory(rune) is UnicodeCategory.NonSpacingMark or UnicodeCategory.SpacingCombiningMark;

    private static string? NormaliseDomain(string domain, out string? problem)
    {
        if (domain.Length is 0 or > MaxDomainLength)
        {
            problem = domain.Length == 0 ? "There is nothing after the @." : $"A domain has at most {MaxDomainLength} characters.";
            return null;
        }

        problem = FindFault(domain);
        if (problem is not null)
        {
            return null;
        }

        string ascii;
        string unicode;
        try
        {
            ascii = Idn.GetAscii(domain).ToLowerInvariant();
            unicode = Idn.GetUnicode(ascii);
        }
        catch (ArgumentException)
        {
            problem = NotADomain;
            return null;
        }

        // An A-label is held to what it stands for: spelt out it would be the same domain.
        problem = IsHostName(ascii) ? FindFault(unicode) : NotADomain;
        return problem is null ? ascii : null;
    }

    /// <summary>
    /// What is wrong with the letters, or null. The mapping to A-labels drops what can't be seen; here nothing is dropped.
    /// </summary>
    private static string? FindFault(string domain) =>
        domain.EnumerateRunes().Any(rune => !rune.IsAscii && !IsOfAScript(rune))
            ? NotADomain
            : domain.Split('.').Select(LookAlikes.In).FirstOrDefault(fault => fault is not null);

    private static bool IsHostName(string ascii)
    {
        var labels = ascii.Split('.');
        return ascii.Length <= MaxDomainLength && labels.Length >= 2 && !labels[^1].All(char.IsAsciiDigit)
            && labels.All(label => label.Length is > 0 and <= MaxLabelLength && label[0] != '-' && label[^1] != '-'
                && label.All(character => char.IsAsciiLetterOrDigit(character) || character == '-'));
    }
}
