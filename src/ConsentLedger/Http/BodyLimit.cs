using System.Buffers;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.Metadata;

namespace ConsentLedger.Http;

/// <summary>
/// Holds request bodies to their route's limit. The server's own limit hangs up on a client that is still sending, which
/// then sees a broken connection and not the reason; here what is sent in excess is read away, within bounds, and the
/// client gets its 413.
/// </summary>
internal static class BodyLimit
{
    /// <summary>The largest body of an ordinary route, in bytes.</summary>
    public const long Ordinary = 1024 * 1024;

    /// <summary>How much is read away for courtesy; whoever sends more is hung up on.</summary>
    private const long MostReadAway = 8 * 1024 * 1024;

    /// <summary>Puts the limit in front of everything that reads a body.</summary>
    public static void UseBodyLimit(this IApplicationBuilder app) => app.Use((context, next) =>
    {
        var limit = context.GetEndpoint()?.Metadata.GetMetadata<IRequestSizeLimitMetadata>() is { } own ? own.MaxRequestBodySize : Ordinary;
        if (context.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } server)
        {
            server.MaxRequestBodySize = null;
        }

        if (context.Request.ContentLength > limit)
        {
            return RefuseAsync(context);
        }

        if (limit is { } bytes && context.Request.ContentLength is null)
        {
            context.Request.Body = new LimitedStream(context.Request.Body, bytes);
        }

        return next(context);
    });

    private static async Task RefuseAsync(HttpContext context)
    {
        await ReadAwayAsync(context);
        await new Problem(ProblemType.PayloadTooLarge).ExecuteAsync(context);
    }

    /// <summary>Reads what is left of a body that nobody wants. One that waits to be asked for is not asked for.</summary>
    public static async Task ReadAwayAsync(HttpContext context)
    {
        if (context.Request.Headers.Expect.Count > 0 || context.Request.ContentLength > MostReadAway)
        {
            return;
        }

        var body = context.Request.Body is LimitedStream limited ? limited.Whole : context.Request.Body;
        var buffer = ArrayPool<byte>.Shared.Rent(64 * 1024);
        try
        {
            long total = 0;
            for (int read; total < MostReadAway && (read = await body.ReadAsync(buffer, context.RequestAborted)) > 0;)
            {
                total += read;
            }
        }
        catch (Exception exception) when (exception is IOException or OperationCanceledException)
        {
            // The client has gone; there is nobody left to be courteous to.
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>A body of unknown length that must not be longer than its limit.</summary>
    private sealed class LimitedStream(Stream whole, long limit) : Stream
    {
        private long left = limit;

        public Stream Whole => whole;

        public override bool CanRead => true;

        public override bool CanSeek => false;

        public override bool CanWrite => false;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            var read = await whole.ReadAsync(buffer, cancellationToken);
            left -= read;
            return left >= 0 ? read : throw new BadHttpRequestException("The request body is too large.", StatusCodes.Status413PayloadTooLarge);
        }

        public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException("Request bodies are read asynchronously.");

        public override void Flush() => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();
    }
}
