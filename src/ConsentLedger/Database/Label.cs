using System.Collections.Frozen;
using System.Text.Json;

namespace ConsentLedger.Database;

/// <summary>
/// The one written form of an enum's values, in JSON, in CSV and as labels of the database's enum types: kebab-case.
/// </summary>
public static class Label<T>
    where T : struct, Enum
{
    private static readonly FrozenDictionary<T, string> Labels =
        Enum.GetValues<T>().ToFrozenDictionary(value => value, value => JsonNamingPolicy.KebabCaseLower.ConvertName(value.ToString()));

    private static readonly FrozenDictionary<string, T> Values =
        Labels.ToFrozenDictionary(pair => pair.Value, pair => pair.Key, StringComparer.Ordinal);

    /// <summary>Every label, in the order of the enum.</summary>
    public static IReadOnlyList<string> All { get; } = [.. Enum.GetValues<T>().Select(value => Labels[value])];

    /// <summary>The label of a value.</summary>
    public static string Of(T value) => Labels[value];

    /// <summary>The label of a value, or null for none.</summary>
    public static string? Of(T? value) => value is { } known ? Labels[known] : null;

    /// <summary>The value that a label of the database stands for.</summary>
    public static T Parse(string label) => Values[label];

    /// <summary>Reads a label that a person or a program wrote; exactly as it is, no other spelling.</summary>
    public static bool TryParse(string? label, out T value)
    {
        value = default;
        return label is not null && Values.TryGetValue(label, out value);
    }
}
