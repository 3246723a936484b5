using System.Globalization;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Checks;

/// <summary>A stream of checks on a connection of its own, so that a test decides when to send and when to read.</summary>
internal sealed class StreamCall : IDisposable
{
    private readonly Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { ReceiveBufferSize = 64 * 1024, SendBufferSize = 64 * 1024 };
    private readonly byte[] arrived = new byte[64 * 1024];
    private int position;
    private int length;
    private long left;
    private NetworkStream stream = null!;

    /// <summary>Begins the request; its body is sent piece by piece.</summary>
    public static async Task<StreamCall> OpenAsync(TestService service, string type = "text/plain", string? accept = null, string query = "?purpose=newsletter")
    {
        var call = new StreamCall();
        await call.socket.ConnectAsync(service.Url.Host, service.Url.Port, TestContext.Current.CancellationToken);
        call.stream = new NetworkStream(call.socket);
        await call.WriteAsync(
            $"POST /v1/checks/stream{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {service.Client.DefaultRequestHeaders.Authorization}\r\n"
            + $"Content-Type: {type}\r\nTransfer-Encoding: chunked\r\n{(accept is null ? "" : $"Accept: {accept}\r\n")}\r\n");
        return call;
    }

    /// <summary>Sends a piece of the list.</summary>
    public Task SendAsync(string piece) => WriteAsync(string.Create(CultureInfo.InvariantCulture, $"{Encoding.UTF8.GetByteCount(piece):x}\r\n{piece}\r\n"));

    /// <summary>Ends the list.</summary>
    public Task EndAsync() => WriteAsync("0\r\n\r\n");

    /// <summary>Says that nothing more comes, without ending the list.</summary>
    public void Cut() => socket.Shutdown(SocketShutdown.Send);

    /// <summary>Waits for the head of the answer, and returns its first line.</summary>
    public async Task<string> ReadHeadAsync()
    {
        var status = await ReadTextLineAsync();
        while (await ReadTextLineAsync() is { Length: > 0 })
        {
            // The header fields.
        }

        return status;
    }

    /// <summary>The next line of the answer; null at its proper end.</summary>
    /// <exception cref="EndOfStreamException">The answer was cut.</exception>
    public async Task<string?> ReadLineAsync()
    {
        var line = new List<byte>(128);
        while (true)
        {
            if (left == 0)
            {
                left = long.Parse(await ReadTextLineAsync(), NumberStyles.HexNumber, CultureInfo.InvariantCulture);
                if (left == 0)
                {
                    await ReadTextLineAsync();
                    return line.Count == 0 ? null : throw new EndOfStreamException("The last line has no end.");
                }
            }

            var next = await ReadByteAsync();
            if (--left == 0)
            {
                await ReadTextLineAsync();
            }

            if (next == '\n')
            {
                return Encoding.UTF8.GetString([.. line]);
            }

            line.Add(next);
        }
    }

    /// <summary>The next line of the answer, as JSON.</summary>
    public async Task<JsonNode> ReadAnswerAsync() => JsonNode.Parse((await ReadLineAsync()).ShouldNotBeNull())!;

    public void Dispose()
    {
        stream.Dispose();
        socket.Dispose();
    }

    private Task WriteAsync(string text) => stream.WriteAsync(Encoding.UTF8.GetBytes(text), TestContext.Current.CancellationToken).AsTask();

    private async Task<string> ReadTextLineAsync()
    {
        var line = new StringBuilder();
        while (await ReadByteAsync() is var next && next != '\n')
        {
            line.Append((char)next);
        }

        return line.ToString().TrimEnd('\r');
    }

    private async ValueTask<byte> ReadByteAsync()
    {
        if (position == length)
        {
            try
            {
                (position, length) = (0, await stream.ReadAsync(arrived, TestContext.Current.CancellationToken));
            }
            catch (IOException reset)
            {
                throw new EndOfStreamException("The answer was cut.", reset);
            }

            if (length == 0)
            {
                throw new EndOfStreamException("The answer was cut.");
            }
        }

        return arrived[position++];
    }
}
