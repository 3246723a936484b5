using System.Globalization;
using ConsentLedger.Pages;
using CsCheck;

namespace ConsentLedger.Tests.Pages;

public sealed class AccentTests
{
    [Fact]
    public void Any_colour_keeps_its_contrast_with_what_it_stands_on_and_with_what_stands_on_it() =>
        Gen.Int[0, 0xffffff].Sample(colour =>
        {
            Accent.TryParse("#" + colour.ToString("x6", CultureInfo.InvariantCulture), out var accent).ShouldBeTrue();
            Accent.Contrast(accent.OnLight, Accent.LightPage).ShouldBeGreaterThanOrEqualTo(4.5);
            Accent.Contrast(accent.OnLight, "#ffffff").ShouldBeGreaterThanOrEqualTo(4.5);
            Accent.Contrast(accent.OnDark, Accent.DarkCard).ShouldBeGreaterThanOrEqualTo(4.5);
            Accent.Contrast(accent.OnDark, "#131517").ShouldBeGreaterThanOrEqualTo(4.5);
        });

    [Fact]
    public void Contrast_is_reckoned_as_WCAG_does()
    {
        Accent.Contrast("#000000", "#ffffff").ShouldBe(21, 0.01);
        Accent.Contrast("#767676", "#ffffff").ShouldBe(4.54, 0.01);
    }

    [Fact]
    public void A_colour_that_is_dark_enough_is_used_as_it_is()
    {
        Accent.TryParse("#8A1538", out var accent).ShouldBeTrue();
        accent.OnLight.ShouldBe("#8A1538");
        accent.OnDark.ShouldNotBe("#8A1538");
    }
}
