using System.Text;

namespace ConsentLedger.Http;

/// <summary>What can be said of a text without looking at what it says.</summary>
internal static class UnicodeText
{
    /// <summary>False for a text with half a surrogate pair, which neither JSON nor the database can hold.</summary>
    public static bool IsNormalizable(this string text)
    {
        foreach (var rune in text.EnumerateRunes())
        {
            // EnumerateRunes puts this in the place of what is not valid; as itself it may stand.
            if (rune == Rune.ReplacementChar && !text.Contains('\uFFFD', StringComparison.Ordinal))
            {
                return false;
            }
        }

        return true;
    }
}
