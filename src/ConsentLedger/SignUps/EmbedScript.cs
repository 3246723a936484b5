using System.Buffers.Text;
using System.IO.Compression;
using System.Security.Cryptography;
using System.Text;
using ConsentLedger.Database;
using ConsentLedger.Pages;
using ConsentLedger.Security;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.Net.Http.Headers;

namespace ConsentLedger.SignUps;

/// <summary>
/// The form for any page: <c>GET /embed/signup.js</c>, the file <c>clients/web/signup.js</c> as it was when this was built.
/// Any site may load it; which sites may use a form, the form says.
/// </summary>
internal static class EmbedScript
{
    private const string Path = "/embed/signup.js";

    private static readonly byte[] Plain = Encoding.UTF8.GetBytes(EmbeddedSql.Read("signup.js"));
    private static readonly byte[] Gzipped = Gzip(Plain);
    private static readonly string Version = Base64Url.EncodeToString(SHA256.HashData(Plain).AsSpan(0, 9));

    /// <summary>Maps the route.</summary>
    public static void MapEmbed(this IEndpointRouteBuilder app) =>
        app.MapMethods(Path, PageHeaders.GetAndHead, Serve).ExcludeFromDescription();

    /// <summary>Its path for the service's own page, which names its content and so may be kept for ever.</summary>
    public static string PathOn(PublicUrl publicUrl) => $"{new Uri(publicUrl.Link(Path)).AbsolutePath}?v={Version}";

    /// <summary>
    /// Sites load it under one address for ever, so it is kept for a day and asked after by its tag from then on; a week
    /// longer it may be used while it is asked after.
    /// </summary>
    private static FileContentHttpResult Serve(HttpContext context)
    {
        var headers = context.Response.Headers;
        headers.CacheControl = context.Request.Query["v"] == Version ? "public, max-age=31536000, immutable" : "public, max-age=86400, stale-while-revalidate=604800";
        headers.AccessControlAllowOrigin = "*";
        headers["Cross-Origin-Resource-Policy"] = "cross-origin";
        headers.XContentTypeOptions = "nosniff";
        headers.Vary = HeaderNames.AcceptEncoding;
        var gzip = context.Request.GetTypedHeaders().AcceptEncoding.Any(coding => coding.Value == "gzip" && coding.Quality is not 0);
        if (gzip)
        {
            headers.ContentEncoding = "gzip";
        }

        return TypedResults.Bytes(
            gzip ? Gzipped : Plain, "text/javascript; charset=utf-8", entityTag: new EntityTagHeaderValue($"\"{Version}{(gzip ? "-gzip" : string.Empty)}\""));
    }

    private static byte[] Gzip(byte[] content)
    {
        using var gzipped = new MemoryStream();
        using (var gzip = new GZipStream(gzipped, CompressionLevel.SmallestSize))
        {
            gzip.Write(content);
        }

        return gzipped.ToArray();
    }
}
