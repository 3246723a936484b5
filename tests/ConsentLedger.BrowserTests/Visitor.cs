using System.Collections.Concurrent;
using Deque.AxeCore.Commons;
using Microsoft.Playwright;

namespace ConsentLedger.BrowserTests;

/// <summary>
/// Somebody with a browser, who watches what it fetches. Whatever they did, in the end nothing went to an origin that was
/// not named, nothing failed, and no cookie is left.
/// </summary>
internal sealed class Visitor : IAsyncDisposable
{
    /// <summary>Run in the page itself: no page of ours has a frame, for which alone the package's own way opens a second page each time.</summary>
    private static readonly string Axe = new BundledAxeScriptProvider().GetScript();

    private readonly IBrowserContext context;
    private readonly Uri origin;
    private readonly ConcurrentBag<string> strays = [];

    private Visitor(IBrowserContext context, IPage page, Uri origin, Uri[] others)
    {
        this.context = context;
        this.origin = origin;
        Page = page;
        page.Request += (_, request) => Note(request.Url, !others.Prepend(origin).Any(known => request.Url.StartsWith(known.AbsoluteUri, StringComparison.Ordinal)));
        page.RequestFailed += (_, request) => Note("failed: " + request.Url, true);
        page.Console += (_, message) => Note("console: " + message.Text, message.Type == "error" && !message.Text.Contains("status of", StringComparison.Ordinal));
    }

    public IPage Page { get; }

    public static async Task<Visitor> ComeAsync(Chromium chromium, Uri origin, Look look, string language, bool javaScript = false, params Uri[] others)
    {
        var context = await chromium.OpenAsync(look, language, javaScript);
        return new Visitor(context, await context.NewPageAsync(), origin, others);
    }

    public async Task<IResponse> GoAsync(string path) => (await Page.GotoAsync(new Uri(origin, path).AbsoluteUri))!;

    /// <summary>Does what posts a form, and waits for the page that answers.</summary>
    public async Task SubmitAsync(Func<Task> act)
    {
        var answer = await Page.RunAndWaitForResponseAsync(act, response => response.Request.Method == "POST");
        await answer.FinishedAsync();
        await Page.WaitForLoadStateAsync();
    }

    /// <summary>Does what follows a link, and waits for the page it leads to.</summary>
    public async Task FollowAsync(Func<Task> act)
    {
        var answer = await Page.RunAndWaitForResponseAsync(act, response => response.Request is { IsNavigationRequest: true, Method: "GET" });
        await answer.FinishedAsync();
        await Page.WaitForLoadStateAsync();
    }

    /// <summary>What stands on whatever has the focus.</summary>
    public Task<string> FocusedTextAsync() => Page.Locator(":focus").InnerTextAsync();

    /// <summary>A picture for people to look at, where some are asked for.</summary>
    public Task PictureAsync(string name) => Chromium.Screenshots is { } folder
        ? Page.ScreenshotAsync(new PageScreenshotOptions { Path = Path.Combine(folder, name + ".png"), FullPage = true })
        : Task.CompletedTask;

    /// <summary>Axe finds nothing, by WCAG 2.2 AA and by its best practices, and nothing is wider than the screen.</summary>
    public async Task ShouldBeAccessibleAsync()
    {
        await Page.EvaluateAsync(Axe);
        (await Page.EvaluateAsync<string[]>(
            """
            async () => {
                const found = await axe.run({ resultTypes: ['violations'], rules: { 'target-size': { enabled: true } } });
                return found.violations.map(violation => `${violation.id}: ${violation.help} ${violation.nodes.map(node => node.html).join(' ')}`);
            }
            """)).ShouldBeEmpty(Page.Url);
        var (width, shown) = (await Page.EvaluateAsync<int>("document.documentElement.scrollWidth"), Page.ViewportSize!.Width);
        width.ShouldBeLessThanOrEqualTo(shown, Page.Url);
    }

    public async ValueTask DisposeAsync()
    {
        strays.ShouldBeEmpty();
        (await context.CookiesAsync()).ShouldBeEmpty();
        await context.DisposeAsync();
    }

    private void Note(string what, bool stray)
    {
        if (stray)
        {
            strays.Add(what);
        }
    }
}
