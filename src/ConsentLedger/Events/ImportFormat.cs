using System.Globalization;
using ConsentLedger.Http;

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
