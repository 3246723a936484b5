using System.Buffers.Text;
using System.Collections.Frozen;
using System.Security.Cryptography;
using System.Text;
using ConsentLedger.Database;

namespace ConsentLedger.Pages;

/// <summary>
/// The stylesheet, the icon and the logo, made once. Each is addressed by its content, so browsers keep it for ever
/// and a new one has another address.
/// </summary>
public sealed class SiteAssets
{
    private readonly FrozenDictionary<string, Asset> assets;

    /// <summary>Makes them in the organisation's colour.</summary>
    public SiteAssets(Organisation organisation)
    {
        var accent = organisation.Accent;
        var style = $$"""
            :root { --accent: {{accent.OnLight}}; --on-accent: #ffffff; }
            @media (prefers-color-scheme: dark) { :root { --accent: {{accent.OnDark}}; --on-accent: #131517; } }

            """ + EmbeddedSql.Read("site.css");
        var icon = $$"""
            <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="8" fill="{{accent.OnLight}}"/><path d="M9 16.5l5 5 9.5-11" fill="none" stroke="#fff" stroke-width="3.5" stroke-linecap="round" stroke-linejoin="round"/></svg>
            """;
        var made = new List<Asset>
        {
            Asset.Of("site.css", "text/css; charset=utf-8", Encoding.UTF8.GetBytes(style)),
            Asset.Of("icon.svg", "image/svg+xml", Encoding.UTF8.GetBytes(icon)),
        };
        if (organisation.Logo is { } logo)
        {
            made.Add(Asset.Of("logo", logo.ContentType, logo.Content.ToArray()));
        }

        assets = made.ToFrozenDictionary(asset => asset.Name, StringComparer.Ordinal);
    }

    /// <summary>The path of an asset, with what identifies its content.</summary>
    public string PathOf(string name) => $"/assets/{name}?v={assets[name].Version}";

    internal IResult Serve(string name, HttpContext context)
    {
        if (!assets.TryGetValue(name, out var asset))
        {
            return Http.Problem.NotFound();
        }

        var headers = context.Response.Headers;
        PageHeaders.Set(context);

        // A logo may be an SVG, and someone may open it by itself; it has no more rights then than within a page.
        headers.ContentSecurityPolicy = "default-src 'none'; style-src 'unsafe-inline'; sandbox";
        headers.CacheControl = context.Request.Query["v"] == asset.Version ? "public, max-age=31536000, immutable" : "no-cache";
        return TypedResults.Bytes(asset.Content, asset.ContentType, entityTag: new($"\"{asset.Version}\""));
    }

    private sealed record Asset(string Name, string ContentType, byte[] Content, string Version)
    {
        public static Asset Of(string name, string contentType, byte[] content) =>
            new(name, contentType, content, Base64Url.EncodeToString(SHA256.HashData(content).AsSpan(0, 9)));
    }
}
