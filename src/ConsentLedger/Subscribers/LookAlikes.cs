using System.Text;

namespace ConsentLedger.Subscribers;

/// <summary>
/// Refuses what looks like another address and is not: letters of two scripts that share their shapes in one part
/// (<c>аda</c> with a Cyrillic а), the wide and ornamental forms of ordinary letters (<c>ａda</c>), or letters and marks
/// that show nothing. After Unicode
/// Technical Standard 39, "highly restrictive", reduced to the scripts that can be confused with Latin or run against it.
/// </summary>
internal static class LookAlikes
{
    private enum Script
    {
        Other,
        Latin,
        Greek,
        Cyrillic,
        Armenian,
        Hebrew,
        Arabic,
        Georgian,
        Cherokee,
        Coptic,
        Lisu,
    }

    /// <summary>Why this part of an address is refused, or null.</summary>
    public static string? In(string part)
    {
        if (Ascii.IsValid(part))
        {
            return null;
        }

        if (!part.IsNormalized(NormalizationForm.FormKC))
        {
            return "The address holds an ornamental form of an ordinary letter.";
        }

        if (part.EnumerateRunes().Any(ShowsNothing))
        {
            return "The address holds a character that can't be seen.";
        }

        var scripts = part.EnumerateRunes().Select(ScriptOf).Where(script => script != Script.Other).Distinct();
        return scripts.Count() > 1 ? "The address mixes letters of scripts that look alike." : null;
    }

    /// <summary>The letters and marks among Unicode's default ignorable code points: joiners, fillers, variation selectors.</summary>
    private static bool ShowsNothing(Rune rune) => rune.Value
        is 0x034F or 0x115F or 0x1160 or 0x17B4 or 0x17B5 or (>= 0x180B and <= 0x180F) or 0x3164 or 0xFFA0
        or (>= 0xFE00 and <= 0xFE0F) or (>= 0xE0100 and <= 0xE01EF);

    private static Script ScriptOf(Rune rune) => rune.Value switch
    {
        (>= 'a' and <= 'z') or (>= 'A' and <= 'Z') => Script.Latin,
        >= 0x00C0 and <= 0x02AF and not (0x00D7 or 0x00F7) => Script.Latin,
        (>= 0x1E00 and <= 0x1EFF) or (>= 0x2C60 and <= 0x2C7F) or (>= 0xA720 and <= 0xA7FF)
            or (>= 0x1D00 and <= 0x1D25) or (>= 0xAB30 and <= 0xAB64) => Script.Latin,
        (>= 0x03E2 and <= 0x03EF) or (>= 0x2C80 and <= 0x2CFF) => Script.Coptic,
        (>= 0x0370 and <= 0x03FF) or (>= 0x1F00 and <= 0x1FFF) => Script.Greek,
        (>= 0x0400 and <= 0x052F) or (>= 0x1C80 and <= 0x1C8F) or (>= 0x2DE0 and <= 0x2DFF) or (>= 0xA640 and <= 0xA69F) => Script.Cyrillic,
        >= 0x0530 and <= 0x058F => Script.Armenian,
        >= 0x0590 and <= 0x05FF => Script.Hebrew,
        (>= 0x0600 and <= 0x06FF) or (>= 0x0750 and <= 0x077F) or (>= 0x08A0 and <= 0x08FF) => Script.Arabic,
        (>= 0x10A0 and <= 0x10FF) or (>= 0x1C90 and <= 0x1CBF) or (>= 0x2D00 and <= 0x2D2F) => Script.Georgian,
        (>= 0x13A0 and <= 0x13FF) or (>= 0xAB70 and <= 0xABBF) => Script.Cherokee,
        >= 0xA4D0 and <= 0xA4FF => Script.Lisu,
        _ => Script.Other,
    };
}
