namespace ConsentLedger.Http;

/// <summary>A page of a list.</summary>
/// <param name="Items">What is on it.</param>
/// <param name="NextCursor">Where the next one starts; null on the last.</param>
public sealed record Page<T>(IReadOnlyList<T> Items, string? NextCursor)
{
    /// <summary>How many there are on a page unless asked otherwise.</summary>
    public const int DefaultLimit = 50;

    /// <summary>How many there can be.</summary>
    public const int MaxLimit = 1000;
}
