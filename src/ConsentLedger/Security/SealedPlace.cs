using System.Buffers.Binary;
using System.Text;

namespace ConsentLedger.Security;

/// <summary>Names the row a value is sealed for: the associated data of <see cref="Sealer"/>.</summary>
public static class SealedPlace
{
    /// <summary>A row whose key is one id.</summary>
    public static byte[] Of(string table, Guid key) => Of(table, key, Guid.Empty);

    /// <summary>A row whose key is two ids, the subscriber's first.</summary>
    public static byte[] Of(string table, Guid key, Guid second)
    {
        var place = new byte[32 + table.Length];
        key.TryWriteBytes(place, bigEndian: true, out _);
        second.TryWriteBytes(place.AsSpan(16), bigEndian: true, out _);
        Encoding.ASCII.GetBytes(table, place.AsSpan(32));
        return place;
    }

    /// <summary>A row whose key is an id and a text.</summary>
    public static byte[] Of(string table, Guid key, string text)
    {
        // The table's length stands in front of its name so that no (table, text) pair runs into another.
        var place = new byte[20 + Encoding.UTF8.GetByteCount(table) + Encoding.UTF8.GetByteCount(text)];
        key.TryWriteBytes(place, bigEndian: true, out _);
        BinaryPrimitives.WriteInt32BigEndian(place.AsSpan(16), table.Length);
        var written = Encoding.UTF8.GetBytes(table, place.AsSpan(20));
        Encoding.UTF8.GetBytes(text, place.AsSpan(20 + written));
        return place;
    }
}
