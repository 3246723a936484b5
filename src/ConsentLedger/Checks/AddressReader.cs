using System.Text;
using System.Text.Json;
using System.Text.Unicode;
using ConsentLedger.Http;

namespace ConsentLedger.Checks;

/// <summary>How a list of addresses is written down.</summary>
internal enum AddressListFormat
{
    /// <summary>An address a line.</summary>
    Text,

    /// <summary>CSV with a header row (RFC 4180) and a column <c>address</c>; other columns are passed over.</summary>
    Csv,

    /// <summary>A JSON string a line, or an object with a member <c>address</c>; other members are passed over.</summary>
    NdJson,
}

/// <summary>
/// Reads a list of addresses while it arrives. Blank lines are none, a byte order mark and CRLF are normal. A line that
/// can't be read, or that is longer than <see cref="MaxLine"/>, comes out as null, and the next one is read as usual.
/// </summary>
/// <remarks>
/// It holds one buffer, however long the list or a line of it is. Own code because no CSV reader at hand goes on after a
/// record that is longer than its buffer.
/// </remarks>
internal sealed class AddressReader(Stream list, AddressListFormat format)
{
    /// <summary>The longest line, in bytes.</summary>
    public const int MaxLine = 8 * 1024;

    private const int BufferLength = 64 * 1024;
    private const string Column = "address";

    private readonly byte[] buffer = new byte[BufferLength];
    private int start;
    private int scanned;
    private int end;
    private bool atStart = true;
    private bool atEnd;
    private bool tooLong;
    private bool inQuotes;
    private int closedAt = int.MinValue;
    private int column;

    private static ReadOnlySpan<byte> ByteOrderMark => "\uFEFF"u8;

    /// <summary>Reads what stands before the first address: of CSV the header row. False if that lacks the column.</summary>
    public async ValueTask<bool> ReadHeaderAsync(CancellationToken cancellation)
    {
        if (format != AddressListFormat.Csv)
        {
            return true;
        }

        while (!TryReadHeader())
        {
            if (atEnd)
            {
                return false;
            }

            await FillAsync(cancellation);
        }

        return column >= 0;
    }

    /// <summary>
    /// The next addresses, at most <paramref name="max"/>: what has arrived, without waiting for more than one. None
    /// after the last.
    /// </summary>
    public async ValueTask<IReadOnlyList<string?>> ReadAsync(int max, CancellationToken cancellation)
    {
        var addresses = new List<string?>();
        while (true)
        {
            Collect(addresses, max);
            if (addresses.Count > 0 || (atEnd && start == end))
            {
                return addresses;
            }

            await FillAsync(cancellation);
        }
    }

    private bool TryReadHeader()
    {
        while (TryTakeLine(out var line, out _))
        {
            if (line.IsEmpty)
            {
                continue;
            }

            column = -1;
            var fields = new CsvFields(line);
            for (var i = 0; column < 0 && fields.MoveNext(); i++)
            {
                column = fields.Current.AsSpan().Trim().Equals(Column, StringComparison.OrdinalIgnoreCase) ? i : -1;
            }

            return true;
        }

        return false;
    }

    private void Collect(List<string?> addresses, int max)
    {
        while (addresses.Count < max && TryTakeLine(out var line, out var unreadable))
        {
            if (unreadable)
            {
                addresses.Add(null);
            }
            else if (!line.IsEmpty)
            {
                addresses.Add(Read(line));
            }
        }
    }

    private string? Read(ReadOnlySpan<byte> line) =>
        !Utf8.IsValid(line) ? null
        : format switch
        {
            AddressListFormat.Csv => ReadField(line),
            AddressListFormat.NdJson => ReadJson(line),
            _ => Encoding.UTF8.GetString(line),
        };

    private string? ReadField(ReadOnlySpan<byte> line)
    {
        var fields = new CsvFields(line);
        for (var i = 0; fields.MoveNext(); i++)
        {
            if (i == column)
            {
                return fields.Current;
            }
        }

        return null;
    }

    private static string? ReadJson(ReadOnlySpan<byte> line)
    {
        try
        {
            var json = new Utf8JsonReader(line);
            json.Read();
            string? address = null;
            if (json.TokenType == JsonTokenType.String)
            {
                address = json.GetString();
            }
            else if (json.TokenType == JsonTokenType.StartObject)
            {
                var found = 0;
                while (json.Read() && json.TokenType == JsonTokenType.PropertyName)
                {
                    var wanted = json.ValueTextEquals(Column);
                    json.Read();
                    found += wanted ? 1 : 0;
                    address = wanted && json.TokenType == JsonTokenType.String ? json.GetString() : address;
                    json.Skip();
                }

                address = found == 1 ? address : null;
            }

            return json.Read() ? null : address;
        }
        catch (Exception malformed) when (malformed is JsonException or InvalidOperationException)
        {
            // Not JSON, or half a surrogate pair.
            return null;
        }
    }

    /// <summary>
    /// The next line of what has arrived, without its end and the space around it. False if there is none whole yet.
    /// </summary>
    private bool TryTakeLine(out ReadOnlySpan<byte> line, out bool unreadable)
    {
        line = default;
        unreadable = false;
        if (!PassByteOrderMark())
        {
            return false;
        }

        var found = FindEnd();
        if (found < 0 && !(atEnd && (start < end || tooLong)))
        {
            // Of a line that has become too long its last byte is enough: a quote after a comma differs from others.
            if (end - start > MaxLine)
            {
                tooLong = true;
                start = end - 1;
            }

            return false;
        }

        var stop = found < 0 ? end : found;
        line = buffer.AsSpan(start, stop - start).Trim(" \t\r"u8);
        unreadable = tooLong || stop - start > MaxLine || inQuotes;
        start = scanned = found < 0 ? end : found + 1;
        tooLong = false;
        inQuotes = false;
        return true;
    }

    private bool PassByteOrderMark()
    {
        if (!atStart)
        {
            return true;
        }

        var arrived = buffer.AsSpan(start, end - start);
        if (!atEnd && arrived.Length < ByteOrderMark.Length && ByteOrderMark.StartsWith(arrived))
        {
            return false;
        }

        atStart = false;
        start = scanned = arrived.StartsWith(ByteOrderMark) ? start + ByteOrderMark.Length : start;
        return true;
    }

    /// <summary>Where the line ends, or -1. In CSV a line end within quotes belongs to the field.</summary>
    private int FindEnd()
    {
        var bytes = buffer.AsSpan(0, end);
        while (true)
        {
            var skip = format == AddressListFormat.Csv ? bytes[scanned..].IndexOfAny((byte)'\n', (byte)'"') : bytes[scanned..].IndexOf((byte)'\n');
            if (skip < 0)
            {
                scanned = end;
                return -1;
            }

            var at = scanned + skip;
            scanned = at + 1;
            if (bytes[at] == '"')
            {
                PassQuote(bytes, at);
            }
            else if (!inQuotes)
            {
                return at;
            }
        }
    }

    private void PassQuote(ReadOnlySpan<byte> bytes, int at)
    {
        if (inQuotes)
        {
            inQuotes = false;
            closedAt = at;
        }
        else
        {
            // It opens a field, or is the second of two that stand for one; anywhere else it is a character.
            inQuotes = at == closedAt + 1 || (at == start ? !tooLong : bytes[at - 1] == ',');
        }
    }

    /// <summary>Waits for more of the list, and takes what there is.</summary>
    public async ValueTask FillAsync(CancellationToken cancellation)
    {
        buffer.AsSpan(start, end - start).CopyTo(buffer);
        end -= start;
        scanned -= start;
        closedAt = closedAt < start - 1 ? int.MinValue : closedAt - start;
        start = 0;
        var read = await list.ReadAsync(buffer.AsMemory(end), cancellation);
        atEnd = read == 0;
        end += read;
    }
}
