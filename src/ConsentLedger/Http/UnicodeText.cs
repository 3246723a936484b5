namespace ConsentLedger.Http;

/// <summary>What can be said of a text without looking at what it says.</summary>
internal static class UnicodeText
{
    /// <summary>False for a text with half a surrogate pair, which neither JSON nor the database can hold.</summary>
    public static bool IsNormalizable(this string text)
    {
        for (var at = 0; at < text.Length; at++)
        {
            if (char.IsSurrogate(text[at]) && (at + 1 == text.Length || !char.IsSurrogatePair(text, at++)))
            {
                return false;
            }
        }

        return true;
    }
}
