using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Security;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Microsoft.Net.Http.Headers;

namespace ConsentLedger.Events;

/// <summary>Imports: <c>POST /v1/events/import</c>. A list of any length, in memory that does not grow with it.</summary>
public static class ImportEvents
{
    private const string Csv = "text/csv";
    private const string NdJson = "application/x-ndjson";

    private const string ExampleRequest = """
        address,purpose,kind,occurredAt,noticeVersion,sourceKind,sourceReference,evidence.ip
        ada@example.org,newsletter,given,2026-05-02T10:15:00Z,1,web-form,Join page,192.0.2.7
        bob@example.org,newsletter,withdrawn,2026-06-11T08:00:00Z,,phone,,

        """;

    private static readonly ImportReport ExampleAnswer = new(
        4, 2, 0, 1, 1,
        [
            new ImportProblem(3, EventFaultCode.Resubscribes, Importer.WhyHeldBack),
            new ImportProblem(4, EventFaultCode.InvalidAddress, "There is nothing before the @."),
        ]);

    /// <summary>Maps the route.</summary>
    public static void MapImport(this IEndpointRouteBuilder app) =>
        app.MapPost("/v1/events/import", ImportAsync)
            .RequireScope(Scope.EventsImport)
            .Refuses(ProblemType.Validation, ProblemType.UnsupportedMediaType)
            .AcceptsIdempotencyKey()
            .StreamsBody()
            .WithMetadata(new DisableRequestSizeLimitAttribute())
            .Accepts<string>(Csv, NdJson)
            .WithExample(ExampleRequest, ExampleAnswer)
            .WithTags("Events").WithName("ImportEvents").WithSummary("Imports a list of events");

    private static async Task<Results<Ok<ImportReport>, Problem>> ImportAsync(
        HttpContext context, Importer importer, AuditTrail audit, IHostApplicationLifetime lifetime, bool dryRun = false, bool allowResubscribe = false)
    {
        if (FormatOf(context.Request.ContentType) is not { } format)
        {
            return new Problem(ProblemType.UnsupportedMediaType);
        }

        var options = new ImportOptions { DryRun = dryRun, AllowResubscribe = allowResubscribe, MayUse = context.Caller().MayUse };

        var actor = context.Actor();
        await audit.WriteAsync(actor, options.Started(), context.RequestAborted);

        // Once the list is here it is worked through, even if whoever sent it, or a proxy between, has lost patience.
        var (report, fault) = await importer.RunAsync(
            context.Request.Body, format, options, progress: null, context.RequestAborted, lifetime.ApplicationStopping);
        if (fault is not null)
        {
            return Problem.Invalid(fault.Path, fault.Detail);
        }

        await audit.WriteAsync(actor, report!.Finished(), lifetime.ApplicationStopping);
        return TypedResults.Ok(report);
    }

    private static ImportFormat? FormatOf(string? contentType) =>
        !MediaTypeHeaderValue.TryParse(contentType, out var type) || !IsUtf8(type) ? null
        : type.MediaType.Equals(Csv, StringComparison.OrdinalIgnoreCase) ? ImportFormat.Csv
        : type.MediaType.Equals(NdJson, StringComparison.OrdinalIgnoreCase) ? ImportFormat.NdJson
        : null;

    private static bool IsUtf8(MediaTypeHeaderValue type) =>
        !type.Charset.HasValue || HeaderUtilities.RemoveQuotes(type.Charset).Equals("utf-8", StringComparison.OrdinalIgnoreCase);
}
