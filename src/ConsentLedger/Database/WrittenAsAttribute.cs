namespace ConsentLedger.Database;

/// <summary>
/// Says how a value that has a JSON converter of its own is written, which can't be seen from its type: as a string,
/// in a format that JSON Schema names.
/// </summary>
[AttributeUsage(AttributeTargets.Struct | AttributeTargets.Class)]
public sealed class WrittenAsAttribute(string format) : Attribute
{
    /// <summary>The format: <c>uuid</c>, <c>duration</c>.</summary>
    public string Format { get; } = format;

    /// <summary>The pattern it keeps to (ECMA 262), where the format allows more than is read here.</summary>
    public string? Pattern { get; init; }
}
