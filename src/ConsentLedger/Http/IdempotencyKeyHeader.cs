using System.Text;
using Microsoft.Extensions.Primitives;

namespace ConsentLedger.Http;

/// <summary>
/// Reads the Idempotency-Key header (FACTS 12): a structured-field string, <c>"8e03978e-40d5-…"</c>, or the same
/// without its quotes, as most clients send it.
/// </summary>
internal static class IdempotencyKeyHeader
{
    public const string Name = "Idempotency-Key";
    public const string Replayed = "Idempotency-Replayed";
    public const string Rule = "This is 1 to 255 printable ASCII characters, once, as a string in quotes or a bare token.";

    private const int MaxLength = 255;

    /// <summary>The key, or false for what is none.</summary>
    public static bool TryRead(StringValues header, out string key)
    {
        key = string.Empty;
        if (header.Count != 1 || header[0]?.Trim(' ', '\t') is not { Length: > 0 } value)
        {
            return false;
        }

        return value[0] == '"' ? TryReadString(value, out key) : TryReadToken(value, out key);
    }

    /// <summary>RFC 9651 §3.3.3: within the quotes, a quote and a backslash are written with a backslash before them.</summary>
    private static bool TryReadString(string value, out string key)
    {
        key = string.Empty;
        var text = new StringBuilder(value.Length);
        for (var at = 1; at < value.Length; at++)
        {
            var character = value[at];
            if (character == '"')
            {
                key = text.ToString();
                return at == value.Length - 1 && text.Length is > 0 and <= MaxLength;
            }

            if (character == '\\' && (++at == value.Length || (character = value[at]) is not ('"' or '\\')))
            {
                return false;
            }

            if (character is < ' ' or > '~')
            {
                return false;
            }

            text.Append(character);
        }

        return false;
    }

    private static bool TryReadToken(string value, out string key)
    {
        // A comma would be two keys, folded from two header lines on the way here.
        key = value;
        return value.Length <= MaxLength && value.All(character => character is > ' ' and <= '~' and not ('"' or ','));
    }
}
