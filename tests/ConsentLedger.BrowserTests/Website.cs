using System.Net;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;

namespace ConsentLedger.BrowserTests;

/// <summary>A museum's own website, on an origin that is not the service's, under a Content-Security-Policy as strict as can be.</summary>
internal sealed class Website : IAsyncDisposable
{
    private readonly WebApplication app;

    private Website(WebApplication app) => this.app = app;

    public Uri Url => new(app.Urls.Single());

    /// <summary>As browsers name it.</summary>
    public string Origin => Url.GetLeftPart(UriPartial.Authority);

    /// <summary>What stands in the page, by path.</summary>
    public Dictionary<string, string> Pages { get; } = new() { ["/thank-you"] = "<h1>Thank you</h1>" };

    /// <summary>The language of its pages.</summary>
    public string Language { get; set; } = "en";

    /// <summary>Who it lets scripts come from, be called and be posted to.</summary>
    public string Trusted { get; set; } = "'none'";

    /// <summary>What it serves as it is, by path: scripts.</summary>
    public Dictionary<string, string> Scripts { get; } = [];

    public static async Task<Website> StartAsync()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        var site = new Website(builder.Build());
        site.app.Run(site.AnswerAsync);
        await site.app.StartAsync();
        return site;
    }

    public async ValueTask DisposeAsync() => await app.DisposeAsync();

    private async Task AnswerAsync(HttpContext context)
    {
        if (Scripts.TryGetValue(context.Request.Path, out var script))
        {
            context.Response.ContentType = "text/javascript";
            await context.Response.WriteAsync(script);
            return;
        }

        if (!Pages.TryGetValue(context.Request.Path, out var content))
        {
            context.Response.StatusCode = (int)HttpStatusCode.NotFound;
            content = "<h1>Nothing here</h1>";
        }

        context.Response.ContentType = "text/html; charset=utf-8";
        context.Response.Headers.ContentSecurityPolicy =
            $"default-src 'none'; img-src data:; script-src {Trusted}; connect-src {Trusted}; form-action 'self' {Trusted}; require-trusted-types-for 'script'";
        await context.Response.WriteAsync($"""
            <!DOCTYPE html>
            <html lang="{Language}">
            <head>
              <meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><meta name="color-scheme" content="light dark">
              <link rel="icon" href="data:,">
              <title>The Harbour Museum</title>
            </head>
            <body><main>{content}</main></body>
            </html>
            """);
    }
}
