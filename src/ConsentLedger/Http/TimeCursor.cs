using System.Buffers.Text;
using System.Globalization;
using System.Text;

namespace ConsentLedger.Http;

/// <summary>The cursor of a list that is in the order of a time and then an id: where the page before ended.</summary>
public static class TimeCursor
{
    private const int Longest = 80;

    /// <summary>Writes it.</summary>
    public static string Write(DateTimeOffset time, Guid id) =>
        Base64Url.EncodeToString(Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{time.UtcTicks:x}.{id:N}")));

    /// <summary>Reads it; false for anything that <see cref="Write"/> has not written.</summary>
    public static bool TryRead(string cursor, out DateTimeOffset time, out Guid id)
    {
        (time, id) = (default, default);
        Span<byte> bytes = stackalloc byte[Longest];
        if (cursor.Length > Longest || !Base64Url.IsValid(cursor) || !Base64Url.TryDecodeFromChars(cursor, bytes, out var length)
            || Encoding.ASCII.GetString(bytes[..length]).Split('.') is not [var ticks, var last]
            || !long.TryParse(ticks, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value)
            || value < 0 || value > DateTimeOffset.MaxValue.UtcTicks
            || !Guid.TryParseExact(last, "N", out id))
        {
            return false;
        }

        time = new DateTimeOffset(value, TimeSpan.Zero);
        return true;
    }
}
