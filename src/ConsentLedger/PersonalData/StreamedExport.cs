using System.Net.Mime;
using ConsentLedger.Pages;
using Microsoft.AspNetCore.Http.Features;

namespace ConsentLedger.PersonalData;

/// <summary>An export on its way out; when it breaks off, the connection does, so that no half of one looks whole.</summary>
internal sealed class StreamedExport(PersonalExport.Snapshot snapshot, ExportArchive archive, PageTexts? texts) : IResult
{
    public async Task ExecuteAsync(HttpContext httpContext)
    {
        await using var open = snapshot;
        var response = httpContext.Response;
        response.Headers.CacheControl = "no-store";
        response.ContentType = texts is null ? MediaTypeNames.Application.Json : MediaTypeNames.Application.Zip;
        response.Headers.ContentDisposition = $"attachment; filename=\"export.{(texts is null ? "json" : "zip")}\"";
        if (texts is null)
        {
            await open.WriteJsonAsync(response.Body, httpContext.RequestAborted);
        }
        else
        {
            // The zip's own few bytes between its files are written synchronously, whatever is asked of it.
            httpContext.Features.GetRequiredFeature<IHttpBodyControlFeature>().AllowSynchronousIO = true;
            await archive.WriteAsync(open, texts, response.Body, httpContext.RequestAborted);
        }
    }
}
