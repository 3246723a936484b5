using System.Globalization;
using System.Text.Encodings.Web;
using System.Text.Json;
using ConsentLedger.Security;

namespace ConsentLedger.Http;

/// <summary>A refusal, answered as <c>application/problem+json</c> (RFC 9457). It never repeats what was sent.</summary>
public sealed class Problem(ProblemType type, string? detail = null) : IResult, IStatusCodeHttpResult
{
    private static readonly JsonWriterOptions Writing = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };
    private static readonly TimeSpan WhenAway = TimeSpan.FromSeconds(5);

    /// <summary>Which kind it is.</summary>
    public ProblemType Type { get; } = type;

    /// <summary>What is the matter in this case, if there is more to say than the title.</summary>
    public string? Detail { get; } = detail;

    /// <summary>For <see cref="ProblemType.Validation"/>: what is wrong, by path.</summary>
    public IReadOnlyDictionary<string, string[]>? Errors { get; init; }

    /// <summary>For <see cref="ProblemType.InsufficientScope"/>: the scope that is lacking.</summary>
    public string? Scope { get; init; }

    /// <summary>When to try again, for the types that pass.</summary>
    public TimeSpan? RetryAfter { get; init; } = type == ProblemType.LedgerUnavailable ? WhenAway : null;

    /// <inheritdoc />
    public int? StatusCode => Type.Status;

    /// <summary>Nothing is there.</summary>
    public static Problem NotFound(string? detail = null) => new(ProblemType.NotFound, detail);

    /// <summary>One member of the request is not valid.</summary>
    public static Problem Invalid(string path, string error) =>
        new(ProblemType.Validation) { Errors = new Dictionary<string, string[]> { [path] = [error] } };

    /// <inheritdoc />
    public async Task ExecuteAsync(HttpContext httpContext)
    {
        var publicUrl = httpContext.RequestServices.GetRequiredService<PublicUrl>();
        var response = httpContext.Response;
        response.StatusCode = Type.Status;
        response.Headers.CacheControl = "no-store";
        if (RetryAfter is { } wait)
        {
            response.Headers.RetryAfter = Math.Ceiling(wait.TotalSeconds).ToString(CultureInfo.InvariantCulture);
        }

        if (httpContext.Features.Get<ProblemPage>() is { } page)
        {
            await page(httpContext, this);
            return;
        }

        response.ContentType = "application/problem+json";

        if (HttpMethods.IsHead(httpContext.Request.Method))
        {
            return;
        }

        await using var json = new Utf8JsonWriter(response.BodyWriter, Writing);
        json.WriteStartObject();
        json.WriteString("type", publicUrl.Link($"/problems/{Type.Slug}"));
        json.WriteString("title", Type.Title);
        json.WriteNumber("status", Type.Status);
        if (Detail is not null)
        {
            json.WriteString("detail", Detail);
        }

        if (Scope is not null)
        {
            json.WriteString("scope", Scope);
        }

        if (Errors is not null)
        {
            json.WriteStartObject("errors");
            foreach (var (path, errors) in Errors)
            {
                json.WriteStartArray(path);
                foreach (var error in errors)
                {
                    json.WriteStringValue(error);
                }

                json.WriteEndArray();
            }

            json.WriteEndObject();
        }

        json.WriteEndObject();
        await json.FlushAsync(httpContext.RequestAborted);
    }
}
