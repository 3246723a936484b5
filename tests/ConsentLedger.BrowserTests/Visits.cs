namespace ConsentLedger.BrowserTests;

/// <summary>With which looks and in which languages a page is visited.</summary>
public static class Visits
{
    /// <summary>Each look and each language, and not every pair: a phone is narrow in both, Welsh is long.</summary>
    public static TheoryData<Look, string> Looks => new() { { Look.Light, "en" }, { Look.Dark, "cy" }, { Look.Phone, "en" }, { Look.Phone, "cy" } };
}
