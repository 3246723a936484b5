using ConsentLedger.Subscribers;

namespace ConsentLedger.Http;

/// <summary>
/// Collects what is wrong with a request, by the path of its members, so that a caller learns everything at once. What
/// was sent is never repeated.
/// </summary>
public sealed class InputErrors
{
    private readonly Dictionary<string, List<string>> errors = new(StringComparer.Ordinal);

    /// <summary>True if anything is wrong.</summary>
    public bool Any => errors.Count > 0;

    /// <summary>Notes that the member at this path is not valid.</summary>
    public void Add(string path, string error)
    {
        if (!errors.TryGetValue(path, out var list))
        {
            errors.Add(path, list = []);
        }

        list.Add(error);
    }

    /// <summary>The answer: 400 with all of it.</summary>
    public Problem ToProblem() =>
        new(ProblemType.Validation) { Errors = errors.ToDictionary(pair => pair.Key, pair => pair.Value.ToArray()) };

    /// <summary>A value that has to be there; null with a note if it is not.</summary>
    public T? Require<T>(string path, T? value)
        where T : struct
    {
        if (value is null)
        {
            Add(path, "This is required.");
        }

        return value;
    }

    /// <summary>A text that has to be there: 1 to <paramref name="max"/> characters, not all space.</summary>
    public string RequireText(string path, string? value, int max)
    {
        if (string.IsNullOrWhiteSpace(value))
        {
            Add(path, "This is required.");
            return string.Empty;
        }

        return AcceptText(path, value, max)!;
    }

    /// <summary>
    /// A text of at most <paramref name="max"/> characters without control characters, or null. Line ends are fine in
    /// a text that may have <paramref name="lines"/>.
    /// </summary>
    public string? AcceptText(string path, string? value, int max, bool lines = false)
    {
        if (value is null)
        {
            return null;
        }

        if (value.Length > max)
        {
            Add(path, $"This has at most {max} characters.");
        }
        else if (value.Any(character => char.IsControl(character) && !(lines && character is '\n' or '\r' or '\t')))
        {
            Add(path, "This holds a control character.");
        }
        else if (!value.IsNormalizable())
        {
            Add(path, "This is not valid Unicode.");
        }

        return value.Trim();
    }

    /// <summary>An absolute http(s) URL of at most 2,000 characters, or null.</summary>
    public string? AcceptUrl(string path, string? value)
    {
        var url = AcceptText(path, value, max: 2000);
        if (url is not null && !(Uri.TryCreate(url, UriKind.Absolute, out var parsed) && parsed.Scheme is "http" or "https"))
        {
            Add(path, "This is not an absolute http or https URL.");
        }

        return url;
    }

    /// <summary>An address; null with a note if it is none.</summary>
    public Address? RequireAddress(string path, string? value)
    {
        if (Address.TryParse(value, out var address, out var problem))
        {
            return address;
        }

        Add(path, problem);
        return null;
    }
}
