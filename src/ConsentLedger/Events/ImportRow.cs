namespace ConsentLedger.Events;

/// <summary>A record of an import as text: the columns by name, what is empty as null.</summary>
internal sealed class ImportRow
{
    /// <summary>What stands before the name of a member of the evidence.</summary>
    public const string EvidencePrefix = "evidence.";

    /// <summary>The columns that every file needs.</summary>
    public static readonly string[] Required = ["address", "purpose", "kind", "occurredAt"];

    private static readonly string[] Columns =
        [.. Required, "noticeVersion", "sourceKind", "sourceReference", "sourceUrl", "expiresAt"];

    private readonly string?[] values = new string?[Columns.Length];

    public string? Address => values[0];

    public string? Purpose => values[1];

    public string? Kind => values[2];

    public string? OccurredAt => values[3];

    public string? NoticeVersion => values[4];

    public string? SourceKind => values[5];

    public string? SourceReference => values[6];

    public string? SourceUrl => values[7];

    public string? ExpiresAt => values[8];

    /// <summary>The evidence; values as <see cref="Ledger.Evidence"/> takes them. Null if there is none.</summary>
    public Dictionary<string, object?>? Evidence { get; set; }

    /// <summary>The number of a column, or -1.</summary>
    public static int ColumnOf(string name) => Array.IndexOf(Columns, name);

    /// <summary>The name of a member of the evidence, or null where the column is none.</summary>
    public static string? EvidenceMember(string column) =>
        column.StartsWith(EvidencePrefix, StringComparison.Ordinal) && column.Length > EvidencePrefix.Length ? column[EvidencePrefix.Length..] : null;

    /// <summary>Sets a column by its number.</summary>
    public void Set(int column, string? value) => values[column] = string.IsNullOrEmpty(value) ? null : value;

    /// <summary>Sets a member of the evidence; false if it was set before.</summary>
    public bool AddEvidence(string name, object? value) =>
        value is null or "" || (Evidence ??= new Dictionary<string, object?>(StringComparer.Ordinal)).TryAdd(name, value);

    /// <summary>Empties it for the next record.</summary>
    public void Clear()
    {
        Array.Clear(values);
        Evidence = null;
    }
}
