using System.Text;

namespace ConsentLedger.Http;

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
