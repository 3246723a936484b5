using System.Buffers;
using System.Buffers.Binary;
using System.Text;

namespace ConsentLedger.Database;

/// <summary>
/// Rows for <c>copy … from stdin (format binary)</c>, as bytes in one rented array: PostgreSQL's documentation, "COPY",
/// "Binary Format". A row is begun, then each of its fields is written in the order of the columns.
/// </summary>
/// <remarks>
/// Npgsql's importer writes the same, and takes the values from objects that have to live until it does. Those of a long list
/// outlive each collection, which then stops everybody for as long as it takes to copy them.
/// </remarks>
public sealed class CopyRows : IDisposable
{
    private const int FirstLength = 1 << 18;
    private const long MicrosecondTicks = TimeSpan.TicksPerMillisecond / 1000;

    private static readonly DateTimeOffset Epoch = new(2000, 1, 1, 0, 0, 0, TimeSpan.Zero);

    private byte[] bytes = ArrayPool<byte>.Shared.Rent(FirstLength);
    private int length;

    /// <summary>Begins with the header of the format.</summary>
    public CopyRows()
    {
        ReadOnlySpan<byte> signature = [.. "PGCOPY\n"u8, 0xFF, .. "\r\n\0"u8];
        signature.CopyTo(Take(signature.Length));
        Take(2 * sizeof(int)).Clear();
    }

    /// <summary>How many rows were begun.</summary>
    public int Count { get; private set; }

    /// <summary>Begins a row of so many fields.</summary>
    public void Begin(short fields)
    {
        BinaryPrimitives.WriteInt16BigEndian(Take(sizeof(short)), fields);
        Count++;
    }

    /// <summary>A <c>bigint</c>.</summary>
    public void Write(long value) => BinaryPrimitives.WriteInt64BigEndian(Field(sizeof(long)), value);

    /// <summary>An <c>integer</c>.</summary>
    public void Write(int value) => BinaryPrimitives.WriteInt32BigEndian(Field(sizeof(int)), value);

    /// <summary>An <c>integer</c> or null.</summary>
    public void Write(int? value)
    {
        if (value is { } known)
        {
            Write(known);
        }
        else
        {
            WriteNull();
        }
    }

    /// <summary>A <c>uuid</c>.</summary>
    public void Write(Guid value) => value.TryWriteBytes(Field(16), bigEndian: true, out _);

    /// <summary>A <c>uuid</c> or null.</summary>
    public void Write(Guid? value)
    {
        if (value is { } known)
        {
            Write(known);
        }
        else
        {
            WriteNull();
        }
    }

    /// <summary>A <c>timestamptz</c>, which counts microseconds from the beginning of 2000.</summary>
    public void Write(DateTimeOffset value) => Write((value - Epoch).Ticks / MicrosecondTicks);

    /// <summary>A <c>timestamptz</c> or null.</summary>
    public void Write(DateTimeOffset? value)
    {
        if (value is { } known)
        {
            Write(known);
        }
        else
        {
            WriteNull();
        }
    }

    /// <summary>A <c>text</c> or the label of an enum, or null.</summary>
    public void Write(string? value)
    {
        if (value is null)
        {
            WriteNull();
            return;
        }

        Encoding.UTF8.GetBytes(value, Field(Encoding.UTF8.GetByteCount(value)));
    }

    /// <summary>A <c>bytea</c> or null.</summary>
    public void Write(byte[]? value)
    {
        if (value is null)
        {
            WriteNull();
            return;
        }

        value.CopyTo(Field(value.Length));
    }

    /// <summary>Marks the end of the rows; all of it, as it is sent.</summary>
    public ReadOnlyMemory<byte> End()
    {
        BinaryPrimitives.WriteInt16BigEndian(Take(sizeof(short)), -1);
        return bytes.AsMemory(0, length);
    }

    /// <summary>Gives the memory back: nothing of it may be used after that.</summary>
    public void Dispose()
    {
        ArrayPool<byte>.Shared.Return(bytes);
        bytes = [];
        length = 0;
    }

    private void WriteNull() => BinaryPrimitives.WriteInt32BigEndian(Take(sizeof(int)), -1);

    /// <summary>A field's length, and room for its value.</summary>
    private Span<byte> Field(int size)
    {
        BinaryPrimitives.WriteInt32BigEndian(Take(sizeof(int)), size);
        return Take(size);
    }

    private Span<byte> Take(int size)
    {
        if (bytes.Length - length < size)
        {
            var longer = ArrayPool<byte>.Shared.Rent(Math.Max(2 * bytes.Length, length + size));
            bytes.AsSpan(0, length).CopyTo(longer);
            ArrayPool<byte>.Shared.Return(bytes);
            bytes = longer;
        }

        length += size;
        return bytes.AsSpan(length - size, size);
    }
}
