using ConsentLedger.BrowserTests;
using Microsoft.Playwright;

[assembly: AssemblyFixture(typeof(Chromium))]

namespace ConsentLedger.BrowserTests;

/// <summary>
/// The one browser of a test run: the machine's own Chromium, nothing is downloaded. Without one the tests are skipped,
/// unless <c>CI</c> says that there has to be one.
/// </summary>
public sealed class Chromium : IAsyncLifetime
{
    private static readonly string[] Names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome.exe", "msedge.exe"];

    /// <summary>How long a page is waited for, in milliseconds: machines that run every test at once can be very slow.</summary>
    private const float Patience = 120_000;

    private IPlaywright? playwright;
    private IBrowser? browser;

    /// <summary>Where pictures of the pages go, for people to look at; null unless <c>CONSENTLEDGER_SCREENSHOTS</c> names a folder.</summary>
    public static string? Screenshots { get; } =
        Environment.GetEnvironmentVariable("CONSENTLEDGER_SCREENSHOTS") is { Length: > 0 } folder ? Directory.CreateDirectory(folder).FullName : null;

    public async ValueTask InitializeAsync()
    {
        if (Find() is not { } path)
        {
            return;
        }

        Assertions.SetDefaultExpectTimeout(Patience);
        playwright = await Playwright.CreateAsync();
        browser = await playwright.Chromium.LaunchAsync(new BrowserTypeLaunchOptions
        {
            ExecutablePath = path,
            Args = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
        });
    }

    /// <summary>A fresh browser context as a person has it, with JavaScript off.</summary>
    public async Task<IBrowserContext> OpenAsync(Look look, string language = "en", bool javaScript = false)
    {
        if (browser is null)
        {
            const string Reason = "There is no Chromium on this machine: install one, or put one on the PATH.";
            Assert.SkipUnless(Environment.GetEnvironmentVariable("CI") == "true", Reason);
            Assert.Fail(Reason);
        }

        var context = await browser!.NewContextAsync(new BrowserNewContextOptions
        {
            JavaScriptEnabled = javaScript,
            Locale = language,
            ColorScheme = look == Look.Dark ? ColorScheme.Dark : ColorScheme.Light,
            ViewportSize = look == Look.Phone ? new ViewportSize { Width = 360, Height = 740 } : new ViewportSize { Width = 1100, Height = 860 },
            DeviceScaleFactor = Screenshots is null ? 1 : 2,
        });
        context.SetDefaultTimeout(Patience);
        context.SetDefaultNavigationTimeout(Patience);
        return context;
    }

    public async ValueTask DisposeAsync()
    {
        if (browser is not null)
        {
            await browser.DisposeAsync();
        }

        playwright?.Dispose();
    }

    private static string? Find()
    {
        var folders = (Environment.GetEnvironmentVariable("PATH") ?? string.Empty).Split(Path.PathSeparator).Prepend("/usr/bin");
        return folders.SelectMany(folder => Names.Select(name => Path.Combine(folder, name))).FirstOrDefault(File.Exists);
    }
}

/// <summary>How a page is looked at.</summary>
public enum Look
{
    /// <summary>On a wide screen, light.</summary>
    Light,

    /// <summary>On a wide screen, dark.</summary>
    Dark,

    /// <summary>On a small phone, light.</summary>
    Phone,
}
