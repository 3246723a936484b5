using Microsoft.Net.Http.Headers;

namespace ConsentLedger.Pages;

/// <summary>What browsers are told with every page: nothing from elsewhere, no frame, no trace left behind; and no script, unless a page says so.</summary>
public static class PageHeaders
{
    /// <summary>
    /// Lets the form on the page that this request is answered with end on another site: browsers hold the answer's redirect
    /// against the policy too.
    /// </summary>
    public static void AllowReturnTo(HttpContext context, Uri url) => context.Features.Set(new ReturnsTo(url.GetLeftPart(UriPartial.Authority)));

    /// <summary>
    /// Lets the page that this request is answered with run this service's own scripts, and those alone. No page on which
    /// people confirm or unsubscribe does: there is nothing on them that could press a button.
    /// </summary>
    public static void AllowOwnScripts(HttpContext context) => context.Features.Set(new OwnScripts());

    /// <summary>How a page is opened: HEAD wherever GET is.</summary>
    public static readonly string[] GetAndHead = [HttpMethods.Get, HttpMethods.Head];

    /// <summary>Makes a route one that people meet: with the headers, and outside the API's document.</summary>
    public static RouteHandlerBuilder AsPage(this RouteHandlerBuilder route) => route.WithPageHeaders().ExcludeFromDescription();

    /// <summary>Sends the headers with whatever a route answers, an error among it.</summary>
    public static RouteHandlerBuilder WithPageHeaders(this RouteHandlerBuilder route) =>
        route.AddEndpointFilter(async (invocation, next) =>
        {
            // On starting, because an exception clears what was set before it.
            var response = invocation.HttpContext.Response;
            response.OnStarting(() =>
            {
                Set(invocation.HttpContext);
                return Task.CompletedTask;
            });
            return await next(invocation);
        });

    /// <summary>Sets the headers.</summary>
    public static void Set(HttpContext context)
    {
        var headers = context.Response.Headers;
        var returns = context.Features.Get<ReturnsTo>() is { } site ? $" {site.Origin}" : string.Empty;
        var scripts = context.Features.Get<OwnScripts>() is null ? string.Empty : "; script-src 'self'; connect-src 'self'";
        headers.ContentSecurityPolicy =
            $"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'{returns}; base-uri 'none'; frame-ancestors 'none'{scripts}";
        headers.XContentTypeOptions = "nosniff";
        headers["Referrer-Policy"] = "no-referrer";
        headers["X-Robots-Tag"] = "noindex";
        headers["Cross-Origin-Opener-Policy"] = "same-origin";
        headers["Cross-Origin-Resource-Policy"] = "same-origin";
        headers.TryAdd(HeaderNames.CacheControl, "no-store");
    }

    private sealed record OwnScripts;

    private sealed record ReturnsTo(string Origin);
}
