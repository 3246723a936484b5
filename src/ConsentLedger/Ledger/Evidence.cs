using System.Text.Json;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Ledger;

/// <summary>
/// What shows how an event came about: IP address, user agent, free text, the source's reference and page, a
/// guardian. An object of strings, integers, booleans, nulls and objects of these, at most 4 KiB in canonical JSON.
/// It is personal, so it is sealed, and it may be purged earlier than its event.
/// </summary>
public sealed class Evidence
{
    /// <summary>The longest evidence, in bytes of canonical JSON.</summary>
    public const int MaxBytes = 4096;

    private const int MaxDepth = 5;
    private const string DetailsName = "evidence";
    private const string SourceName = "source";
    private const string GuardianName = "guardian";

    private readonly byte[] canonical;

    private Evidence(IReadOnlyDictionary<string, object?> members)
    {
        Members = members;
        canonical = CanonicalJson.Write(members);
    }

    /// <summary>All of it; values are string, long, bool, null or dictionaries of these.</summary>
    public IReadOnlyDictionary<string, object?> Members { get; }

    /// <summary>The bytes that are sealed, and that the commitment is made to.</summary>
    public ReadOnlySpan<byte> Canonical => canonical;

    /// <summary>True if this says more than may be kept.</summary>
    public bool IsTooLarge => canonical.Length > MaxBytes;

    /// <summary>What was given as evidence, without the source and the guardian.</summary>
    public IReadOnlyDictionary<string, object?>? Details => Member(DetailsName);

    /// <summary>The guardian who consented for a child, as given (FACTS 37).</summary>
    public IReadOnlyDictionary<string, object?>? Guardian => Member(GuardianName);

    /// <summary>Theirs, where it is given as <c>address</c> and is one: it is what they are found by.</summary>
    public Address? GuardianAddress =>
        Address.TryParse(Guardian?.GetValueOrDefault("address") as string, provider: null, out var address) ? address : null;

    /// <summary>What the source is called: the name of a list, the number of a form.</summary>
    public string? SourceReference => Member(SourceName)?.GetValueOrDefault("reference") as string;

    /// <summary>The page it happened on.</summary>
    public string? SourceUrl => Member(SourceName)?.GetValueOrDefault("url") as string;

    /// <summary>
    /// Puts together all that is personal about an event: free text of the source as well, since people write names
    /// there. Null if there is nothing.
    /// </summary>
    public static Evidence? Of(
        IReadOnlyDictionary<string, object?>? details,
        string? sourceReference = null, string? sourceUrl = null, IReadOnlyDictionary<string, object?>? guardian = null)
    {
        var source = new Dictionary<string, object?>(2);
        AddIf(source, "reference", sourceReference);
        AddIf(source, "url", sourceUrl);
        var members = new Dictionary<string, object?>(3);
        AddIf(members, DetailsName, details is { Count: > 0 } ? details : null);
        AddIf(members, SourceName, source.Count > 0 ? source : null);
        AddIf(members, GuardianName, guardian is { Count: > 0 } ? guardian : null);
        return members.Count == 0 ? null : new Evidence(members);
    }

    /// <summary>Evidence as it was sealed.</summary>
    public static Evidence Read(ReadOnlySpan<byte> canonical)
    {
        var reader = new Utf8JsonReader(canonical);
        using var document = JsonDocument.ParseValue(ref reader);

        // What was put together nests one deeper than what was given.
        return TryReadObject(document.RootElement, depth: 0, out var members, out var problem)
            ? new Evidence(members)
            : throw new JsonException(problem);
    }

    /// <summary>Reads the members of a JSON object, or says what in it can't be evidence.</summary>
    public static bool TryRead(JsonElement json, out Dictionary<string, object?> members, out string? problem)
    {
        try
        {
            return TryReadObject(json, depth: 1, out members, out problem);
        }
        catch (InvalidOperationException)
        {
            // An escape such as \ud800 alone is JSON, and no text.
            members = [];
            problem = "Evidence is not valid Unicode.";
            return false;
        }
    }

    private IReadOnlyDictionary<string, object?>? Member(string name) =>
        Members.GetValueOrDefault(name) as IReadOnlyDictionary<string, object?>;

    private static void AddIf(Dictionary<string, object?> members, string name, object? value)
    {
        if (value is not null)
        {
            members.Add(name, value);
        }
    }

    private static bool TryReadObject(JsonElement json, int depth, out Dictionary<string, object?> members, out string? problem)
    {
        members = new Dictionary<string, object?>(StringComparer.Ordinal);
        problem =
            json.ValueKind != JsonValueKind.Object ? "Evidence is a JSON object."
            : depth > MaxDepth ? $"Evidence nests at most {MaxDepth} deep."
            : null;
        if (problem is not null)
        {
            return false;
        }

        foreach (var member in json.EnumerateObject())
        {
            if (!TryReadValue(member.Value, depth, out var value, out problem))
            {
                return false;
            }

            if (!members.TryAdd(member.Name, value))
            {
                problem = "Evidence names each member once.";
                return false;
            }
        }

        return true;
    }

    private static bool TryReadValue(JsonElement json, int depth, out object? value, out string? problem)
    {
        value = null;
        problem = null;
        switch (json.ValueKind)
        {
            case JsonValueKind.Null:
                return true;
            case JsonValueKind.True or JsonValueKind.False:
                value = json.GetBoolean();
                return true;
            case JsonValueKind.String:
                value = json.GetString();
                return IsStorable((string)value!, out problem);
            case JsonValueKind.Number when json.TryGetInt64(out var integer) && integer is >= -CanonicalJson.LargestInteger and <= CanonicalJson.LargestInteger:
                value = integer;
                return true;
            case JsonValueKind.Object:
                var read = TryReadObject(json, depth + 1, out var members, out problem);
                value = members;
                return read;
            default:
                problem = "Evidence holds text, whole numbers, booleans, null and objects of these; write a list as text.";
                return false;
        }
    }

    private static bool IsStorable(string text, out string? problem)
    {
        problem = text.Contains('\0', StringComparison.Ordinal) ? "Evidence can't hold the NUL character." : null;
        return problem is null;
    }
}
