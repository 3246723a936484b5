using System.Security.Cryptography;

namespace ConsentLedger.Http;

/// <summary>
/// Passes a request's body on as it is read, and takes its keyed hash on the way, so that a body of any length is
/// recognised when it is sent again without ever being held.
/// </summary>
internal sealed class BodyDigest(Stream body, long? length, byte[] key) : Stream
{
    private readonly IncrementalHash hash = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, key);
    private long read;
    private bool ended;

    /// <summary>The hash of the whole body; null if it was not read to its end.</summary>
    public byte[]? Value => ended || read == length ? hash.GetCurrentHash() : null;

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
        var count = await body.ReadAsync(buffer, cancellationToken);
        Note(buffer.Span[..count], ended: count == 0 && buffer.Length > 0);
        return count;
    }

    public override Task<int> ReadAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
        ReadAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

    public override int Read(byte[] buffer, int offset, int count)
    {
        var length = body.Read(buffer, offset, count);
        Note(buffer.AsSpan(offset, length), ended: length == 0 && count > 0);
        return length;
    }

    public override void Flush()
    {
        // Nothing is written, so there is nothing to flush.
    }

    public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

    public override void SetLength(long value) => throw new NotSupportedException();

    public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        // The body itself belongs to the server.
        if (disposing)
        {
            hash.Dispose();
        }

        base.Dispose(disposing);
    }

    private void Note(ReadOnlySpan<byte> bytes, bool ended)
    {
        hash.AppendData(bytes);
        read += bytes.Length;
        this.ended |= ended;
    }
}
