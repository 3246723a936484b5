using System.Globalization;
using System.Text;

namespace ConsentLedger.Events;

/// <summary>How an import is written.</summary>
public enum ImportFormat
{
    /// <summary><c>text/csv</c>, with a header row.</summary>
    Csv,

    /// <summary><c>application/x-ndjson</c>: an object a line.</summary>
    NdJson,
}

/// <summary>Reads a record of one format; from several threads at once.</summary>
internal interface IRecordReader
{
    /// <summary>Reads a record into the row, or says in a sentence what is the matter with it.</summary>
    string? Read(ReadOnlyMemory<byte> record, ImportRow row);

    /// <summary>True if what was refused is at least of this format.</summary>
    bool Recognises(ReadOnlyMemory<byte> record);
}

/// <summary>Reads CSV records (RFC 4180) whose columns the header row names, in any order.</summary>
internal sealed class CsvRecordReader : IRecordReader
{
    private readonly int[] columns;
    private readonly string?[] evidence;

    private CsvRecordReader(int[] columns, string?[] evidence)
    {
        this.columns = columns;
        this.evidence = evidence;
    }

    /// <summary>Reads the header row.</summary>
    /// <exception cref="UnreadableFileException">A column is missing, unknown or named twice.</exception>
    public static CsvRecordReader Of(ReadOnlySpan<byte> header)
    {
        var names = new List<string>();
        var fields = new CsvFields(header);
        while (fields.MoveNext())
        {
            names.Add(fields.Current.Trim());
        }

        if (fields.IsMalformed)
        {
            throw new UnreadableFileException("body", "The header row is not CSV.");
        }

        var columns = names.Select(ImportRow.ColumnOf).ToArray();
        var evidence = names.Select(ImportRow.EvidenceMember).ToArray();
        var missing = ImportRow.Required.FirstOrDefault(name => !names.Contains(name, StringComparer.Ordinal));
        if (missing is not null)
        {
            throw new UnreadableFileException(missing, "The header row, which is the first, lacks this column.");
        }

        for (var i = 0; i < names.Count; i++)
        {
            // A file without a header row has somebody's address here, so only what looks like a name is repeated.
            var name = names[i].Length is > 0 and <= 64 && names[i].All(character => char.IsAsciiLetterOrDigit(character) || character is '.' or '_' or '-' or ' ')
                ? names[i]
                : string.Create(CultureInfo.InvariantCulture, $"column {i + 1}");
            if (columns[i] < 0 && evidence[i] is null)
            {
                throw new UnreadableFileException(name, "There is no such column; what else is known of an event goes into columns named evidence.*.");
            }

            if (names.IndexOf(names[i]) != i)
            {
                throw new UnreadableFileException(name, "This column is there twice.");
            }
        }

        return new CsvRecordReader(columns, evidence);
    }

    public string? Read(ReadOnlyMemory<byte> record, ImportRow row)
    {
        var fields = new CsvFields(record.Span);
        var count = 0;
        for (; fields.MoveNext(); count++)
        {
            if (count >= columns.Length)
            {
                return "The record has more fields than the header row.";
            }

            if (columns[count] >= 0)
            {
                row.Set(columns[count], fields.Current);
            }
            else
            {
                row.AddEvidence(evidence[count]!, fields.Current);
            }
        }

        return fields.IsMalformed ? "There is something between the end of a quoted field and the next comma."
            : count < columns.Length ? "The record has fewer fields than the header row."
            : null;
    }

    // The header row was read, so the file is CSV.
    public bool Recognises(ReadOnlyMemory<byte> record) => true;
}

/// <summary>
/// The fields of one CSV record. A quote that does not open a field is a character like any other, as spreadsheets
/// have it.
/// </summary>
internal ref struct CsvFields(ReadOnlySpan<byte> record)
{
    private ReadOnlySpan<byte> rest = record;
    private bool atEnd;

    /// <summary>The field <see cref="MoveNext"/> went to, without its quotes.</summary>
    public string Current { get; private set; } = string.Empty;

    /// <summary>True if a field goes on after its closing quote, or has none.</summary>
    public bool IsMalformed { get; private set; }

    /// <summary>Goes to the next field; false if there is none, or none that can be read.</summary>
    public bool MoveNext()
    {
        if (atEnd)
        {
            return false;
        }

        var length = rest is [(byte)'"', ..] ? ReadQuoted() : ReadPlain();
        IsMalformed = length < 0 || (length < rest.Length && rest[length] != ',');
        atEnd = IsMalformed || length == rest.Length;
        rest = atEnd ? [] : rest[(length + 1)..];
        return !IsMalformed;
    }

    private int ReadPlain()
    {
        var comma = rest.IndexOf((byte)',');
        var length = comma < 0 ? rest.Length : comma;
        Current = Encoding.UTF8.GetString(rest[..length]);
        return length;
    }

    /// <summary>The length with both quotes, or -1 if the second is missing.</summary>
    private int ReadQuoted()
    {
        var doubled = false;
        for (var at = 1; rest[at..].IndexOf((byte)'"') is var skip and >= 0; at++)
        {
            at += skip + 1;
            if (at == rest.Length || rest[at] != '"')
            {
                Current = Encoding.UTF8.GetString(rest[1..(at - 1)]);
                Current = doubled ? Current.Replace("\"\"", "\"", StringComparison.Ordinal) : Current;
                return at;
            }

            doubled = true;
        }

        return -1;
    }
}
