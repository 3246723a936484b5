using System.Globalization;
using System.Text.Json;
using ConsentLedger.Choices;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Subscribers;

namespace ConsentLedger.SignUps;

/// <summary>
/// What a form sends, whichever way: names, each with one text or several. Only what the form declares is looked at, and
/// nothing else is kept (FACTS 45).
/// </summary>
internal sealed class SignUpInput(IReadOnlyDictionary<string, string[]> values)
{
    private const int MaxField = 200;
    private const string NoticePrefix = "notice-";

    // People don't see it and browsers don't fill it; what does is a program that fills in everything.
    private const string Trap = "comment";

    private static readonly string[] Reserved = ["address", "purposes", "language", "returnUrl", "age", "guardian", "lang", "challenge", "solution", Trap];

    /// <summary>True if the form uses this name for something of its own.</summary>
    public static bool IsReserved(string field) =>
        Reserved.Contains(field, StringComparer.OrdinalIgnoreCase) || field.StartsWith(NoticePrefix, StringComparison.OrdinalIgnoreCase);

    /// <summary>True if a program filled it in.</summary>
    public bool IsTrapped => !string.IsNullOrEmpty(Text(Trap));

    /// <summary>The challenge that was worked on, and what it came to, as sent.</summary>
    public string? Challenge => Text("challenge");

    /// <inheritdoc cref="Challenge" />
    public string? Solution => Text("solution");

    /// <summary>What was filled in, valid or not, for the form to show again.</summary>
    public IReadOnlyDictionary<string, string> Texts =>
        values.Keys.Where(name => Text(name) is not null).ToDictionary(name => name, name => Text(name)!, StringComparer.Ordinal);

    /// <summary>The language that was asked for, known or not.</summary>
    public string? Language => Text("language");

    /// <summary>What was chosen, known or not, for the form to show again.</summary>
    public IReadOnlyList<string> Purposes => values.GetValueOrDefault("purposes") ?? [];

    /// <summary>A form's fields.</summary>
    public static SignUpInput Of(IFormCollection form) =>
        new(form.ToDictionary(field => field.Key, field => field.Value.Select(value => value ?? string.Empty).ToArray(), StringComparer.Ordinal));

    /// <summary>A JSON object's members: texts and lists of texts; null with a note for anything else.</summary>
    public static SignUpInput? Of(JsonElement json, InputErrors errors)
    {
        if (json.ValueKind != JsonValueKind.Object)
        {
            errors.Add("body", "A JSON object is required.");
            return null;
        }

        var values = new Dictionary<string, string[]>(StringComparer.Ordinal);
        foreach (var member in json.EnumerateObject())
        {
            switch (member.Value.ValueKind)
            {
                case JsonValueKind.Null:
                    break;
                case JsonValueKind.String:
                    values[member.Name] = [member.Value.GetString()!];
                    break;
                case JsonValueKind.Array when member.Value.EnumerateArray().All(value => value.ValueKind == JsonValueKind.String):
                    values[member.Name] = [.. member.Value.EnumerateArray().Select(value => value.GetString()!)];
                    break;
                default:
                    errors.Add("body", "Every member is text, or a list of texts.");
                    break;
            }
        }

        return new SignUpInput(values);
    }

    /// <summary>Where to go afterwards: one of the form's own, or null; a note for any other.</summary>
    public string? ReturnUrl(Form form, InputErrors errors)
    {
        var url = Text("returnUrl");
        if (string.IsNullOrEmpty(url) || form.ReturnUrls.Contains(url, StringComparer.Ordinal))
        {
            return string.IsNullOrEmpty(url) ? null : url;
        }

        errors.Add("returnUrl", "This is not one of the form's return URLs.");
        return null;
    }

    /// <summary>The sign-up this comes to; null with notes if it is not valid.</summary>
    public SignUp? Read(Form form, IReadOnlyList<Offer> offers, SourceKind source, string? url, Visitor visitor, InputErrors errors)
    {
        var address = RequireEmail("address", Text("address"), errors);
        var chosen = ReadPurposes(offers, errors);
        var guardian = ReadGuardian(chosen, address, errors);
        var fields = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (var field in form.Fields)
        {
            if (errors.AcceptText($"fields.{field}", Text(field), MaxField) is { Length: > 0 } value)
            {
                fields[field] = value;
            }
        }

        var language = FormsApi.ReadLanguage("language", Text("language"), form.Language, errors);
        var choices = chosen.Select(offer => new Choice(offer.Purpose.Id.Value, ReadNotice(offer, errors))).ToList();
        if (errors.Any)
        {
            return null;
        }

        var signUp = new SignUp(
            form.Key, address!.Given, guardian?.Given, language, choices, source, url, visitor.Ip, visitor.UserAgent, fields);
        if (signUp.Evidence(offers[0])!.IsTooLarge)
        {
            errors.Add("body", $"What is kept of a sign-up has at most {Evidence.MaxBytes} bytes.");
            return null;
        }

        return signUp;
    }

    private string? Text(string name) => values.GetValueOrDefault(name) is [{ } text, ..] ? text : null;

    private List<Offer> ReadPurposes(IReadOnlyList<Offer> offers, InputErrors errors)
    {
        // Where there is one thing to sign up for, signing up is choosing it.
        if (Purposes.Count == 0 && offers.Count == 1)
        {
            return [offers[0]];
        }

        if (Purposes.Count == 0)
        {
            errors.Add("purposes", "At least one of the form's purposes is required.");
        }
        else if (Purposes.Any(key => offers.All(offer => offer.Purpose.Key != key)))
        {
            errors.Add("purposes", "These are not all among the form's purposes.");
        }

        return [.. offers.Where(offer => Purposes.Contains(offer.Purpose.Key, StringComparer.Ordinal))];
    }

    /// <summary>Below a purpose's minimum age a parent or guardian confirms (FACTS 37).</summary>
    private Address? ReadGuardian(List<Offer> chosen, Address? address, InputErrors errors)
    {
        if (chosen.All(offer => offer.Purpose.MinimumAge is null or 0))
        {
            return null;
        }

        switch (Text("age"))
        {
            case "over":
                return null;
            case "under":
                var guardian = RequireEmail("guardian", Text("guardian"), errors);
                if (guardian is not null && guardian.Equals(address))
                {
                    errors.Add("guardian", "This is the address of another person than the child.");
                }

                return guardian;
            default:
                errors.Add("age", "Must be one of: over, under.");
                return null;
        }
    }

    /// <summary>The version the person was shown; the newest if the page does not say.</summary>
    private int? ReadNotice(Offer offer, InputErrors errors)
    {
        var name = NoticePrefix + offer.Purpose.Key;
        if (Text(name) is not { } text)
        {
            return offer.Notice?.Version;
        }

        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var version) && offer.Purpose.NoticeVersions.Contains(version))
        {
            return version;
        }

        errors.Add(name, "The purpose has no such version of its notice.");
        return null;
    }

    private static Address? RequireEmail(string path, string? text, InputErrors errors)
    {
        var address = errors.RequireAddress(path, text);
        if (address is { Kind: not AddressKind.Email })
        {
            errors.Add(path, "People sign up by e-mail address.");
            return null;
        }

        return address;
    }
}
