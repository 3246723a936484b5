using System.Diagnostics.CodeAnalysis;
using System.Text;

namespace ConsentLedger.Subscribers;

/// <summary>
/// Where a message goes: an e-mail address (<c>ada@example.org</c>), a telephone number
/// (<c>tel:+442079460000</c>, E.164) or the organisation's own reference for post (<c>ref:MEM-1234</c>).
/// </summary>
/// <remarks>
/// <see cref="ToString"/> masks, so that an address that slips into a log line or a message shows nothing; whoever
/// needs the address itself asks for <see cref="Given"/>.
/// </remarks>
public sealed record Address : IParsable<Address>
{
    /// <summary>Longer texts are refused unread, whatever they hold.</summary>
    public const int MaxLength = 320;

    private const string PhoneScheme = "tel:";
    private const string ReferenceScheme = "ref:";
    private const int MaxReferenceLength = 64;

    private Address(AddressKind kind, string given, string normalised)
    {
        Kind = kind;
        Given = given;
        Normalised = normalised;
    }

    /// <summary>Which kind of address this is.</summary>
    public AddressKind Kind { get; }

    /// <summary>The address as it was given, for sending.</summary>
    public string Given { get; }

    /// <summary>The form that is compared and hashed. The scheme is part of it.</summary>
    public string Normalised { get; }

    /// <summary>True if messages of this channel can go to this address.</summary>
    public bool Fits(Channel channel) => Kind == channel switch
    {
        Channel.Email => AddressKind.Email,
        Channel.Sms or Channel.Phone => AddressKind.Phone,
        _ => AddressKind.Reference,
    };

    /// <summary>Two spellings of one address are equal.</summary>
    public bool Equals(Address? other) => other is not null && Normalised == other.Normalised;

    /// <inheritdoc />
    public override int GetHashCode() => Normalised.GetHashCode(StringComparison.Ordinal);

    /// <summary>The first character and the kind, for people who look for something in a log.</summary>
    public override string ToString() => Kind switch
    {
        AddressKind.Email => Rune.GetRuneAt(Given, 0) + "…@…",
        AddressKind.Phone => "tel:…",
        _ => "ref:…",
    };

    /// <summary>Reads an address, or throws <see cref="FormatException"/> with a reason that does not repeat it.</summary>
    public static Address Parse(string s, IFormatProvider? provider = null) =>
        TryParse(s, out var address, out var problem) ? address : throw new FormatException(problem);

    /// <inheritdoc />
    public static bool TryParse(
        [NotNullWhen(true)] string? s, IFormatProvider? provider, [MaybeNullWhen(false)] out Address result) =>
        TryParse(s, out result, out _);

    /// <summary>
    /// Reads an address. Space around it is dropped; nothing else is guessed at. When it is none, <paramref name="problem"/>
    /// says why in a sentence that does not repeat what was given.
    /// </summary>
    public static bool TryParse(
        string? text, [NotNullWhen(true)] out Address? address, [NotNullWhen(false)] out string? problem)
    {
        address = null;
        problem = null;
        if (string.IsNullOrWhiteSpace(text))
        {
            problem = "An address is required.";
        }
        else if (text.Length > MaxLength)
        {
            problem = $"An address has at most {MaxLength} characters.";
        }
        else if (!IsUnicode(text))
        {
            problem = "The address is not valid Unicode.";
        }
        else
        {
            var given = text.Trim(' ').Normalize(NormalizationForm.FormC);
            var normalised =
                given.StartsWith(PhoneScheme, StringComparison.OrdinalIgnoreCase) ? NormalisePhone(given, out problem)
                : given.StartsWith(ReferenceScheme, StringComparison.OrdinalIgnoreCase) ? NormaliseReference(given, out problem)
                : EmailAddress.Normalise(given, out problem);
            if (normalised is not null)
            {
                address = new Address(KindOf(normalised), given, normalised);
                return true;
            }

            problem ??= "This is not an address.";
        }

        return false;
    }

    private static AddressKind KindOf(string normalised) =>
        normalised.StartsWith(PhoneScheme, StringComparison.Ordinal) ? AddressKind.Phone
        : normalised.StartsWith(ReferenceScheme, StringComparison.Ordinal) ? AddressKind.Reference
        : AddressKind.Email;

    /// <summary>E.164: a plus sign and 7 to 15 digits, the first not 0. What people write between digits is dropped.</summary>
    private static string? NormalisePhone(string given, out string? problem)
    {
        var digits = new StringBuilder(PhoneScheme, PhoneScheme.Length + 16).Append('+');
        var number = given.AsSpan(PhoneScheme.Length);
        if (number is not ['+', not '0', ..])
        {
            problem = "A telephone number is written in E.164, with the country: tel:+442079460000.";
            return null;
        }

        foreach (var character in number[1..])
        {
            if (char.IsAsciiDigit(character))
            {
                digits.Append(character);
            }
            else if (character is not (' ' or '-' or '.' or '(' or ')'))
            {
                problem = "A telephone number holds digits only.";
                return null;
            }
        }

        if (number.Contains("(0)", StringComparison.Ordinal))
        {
            // Between country and number it is dialled within the country only; kept, it makes another number.
            problem = "Leave out the (0): a telephone number in E.164 has none.";
            return null;
        }

        var count = digits.Length - PhoneScheme.Length - 1;
        problem = count is < 7 or > 15 ? "A telephone number has 7 to 15 digits." : null;
        return problem is null ? digits.ToString() : null;
    }

    /// <summary>The organisation's own reference: letters, digits and -._/ only; its case is the organisation's.</summary>
    private static string? NormaliseReference(string given, out string? problem)
    {
        var reference = given.AsSpan(ReferenceScheme.Length);
        var valid = reference.Length is > 0 and <= MaxReferenceLength;
        foreach (var character in reference)
        {
            valid &= char.IsAsciiLetterOrDigit(character) || character is '-' or '.' or '_' or '/';
        }

        problem = valid ? null : $"A reference has 1 to {MaxReferenceLength} letters, digits and -._/ after ref:.";
        return valid ? string.Concat(ReferenceScheme, reference) : null;
    }

    /// <summary>Whole surrogate pairs, and no code point that is none: normalising throws at U+FFFE.</summary>
    private static bool IsUnicode(string text)
    {
        if (Ascii.IsValid(text))
        {
            return true;
        }

        for (var i = 0; i < text.Length; i++)
        {
            if (!Rune.TryGetRuneAt(text, i, out var rune) || (rune.Value & 0xFFFE) == 0xFFFE)
            {
                return false;
            }

            i += rune.Utf16SequenceLength - 1;
        }

        return true;
    }
}
