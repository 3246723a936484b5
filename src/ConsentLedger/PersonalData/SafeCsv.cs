using System.Text;
using System.Text.Json;

namespace ConsentLedger.PersonalData;

/// <summary>
/// CSV that a spreadsheet opens without running anything in it. Programs take a field that begins with one of a few
/// characters for a formula, quoted or not; such a field gets an apostrophe in front, by which they show it as text
/// (OWASP, "CSV Injection"). Each field is quoted, lines end as RFC 4180 has it, and a byte order mark says UTF-8.
/// </summary>
internal static class SafeCsv
{
    private const string Risky = "=+-@\t\r\n＝＋－＠";

    /// <summary>What stands at the start of the file.</summary>
    public const string Start = "\uFEFF";

    /// <summary>Appends a line.</summary>
    public static void AppendLine(StringBuilder csv, IEnumerable<string> fields) => csv.AppendJoin(',', fields.Select(Field)).Append("\r\n");

    /// <summary>The value of a record at a path such as <c>notice.version</c>; what nests deeper comes as JSON, what is missing as nothing.</summary>
    public static string ValueAt(JsonElement record, string path)
    {
        foreach (var name in path.Split('.'))
        {
            if (record.ValueKind != JsonValueKind.Object || !record.TryGetProperty(name, out var member))
            {
                return string.Empty;
            }

            record = member;
        }

        return record.ValueKind switch
        {
            JsonValueKind.Null => string.Empty,
            JsonValueKind.String => record.GetString()!,
            _ => record.GetRawText(),
        };
    }

    private static string Field(string value) =>
        $"\"{(IsRisky(value) ? "'" : string.Empty)}{value.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";

    /// <summary>Space at the start is passed over, because some programs do so before they look.</summary>
    private static bool IsRisky(string value) =>
        value.Length > 0 && (Risky.Contains(value[0], StringComparison.Ordinal) || (value.TrimStart() is [var first, ..] && Risky.Contains(first, StringComparison.Ordinal)));
}
