using System.Diagnostics.CodeAnalysis;
using System.Text.RegularExpressions;

namespace ConsentLedger.Purposes;

/// <summary>The slug a purpose is called by: <c>newsletter</c>, <c>open-days-2027</c>. At most 64 characters.</summary>
public readonly partial record struct PurposeKey : IParsable<PurposeKey>
{
    /// <summary>What stands for all purposes where a purpose is named.</summary>
    public const string All = "*";

    private readonly string? value;

    private PurposeKey(string value) => this.value = value;

    /// <summary>What a slug looks like, for people.</summary>
    public const string Rule = "A purpose's key is 1 to 64 lower-case letters, digits and single hyphens between them.";

    /// <inheritdoc />
    public static PurposeKey Parse(string s, IFormatProvider? provider) =>
        TryParse(s, provider, out var key) ? key : throw new FormatException(Rule);

    /// <inheritdoc />
    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out PurposeKey result)
    {
        var valid = s is { Length: > 0 and <= 64 } && Pattern().IsMatch(s);
        result = valid ? new PurposeKey(s!) : default;
        return valid;
    }

    /// <inheritdoc />
    public override string ToString() => value ?? string.Empty;

    [GeneratedRegex(@"\A[a-z0-9]+(-[a-z0-9]+)*\z", RegexOptions.CultureInvariant)]
    private static partial Regex Pattern();
}
