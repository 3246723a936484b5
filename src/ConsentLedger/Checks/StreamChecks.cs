using System.Threading.Channels;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Net.Http.Headers;
using Npgsql;
using Channel = System.Threading.Channels.Channel;

namespace ConsentLedger.Checks;

/// <summary><c>POST /v1/checks/stream</c>: a list of any length, answered in its order while it still arrives.</summary>
public static class StreamChecks
{
    private const string Text = "text/plain";
    private const string Csv = "text/csv";
    private const string NdJson = "application/x-ndjson";

    /// <summary>Maps the route.</summary>
    public static void MapStreamChecks(this IEndpointRouteBuilder app) =>
        app.MapPost("/v1/checks/stream", HandleAsync)
            .RequireScope(Scope.ChecksRead)
            .StreamsBody()
            .WithMetadata(new DisableRequestSizeLimitAttribute())
            .Accepts<string>(Text, Csv, NdJson)
            .Produces<string>(StatusCodes.Status200OK, NdJson, Csv)
            .Refuses(ProblemType.Validation, ProblemType.PurposeNotPermitted, ProblemType.NotFound, ProblemType.UnsupportedMediaType)
            .WithExample(
                "ada@example.org\nbob@example.org\n",
                "{\"address\":\"ada@example.org\",\"allowed\":true,\"reason\":\"given\"}\n"
                + "{\"address\":\"bob@example.org\",\"allowed\":false,\"reason\":\"unknown\"}\n"
                + "{\"summary\":{\"received\":2,\"allowed\":1,\"denied\":1,\"invalid\":0}}\n")
            .WithName("CheckStream").WithTags("Checks").WithSummary("Says which of any number of addresses may be written to for a purpose");

    /// <summary>Whatever can be refused is refused before the first byte of the answer.</summary>
    private static async Task<Results<StreamedAnswer, Problem>> HandleAsync(
        HttpContext context, ListChecks checks, LedgerMetrics metrics, ILogger<StreamedAnswer> log, CancellationToken cancellation,
        string? purpose = null, bool links = false)
    {
        if (FormatOf(context.Request) is not { } format)
        {
            return new Problem(ProblemType.UnsupportedMediaType);
        }

        if (string.IsNullOrEmpty(purpose))
        {
            return Problem.Invalid("purpose", "This is required.");
        }

        if (!context.Caller().MayUse(purpose))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        if (!PurposeKey.TryParse(purpose, null, out var key) || await checks.DecideAsync(key, [], withLinks: false, cancellation) is null)
        {
            return Problem.NotFound("There is no such purpose.");
        }

        StreamedAnswer.RelaxRates(context);
        var addresses = new AddressReader(context.Request.Body, format);
        if (context.Request.Headers.Expect.Count > 0)
        {
            // 100 Continue goes out with the first read, and not any more once the answer has begun.
            await addresses.FillAsync(cancellation);
        }

        return await addresses.ReadHeaderAsync(cancellation)
            ? new StreamedAnswer(addresses, part => checks.DecideAsync(key, part.Addresses, links, part.Cancellation), WantsCsv(context.Request), links, metrics, log)
            : Problem.Invalid("address", "The header row, which is the first, lacks this column.");
    }

    private static AddressListFormat? FormatOf(HttpRequest request) =>
        request.Headers.ContentEncoding.Count > 0 || !MediaTypeHeaderValue.TryParse(request.ContentType, out var type) || !IsUtf8(type) ? null
        : type.MediaType.Equals(Text, StringComparison.OrdinalIgnoreCase) ? AddressListFormat.Text
        : type.MediaType.Equals(Csv, StringComparison.OrdinalIgnoreCase) ? AddressListFormat.Csv
        : type.MediaType.Equals(NdJson, StringComparison.OrdinalIgnoreCase) ? AddressListFormat.NdJson
        : null;

    private static bool IsUtf8(MediaTypeHeaderValue type) =>
        !type.Charset.HasValue
        || HeaderUtilities.RemoveQuotes(type.Charset).Equals("utf-8", StringComparison.OrdinalIgnoreCase)
        || HeaderUtilities.RemoveQuotes(type.Charset).Equals("us-ascii", StringComparison.OrdinalIgnoreCase);

    /// <summary>True if CSV is asked for, and NDJSON not at least as much.</summary>
    private static bool WantsCsv(HttpRequest request)
    {
        var accepted = request.GetTypedHeaders().Accept;
        return Quality(Csv) > Quality(NdJson);

        double Quality(string mediaType) =>
            accepted.Where(range => range.MediaType.Equals(mediaType, StringComparison.OrdinalIgnoreCase)).Select(range => range.Quality ?? 1).FirstOrDefault();
    }
}

/// <summary>Addresses of a stream that are decided together.</summary>
/// <param name="Addresses">As they were given.</param>
/// <param name="Cancellation">Ends when nobody waits for the answer any more.</param>
internal readonly record struct StreamPart(IReadOnlyList<string?> Addresses, CancellationToken Cancellation);

/// <summary>
/// The answer: it goes out while the list still comes in. What is read ahead is bounded, so a client that reads slowly is
/// read slowly, and memory does not grow with the list. When anything goes wrong after the first byte the connection is
/// aborted: an answer without its summary was cut and must not be used.
/// </summary>
/// <remarks>
/// A client that sends a long list must read the answer while it sends; one that does not stops itself.
/// </remarks>
internal sealed partial class StreamedAnswer(
    AddressReader addresses, Func<StreamPart, Task<CheckedList?>> decide, bool csv, bool links, LedgerMetrics metrics, ILogger log) : IResult
{
    /// <summary>How many parts may be waiting for their answer to be written; one more is being read, one written.</summary>
    private const int ReadAhead = 3;

    private const int PartLength = 2_000;

    /// <summary>How long a stream may stand still, in both directions, before its connection is given up.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(10);

    /// <summary>
    /// Lets the list come, and the answer go, as slowly as they do: each waits for the other, so neither can be held to
    /// a rate.
    /// </summary>
    public static void RelaxRates(HttpContext context)
    {
        context.Features.Get<IHttpMinRequestBodyDataRateFeature>()?.MinDataRate = null;
        context.Features.Get<IHttpMinResponseDataRateFeature>()?.MinDataRate = null;
    }

    /// <inheritdoc />
    public async Task ExecuteAsync(HttpContext httpContext)
    {
        var response = httpContext.Response;
        response.ContentType = csv ? "text/csv; charset=utf-8; header=present" : "application/x-ndjson";
        response.Headers.CacheControl = "no-store";
        response.Headers["X-Accel-Buffering"] = "no";
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(httpContext.RequestAborted);
        stop.CancelAfter(Patience);
        var parts = Channel.CreateBounded<Task<CheckedList?>>(new BoundedChannelOptions(ReadAhead) { SingleReader = true, SingleWriter = true });
        var reading = Task.CompletedTask;
        try
        {
            await response.StartAsync(stop.Token);
#pragma warning disable CA2025 // It ends before this method does: when the list does, or below.
            reading = ReadAsync(parts.Writer, stop);
#pragma warning restore CA2025
            await WriteAsync(response, parts.Reader, stop);
            await response.CompleteAsync();
        }
#pragma warning disable CA1031 // Whatever it is, there is one way left to say so: no summary, and no proper end.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            LogIfOurs(exception, httpContext.RequestAborted);
            httpContext.Abort();
            await stop.CancelAsync();
            await reading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>Reads the list, and has each part decided as soon as it is there.</summary>
    private async Task ReadAsync(ChannelWriter<Task<CheckedList?>> parts, CancellationTokenSource stop)
    {
        try
        {
            while (await addresses.ReadAsync(PartLength, stop.Token) is { Count: > 0 } part)
            {
                stop.CancelAfter(Patience);
                var decided = decide(new StreamPart(part, stop.Token));
                await parts.WriteAsync(decided, stop.Token);
            }

            parts.Complete();
        }
#pragma warning disable CA1031 // It is for the one who writes the answer to tell.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            parts.Complete(exception);
        }
    }

    private async Task WriteAsync(HttpResponse response, ChannelReader<Task<CheckedList?>> parts, CancellationTokenSource stop)
    {
        var output = response.BodyWriter;
        AnswerWriter answers = csv ? new CsvAnswerWriter(output, links) : new NdJsonAnswerWriter(output);
        var summary = default(ListSummary);
        answers.WriteHeader();
        await output.FlushAsync(stop.Token);
        await foreach (var decided in parts.ReadAllAsync(stop.Token))
        {
            var part = await decided ?? throw new InvalidOperationException("The purpose has gone.");
            answers.Write(part);
            await output.FlushAsync(stop.Token);
            stop.CancelAfter(Patience);
            summary = summary.With(part);
            part.CountIn(metrics);
        }

        answers.WriteSummary(summary);
        await output.FlushAsync(stop.Token);
    }

    private void LogIfOurs(Exception exception, CancellationToken aborted)
    {
        if (DatabaseResilience.MeansAway(exception))
        {
            LogLedgerAway(exception.GetType().Name, (exception as PostgresException)?.SqlState);
        }
        else if (!aborted.IsCancellationRequested && exception is not (OperationCanceledException or IOException))
        {
            LogDefect(exception);
        }
    }

    [LoggerMessage(LogLevel.Warning, "A stream of checks was cut: the ledger can't be asked: {Type} {SqlState}")]
    private partial void LogLedgerAway(string type, string? sqlState);

    [LoggerMessage(LogLevel.Error, "A stream of checks ended in a defect")]
    private partial void LogDefect(Exception exception);
}
