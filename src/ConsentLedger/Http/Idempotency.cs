using System.Security.Cryptography;
using ConsentLedger.Security;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.Primitives;
using Npgsql;
using static ConsentLedger.Http.IdempotencyStore;

namespace ConsentLedger.Http;

/// <summary>A route that answers a repeated request only once, as metadata.</summary>
public sealed record AcceptedIdempotencyKey;

/// <summary>A route whose body is of any length: it is passed on as it comes and never held, as metadata.</summary>
public sealed record StreamedBody;

/// <summary>How a route says so.</summary>
public static class IdempotencyConventions
{
    /// <summary>
    /// Lets callers send an <c>Idempotency-Key</c> (API "Conventions", FACTS 12): the same request under the same key
    /// is carried out once, and answered each time as it was the first time. For every POST that writes. A handler
    /// finds the key as <see cref="IdempotentRequest"/> among the request's features.
    /// </summary>
    public static TBuilder AcceptsIdempotencyKey<TBuilder>(this TBuilder route)
        where TBuilder : IEndpointConventionBuilder =>
        route.WithMetadata(
            new AcceptedIdempotencyKey(),
            new Refusals(ProblemType.Validation, ProblemType.IdempotencyKeyInFlight, ProblemType.IdempotencyKeyReused));

    /// <summary>Says that the body is read as it comes, whatever its length.</summary>
    public static TBuilder StreamsBody<TBuilder>(this TBuilder route)
        where TBuilder : IEndpointConventionBuilder => route.WithMetadata(new StreamedBody());
}

/// <summary>
/// Answers a request with an Idempotency-Key once, between authentication and the binding of the body.
/// </summary>
/// <remarks>
/// What is durable, and what a crash leaves, line by line:
/// <list type="number">
/// <item>The body is read, or wrapped. Nothing is written; a crash leaves nothing.</item>
/// <item>The row is taken: in flight for 30 seconds. A crash leaves that; retries get 409 until the lease has run out,
/// then one of them takes the row over and runs the request.</item>
/// <item>The handler runs, and commits what it does on its own. A crash after its commit leaves the row as above: the
/// retry runs the handler again, which finds its own work if it took ids and time from
/// <see cref="IdempotentRequest"/>, and otherwise does it twice.</item>
/// <item>The answer is stored, then sent. A crash between the two leaves the answer for the retry.</item>
/// </list>
/// An attempt that lost its row to another one because it was silent for too long sends its own answer and stores none.
/// </remarks>
internal sealed partial class Idempotency(RequestDelegate next, IdempotencyStore store, KeyRing keys, TimeProvider clock, ILogger<Idempotency> log)
{
    // A retry that comes this early mostly finds the answer: an ordinary request takes milliseconds.
    private static readonly TimeSpan TryAgain = TimeSpan.FromSeconds(1);

    // Three chances to say so before the lease runs out.
    private static readonly TimeSpan Heartbeat = Lease / 3;

    private static readonly string[] KeptHeaders = ["Content-Type", "Location", "ETag", "Cache-Control"];

    public Task InvokeAsync(HttpContext context) =>
        context.GetEndpoint()?.Metadata is { } metadata && metadata.GetMetadata<AcceptedIdempotencyKey>() is not null
        && context.Request.Headers.TryGetValue(IdempotencyKeyHeader.Name, out var header)
        && context.Features.Get<Caller>() is { } caller
            ? OnceAsync(context, metadata, header, caller)
            : next(context);

    private async Task OnceAsync(HttpContext context, EndpointMetadataCollection metadata, StringValues header, Caller caller)
    {
        if (!IdempotencyKeyHeader.TryRead(header, out var key))
        {
            await Problem.Invalid(IdempotencyKeyHeader.Name, IdempotencyKeyHeader.Rule).ExecuteAsync(context);
            return;
        }

        var request = store.Recognise(caller.KeyId, key, context.Request);
        if (metadata.GetMetadata<StreamedBody>() is null)
        {
            using var held = await HoldAsync(context);
            await AnswerAsync(context, request with { BodyDigest = HMACSHA256.HashData(keys.RequestDigestKey, held.GetBuffer().AsSpan(0, (int)held.Length)) }, null);
        }
        else
        {
            await using var body = new BodyDigest(context.Request.Body, context.Request.ContentLength, keys.RequestDigestKey);
            context.Request.Body = body;
            await AnswerAsync(context, request, body);
        }
    }

    /// <summary>Reads the body to its end, within the route's limit; it may be read again.</summary>
    private static async Task<MemoryStream> HoldAsync(HttpContext context)
    {
        var held = new MemoryStream();
        await context.Request.Body.CopyToAsync(held, context.RequestAborted);
        held.Position = 0;
        context.Request.Body = held;
        return held;
    }

    private async Task AnswerAsync(HttpContext context, Request request, BodyDigest? body)
    {
        switch (await store.ClaimAsync(request, context.RequestAborted))
        {
            case Claim.Taken taken:
                context.Features.Set(new IdempotentRequest(request.KeyId, request.Key, taken.FirstSeenAt));
                await RunAsync(context, request, body);
                break;
            case Claim.InFlight:
                await new Problem(ProblemType.IdempotencyKeyInFlight) { RetryAfter = TryAgain }.ExecuteAsync(context);
                break;
            case Claim.Answered answered when await IsSameAsync(answered, body, context.RequestAborted):
                await ReplayAsync(context, answered.Answer);
                break;
            default:
                await new Problem(ProblemType.IdempotencyKeyReused).ExecuteAsync(context);
                break;
        }
    }

    /// <summary>A streamed body is known once it was read through; one that was held has been compared already.</summary>
    private static async Task<bool> IsSameAsync(Claim.Answered answered, BodyDigest? body, CancellationToken cancellation)
    {
        if (body is null)
        {
            return true;
        }

        await body.CopyToAsync(Stream.Null, cancellation);
        return CryptographicOperations.FixedTimeEquals(body.Value, answered.BodyDigest);
    }

    private async Task RunAsync(HttpContext context, Request request, BodyDigest? body)
    {
        using var buffer = new MemoryStream();
        var direct = context.Features.GetRequiredFeature<IHttpResponseBodyFeature>();
        var buffered = new StreamResponseBodyFeature(buffer, direct);
        context.Features.Set<IHttpResponseBodyFeature>(buffered);
        try
        {
            await RenewWhileAsync(request, () => RunHandlerAsync(context, body));
            await buffered.CompleteAsync();
        }
        catch
        {
            // It may have done its work or not: the next attempt is this same request, and starts at once.
            await FinishAsync(store.AbandonAsync(request, CancellationToken.None));
            throw;
        }
        finally
        {
            context.Features.Set(direct);
        }

        var status = context.Response.StatusCode;
        if (status >= StatusCodes.Status500InternalServerError)
        {
            await FinishAsync(store.AbandonAsync(request, CancellationToken.None));
        }
        else if (!IsFinal(status) || (request.BodyDigest ?? body!.Value) is not { } digest)
        {
            // Turned away: what was refused may be allowed in a moment. Or a file refused before it was read through,
            // of which nobody could say whether it was sent again.
            await FinishAsync(store.ForgetAsync(request, CancellationToken.None));
        }
        else
        {
            await FinishAsync(store.AnswerAsync(request, digest, Store(context.Response, buffer), CancellationToken.None));
        }

        await SendAsync(context, buffer.GetBuffer().AsMemory(0, (int)buffer.Length));
    }

    private static async Task SendAsync(HttpContext context, ReadOnlyMemory<byte> body)
    {
        // An empty answer stays open for the problem that belongs to its status.
        if (body.Length > 0)
        {
            context.Response.ContentLength = body.Length;
            await context.Response.Body.WriteAsync(body, context.RequestAborted);
        }
    }

    /// <summary>
    /// Runs the handler. A body that was read whole and can't be bound is refused the same way each time, so that
    /// refusal is an answer like any other; a body that breaks off while it streams is not.
    /// </summary>
    private async Task RunHandlerAsync(HttpContext context, BodyDigest? body)
    {
        try
        {
            await next(context);
        }
        catch (BadHttpRequestException bad) when (body is null)
        {
            await ProblemHandling.Refuse(bad).ExecuteAsync(context);
        }
    }

    private static bool IsFinal(int status) => status is not (
        StatusCodes.Status401Unauthorized or StatusCodes.Status403Forbidden or StatusCodes.Status408RequestTimeout
        or StatusCodes.Status413PayloadTooLarge or StatusCodes.Status415UnsupportedMediaType or StatusCodes.Status429TooManyRequests);

    private static StoredAnswer Store(HttpResponse response, MemoryStream body) => new(
        response.StatusCode,
        KeptHeaders.Where(response.Headers.ContainsKey).ToDictionary(name => name, name => response.Headers[name].ToString()),
        body.ToArray());

    private static async Task ReplayAsync(HttpContext context, StoredAnswer answer)
    {
        var response = context.Response;
        response.StatusCode = answer.Status;
        foreach (var (name, value) in answer.Headers)
        {
            response.Headers[name] = value;
        }

        response.Headers[IdempotencyKeyHeader.Replayed] = "true";
        await SendAsync(context, answer.Body);
    }

    /// <summary>Keeps the lease up while the handler runs; when this returns, nothing renews it any more.</summary>
    private async Task RenewWhileAsync(Request request, Func<Task> run)
    {
        using var done = new CancellationTokenSource();
        var heartbeat = RenewAsync(request, done.Token);
        try
        {
            await run();
        }
        finally
        {
            await done.CancelAsync();
            await heartbeat;
        }
    }

    private async Task RenewAsync(Request request, CancellationToken done)
    {
        using var timer = new PeriodicTimer(Heartbeat, clock);
        try
        {
            while (await timer.WaitForNextTickAsync(done))
            {
                await FinishAsync(store.RenewAsync(request, done));
            }
        }
        catch (OperationCanceledException)
        {
            // The handler is done.
        }
    }

    /// <summary>
    /// What the handler did is done, whether or not this can be noted: the caller gets its answer, and the lease runs
    /// out by itself.
    /// </summary>
    private async Task FinishAsync(Task<bool> write)
    {
        try
        {
            if (!await write)
            {
                LogTakenOver();
            }
        }
        catch (NpgsqlException exception)
        {
            LogNotNoted(exception.GetType().Name, exception.SqlState);
        }
    }

    [LoggerMessage(LogLevel.Warning, "A request with an Idempotency-Key ran for so long in silence that a retry took its place")]
    private partial void LogTakenOver();

    [LoggerMessage(LogLevel.Warning, "The answer to a request with an Idempotency-Key could not be noted; a retry will run it again: {Type} {SqlState}")]
    private partial void LogNotNoted(string type, string? sqlState);
}
