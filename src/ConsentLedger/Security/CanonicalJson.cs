using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace ConsentLedger.Security;

/// <summary>
/// Writes JSON in the one form that can be hashed (RFC 8785), for the values the ledger uses: objects, strings,
/// integers up to 2^53, booleans and null. Arrays and fractions are not among them and are refused by whoever reads.
/// </summary>
/// <remarks>
/// Not <see cref="Utf8JsonWriter"/>: it escapes more than RFC 8785 §3.2.2.2 allows, and differently between encoders.
/// </remarks>
public static class CanonicalJson
{
    /// <summary>The largest integer that RFC 8785 writes exactly.</summary>
    public const long LargestInteger = 9_007_199_254_740_991;

    /// <summary>Writes an object of strings, numbers, booleans, nulls and objects of these; anything else throws.</summary>
    public static byte[] Write(IReadOnlyDictionary<string, object?> value)
    {
        var text = new ArrayBufferWriter<byte>(512);
        WriteObject(text, value);
        return text.WrittenSpan.ToArray();
    }

    private static void WriteObject(ArrayBufferWriter<byte> text, IReadOnlyDictionary<string, object?> value)
    {
        // §3.2.3: members in the order of their names' UTF-16 code units, which is what ordinal means here.
        text.Write("{"u8);
        var first = true;
        foreach (var name in value.Keys.Order(StringComparer.Ordinal))
        {
            if (!first)
            {
                text.Write(","u8);
            }

            first = false;
            WriteString(text, name);
            text.Write(":"u8);
            WriteValue(text, value[name]);
        }

        text.Write("}"u8);
    }

    private static void WriteValue(ArrayBufferWriter<byte> text, object? value)
    {
        switch (value)
        {
            case null:
                text.Write("null"u8);
                break;
            case bool boolean:
                text.Write(boolean ? "true"u8 : "false"u8);
                break;
            case string characters:
                WriteString(text, characters);
                break;
            case int or long:
                var integer = Convert.ToInt64(value, CultureInfo.InvariantCulture);
                ArgumentOutOfRangeException.ThrowIfGreaterThan(integer, LargestInteger, nameof(value));
                ArgumentOutOfRangeException.ThrowIfLessThan(integer, -LargestInteger, nameof(value));
                integer.TryFormat(text.GetSpan(20), out var written, provider: CultureInfo.InvariantCulture);
                text.Advance(written);
                break;
            case IReadOnlyDictionary<string, object?> members:
                WriteObject(text, members);
                break;
            default:
                throw new ArgumentException($"Canonical JSON here has no {value.GetType().Name}.", nameof(value));
        }
    }

    private static void WriteString(ArrayBufferWriter<byte> text, string value)
    {
        text.Write("\""u8);
        var rest = value.AsSpan();
        while (rest.IndexOfAny(Escaped) is var at and >= 0)
        {
            WriteUtf8(text, rest[..at]);
            WriteEscape(text, rest[at]);
            rest = rest[(at + 1)..];
        }

        WriteUtf8(text, rest);
        text.Write("\""u8);
    }

    private static readonly SearchValues<char> Escaped =
        SearchValues.Create([.. Enumerable.Range(0, 0x20).Select(code => (char)code), '"', '\\']);

    // Half a surrogate pair throws: put in its place, U+FFFD would give two texts one form.
    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private static void WriteUtf8(ArrayBufferWriter<byte> text, ReadOnlySpan<char> characters)
    {
        var written = Utf8.GetBytes(characters, text.GetSpan(Utf8.GetMaxByteCount(characters.Length)));
        text.Advance(written);
    }

    private static void WriteEscape(ArrayBufferWriter<byte> text, char character)
    {
        switch (character)
        {
            case '"': text.Write("\\\""u8); break;
            case '\\': text.Write("\\\\"u8); break;
            case '\b': text.Write("\\b"u8); break;
            case '\t': text.Write("\\t"u8); break;
            case '\n': text.Write("\\n"u8); break;
            case '\f': text.Write("\\f"u8); break;
            case '\r': text.Write("\\r"u8); break;
            default:
                text.Write("\\u"u8);
                ((int)character).TryFormat(text.GetSpan(4), out var written, "x4", CultureInfo.InvariantCulture);
                text.Advance(written);
                break;
        }
    }
}
