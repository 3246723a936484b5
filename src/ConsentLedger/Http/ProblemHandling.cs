using System.Text.Json;
using System.Text.RegularExpressions;
using ConsentLedger.Database;
using Microsoft.AspNetCore.Diagnostics;
using Npgsql;

namespace ConsentLedger.Http;

/// <summary>
/// Turns what goes wrong outside a handler into an answer: bodies that can't be read, a database that is away, defects.
/// </summary>
internal sealed partial class ProblemHandling(ILogger<ProblemHandling> log) : IExceptionHandler
{
    public async ValueTask<bool> TryHandleAsync(HttpContext httpContext, Exception exception, CancellationToken cancellationToken)
    {
        if (httpContext.RequestAborted.IsCancellationRequested)
        {
            // The client has gone; there is nobody to answer and nothing the matter here.
            return true;
        }

        await Answer(exception).ExecuteAsync(httpContext);
        return true;
    }

    private Problem Answer(Exception exception)
    {
        switch (exception)
        {
            case BadHttpRequestException bad:
                return Refuse(bad);
            case NpgsqlException away when DatabaseResilience.IsAway(away):
                LogLedgerAway(away.GetType().Name, (away as PostgresException)?.SqlState);
                return new Problem(ProblemType.LedgerUnavailable);
            default:
                LogDefect(exception);
                return new Problem(ProblemType.Internal);
        }
    }

    /// <summary>The answer to a request that could not be read.</summary>
    public static Problem Refuse(BadHttpRequestException bad) => bad switch
    {
        { StatusCode: StatusCodes.Status413PayloadTooLarge } => new Problem(ProblemType.PayloadTooLarge),
        { StatusCode: StatusCodes.Status415UnsupportedMediaType } => new Problem(ProblemType.UnsupportedMediaType),
        { InnerException: JsonException json } => Unreadable(json),
        _ => Unbindable(bad),
    };

    /// <summary>
    /// JSON that is not JSON, or of another shape than asked for. The reader's own words may repeat what was sent, so
    /// they are only looked at, and never passed on.
    /// </summary>
    private static Problem Unreadable(JsonException json)
    {
        var path = PlainPath(json.Path);
        if (UnknownMember().Match(json.Message) is { Success: true } unknown)
        {
            // The path names the member already, or only the object it stands in: that differs by reader. A name that
            // no member could have may be anything, an address too, and is not repeated.
            var member = unknown.Groups[1].Value;
            var at = !PlainName().IsMatch(member) || path == member || path.EndsWith("." + member, StringComparison.Ordinal) ? path
                : path.Length == 0 ? member
                : $"{path}.{member}";
            return Problem.Invalid(at.Length == 0 ? "body" : at, "There is no such member.");
        }

        var error =
            json.Message.StartsWith("Must be", StringComparison.Ordinal) ? json.Message.Split(" Path: ")[0]
            : json.Message.Contains("duplicate", StringComparison.OrdinalIgnoreCase) ? "This member is named twice."
            : json.InnerException?.Message is { } inner && (inner.Contains("UTF-8", StringComparison.Ordinal) || inner.Contains("UTF-16", StringComparison.Ordinal)) ? "This is not valid Unicode."
            : json.InnerException is not (null or InvalidOperationException or FormatException) ? "This is not valid JSON."
            : path.Length == 0 ? "A JSON object is required."
            : "This is of the wrong type.";
        return Problem.Invalid(path.Length == 0 ? "body" : path, error);
    }

    /// <summary>The path of a member as people write it, as far as it is made of names that members have.</summary>
    private static string PlainPath(string? path)
    {
        var plain = (path ?? string.Empty).Split("['")[0];
        return plain is ['$', '.', ..] ? plain[2..] : plain is ['$', ..] ? plain[1..] : string.Empty;
    }

    /// <summary>A parameter of the path or the query that is not what it should be, or a body that did not come whole.</summary>
    private static Problem Unbindable(BadHttpRequestException bad) =>
        Unbound().Match(bad.Message) is { Success: true } unbound ? Problem.Invalid(unbound.Groups[1].Value, "This is not valid.")
        : bad.Message.Contains("from body", StringComparison.Ordinal) || bad.Message.Contains("no body was provided", StringComparison.Ordinal) ? Problem.Invalid("body", "A JSON object is required.")
        : Problem.Invalid("body", "The request did not arrive whole.");

    [GeneratedRegex("The JSON property '(.*)' could not be mapped", RegexOptions.Singleline)]
    private static partial Regex UnknownMember();

    [GeneratedRegex(@"\A[A-Za-z_][A-Za-z0-9_-]{0,63}\z")]
    private static partial Regex PlainName();

    [GeneratedRegex("""(?:Failed to bind parameter|Required parameter) "(?:\S+ )?(\w+)"(?! was not provided from body)""")]
    private static partial Regex Unbound();

    [LoggerMessage(LogLevel.Warning, "The ledger can't be asked: {Type} {SqlState}")]
    private partial void LogLedgerAway(string type, string? sqlState);

    [LoggerMessage(LogLevel.Error, "A request ended in a defect")]
    private partial void LogDefect(Exception exception);
}
