using System.Buffers;

namespace ConsentLedger.Events;

/// <summary>
/// Cuts a file into records while it arrives, without holding more than a piece of it, and knows the line that each
/// record starts on. A record is a line, or with <paramref name="quoting"/> as much of the text as a CSV record takes
/// (RFC 4180: line ends within quotes belong to the field). Blank lines are none, and a byte order mark is dropped.
/// </summary>
/// <remarks>
/// Own code because of three promises that neither Sylvan.Data.Csv nor CsvHelper keeps together: the line of every
/// record, going on after one that is longer than fits or quoted wrongly, and memory that does not grow with either.
/// </remarks>
internal sealed class RecordSplitter(Stream file, bool quoting)
{
    /// <summary>The longest record, in bytes; of a longer one only its line is told.</summary>
    public const int MaxRecord = 64 * 1024;

    private const int PieceLength = 2 * MaxRecord;

    private static readonly SearchValues<byte> CsvMarks = SearchValues.Create("\"\r\n"u8);
    private static readonly SearchValues<byte> LineEnds = SearchValues.Create("\n"u8);

    private byte[] rest = [];
    private long line = 1;
    private long recordLine = 1;
    private bool inQuotes;
    private bool tooLong;
    private bool atEnd;
    private bool atStart = true;

    // Where in the piece the last closing quote and the last carriage return stood: what comes right after them is not
    // what it looks like.
    private int closedAt = int.MinValue;
    private int returnAt = int.MinValue;

    /// <summary>The next records of the file, or null after the last. The caller gives the piece back.</summary>
    /// <exception cref="UnreadableFileException">This is not text.</exception>
    public async Task<FilePiece?> ReadAsync(CancellationToken cancellation)
    {
        while (!atEnd)
        {
            var piece = new FilePiece(ArrayPool<byte>.Shared.Rent(PieceLength));
            rest.CopyTo(piece.Bytes, 0);
            var kept = rest.Length;
            var read = await file.ReadAtLeastAsync(
                piece.Bytes.AsMemory(kept, PieceLength - kept), PieceLength - kept, throwOnEndOfStream: false, cancellation);
            atEnd = read < PieceLength - kept;
            if (piece.Bytes.AsSpan(kept, read).Contains((byte)0))
            {
                piece.Dispose();
                throw new UnreadableFileException("body", "The file holds the NUL character: it is not text.");
            }

            Split(piece, kept, kept + read);
            if (piece.Records.Count > 0)
            {
                return piece;
            }

            piece.Dispose();
        }

        return null;
    }

    private void Split(FilePiece piece, int scanned, int length)
    {
        var bytes = piece.Bytes.AsSpan(0, length);
        var marks = quoting ? CsvMarks : LineEnds;
        var start = 0;
        var at = scanned;
        if (atStart)
        {
            atStart = false;
            start = at = bytes.StartsWith("\uFEFF"u8) ? 3 : 0;
        }

        while (bytes[at..].IndexOfAny(marks) is var skip and >= 0)
        {
            at += skip;
            var mark = bytes[at];
            if (mark == '"')
            {
                PassQuote(bytes, at, start);
            }
            else if (mark == '\n' && at == returnAt + 1)
            {
                // The second half of a line end whose first half has counted.
                start = inQuotes ? start : at + 1;
            }
            else
            {
                returnAt = mark == '\r' ? at : returnAt;
                line++;
                if (!inQuotes)
                {
                    End(piece, start, at, RecordState.Whole);
                    start = at + 1;
                }
            }

            at++;
        }

        if (atEnd)
        {
            End(piece, start, length, inQuotes ? RecordState.Unclosed : RecordState.Whole);
            return;
        }

        // Of a record that has become too long its last byte is enough: a quote after a comma differs from others.
        if (length - start > MaxRecord)
        {
            tooLong = true;
            start = length - 1;
        }

        rest = bytes[start..].ToArray();
        closedAt -= start;
        returnAt -= start;
    }

    private void PassQuote(ReadOnlySpan<byte> bytes, int at, int start)
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

    private void End(FilePiece piece, int start, int end, RecordState state)
    {
        if (tooLong || end - start > MaxRecord)
        {
            piece.Records.Add(new FileRecord(recordLine, 0, 0, RecordState.TooLong));
        }
        else if (piece.Bytes.AsSpan(start, end - start).ContainsAnyExcept(" \t\r"u8))
        {
            piece.Records.Add(new FileRecord(recordLine, start, end - start, state));
        }

        tooLong = false;
        inQuotes = false;
        recordLine = line;
    }
}

/// <summary>Some records of a file that stand behind one another, on borrowed memory.</summary>
internal sealed class FilePiece(byte[] bytes) : IDisposable
{
    public byte[] Bytes { get; } = bytes;

    public List<FileRecord> Records { get; } = new(1024);

    public ReadOnlyMemory<byte> this[FileRecord record] => Bytes.AsMemory(record.Start, record.Length);

    public void Dispose() => ArrayPool<byte>.Shared.Return(Bytes);
}

/// <summary>Where a record lies in its piece, and the line of the file that it starts on.</summary>
internal readonly record struct FileRecord(long Line, int Start, int Length, RecordState State);

/// <summary>What is known of a record before it is read.</summary>
internal enum RecordState
{
    Whole,
    TooLong,
    Unclosed,
}

/// <summary>The file as a whole can't be read; the message names no value of it.</summary>
internal sealed class UnreadableFileException(string path, string message) : Exception(message)
{
    /// <summary>The column it is about, or <c>body</c>.</summary>
    public string Path { get; } = path;
}
