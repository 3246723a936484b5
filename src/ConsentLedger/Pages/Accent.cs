using System.Globalization;

namespace ConsentLedger.Pages;

/// <summary>
/// The organisation's colour, and the shades of it the pages use. Whatever colour is set, links and buttons keep a
/// contrast of at least <see cref="MinContrast"/> with what they stand on (WCAG 2.2, 1.4.3 and 1.4.11).
/// </summary>
/// <param name="OnLight">As dark as the light scheme needs.</param>
/// <param name="OnDark">As light as the dark scheme needs.</param>
public sealed record Accent(string OnLight, string OnDark)
{
    /// <summary>A little more than the 4.5 that is asked for, so that rounding never falls below it.</summary>
    public const double MinContrast = 4.7;

    /// <summary>The darker surface of the light scheme, <c>--page</c> in the stylesheet.</summary>
    public const string LightPage = "#f6f5f1";

    /// <summary>The lighter surface of the dark scheme, <c>--card</c> in the stylesheet.</summary>
    public const string DarkCard = "#1d2023";

    private const double Step = 0.02;

    // What red, green and blue add to how bright a colour is.
    private static readonly double[] Weights = [0.2126, 0.7152, 0.0722];

    /// <summary>Reads <c>#rrggbb</c>; false for anything else.</summary>
    public static bool TryParse(string? text, out Accent accent)
    {
        accent = null!;
        if (text is not ['#', _, _, _, _, _, _] || !int.TryParse(text.AsSpan(1), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out _))
        {
            return false;
        }

        accent = new Accent(Shade(text, toward: 0, LightPage), Shade(text, toward: 255, DarkCard));
        return true;
    }

    /// <summary>The contrast ratio of two colours, 1 to 21 (WCAG 2.2).</summary>
    public static double Contrast(string one, string other)
    {
        var (a, b) = (Luminance(one), Luminance(other));
        return (Math.Max(a, b) + 0.05) / (Math.Min(a, b) + 0.05);
    }

    private static string Shade(string colour, int toward, string surface)
    {
        var shade = colour;
        for (var part = 0.0; part <= 1 && Contrast(shade, surface) < MinContrast; part += Step)
        {
            var mixed = Channels(colour).Select(channel => (int)Math.Round(channel + ((toward - channel) * part)));
            shade = "#" + string.Concat(mixed.Select(channel => channel.ToString("x2", CultureInfo.InvariantCulture)));
        }

        return shade;
    }

    private static double Luminance(string colour) =>
        Channels(colour)
            .Select(channel => channel / 255.0)
            .Select(part => part <= 0.04045 ? part / 12.92 : Math.Pow((part + 0.055) / 1.055, 2.4))
            .Zip(Weights, (part, weight) => part * weight)
            .Sum();

    private static int[] Channels(string colour) => [Channel(colour, 1), Channel(colour, 3), Channel(colour, 5)];

    private static int Channel(string colour, int start) =>
        int.Parse(colour.AsSpan(start, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}
