using System.Buffers.Text;
using System.Diagnostics;
using System.Net.Sockets;
using System.Text;

namespace ConsentLedger.Benchmarks;

/// <summary>
/// Loads a server over kept-alive connections, one request at a time on each, from this process. It does as little as
/// possible itself, because it shares the cores with what it measures: prepared bytes out, the end of the answer in.
/// </summary>
internal static class Load
{
    /// <summary>What a run came to.</summary>
    public sealed record Result(double[] Latencies, double Seconds, double Processor)
    {
        private readonly double[] ordered = [.. Latencies.Order()];

        public int Requests => ordered.Length;

        public double PerSecond => Requests / Seconds;

        public double P50 => ordered[Requests / 2];

        public double P99 => ordered[Requests * 99 / 100];

        public static Result Of(IReadOnlyList<Result> runs) =>
            new([.. runs.SelectMany(run => run.Latencies)], runs.Sum(run => run.Seconds), runs.Sum(run => run.Processor));

        public override string ToString() =>
            $"{PerSecond,9:N0} requests/s   p50 {P50,6:N2} ms   p99 {P99,6:N2} ms   {Processor * 1e6 / Requests,5:N0} µs of processor in the server each";
    }

    /// <summary>Sends what <paramref name="request"/> makes of each number, on all connections, for a while.</summary>
    public static async Task<Result> RunAsync(Server server, int connections, TimeSpan duration, Func<int, byte[]> request, int expected = 200)
    {
        var processor = server.Processor;
        var deadline = Stopwatch.GetTimestamp() + (long)(duration.TotalSeconds * Stopwatch.Frequency);
        var start = Stopwatch.GetTimestamp();
        var runs = await Task.WhenAll(Enumerable.Range(0, connections).Select(connection =>
            Task.Run(() => RunConnectionAsync(server.Url, connection, deadline, request, expected))));
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        return new Result([.. runs.SelectMany(run => run)], seconds, (server.Processor - processor).TotalSeconds);
    }

    /// <summary>A POST of JSON with a key.</summary>
    public static byte[] Post(string path, string key, string json) => Encoding.UTF8.GetBytes(
        $"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {Encoding.UTF8.GetByteCount(json)}\r\n\r\n{json}");

    private static async Task<List<double>> RunConnectionAsync(Uri url, int connection, long deadline, Func<int, byte[]> request, int expected)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        await socket.ConnectAsync(url.Host, url.Port);
        var latencies = new List<double>(1 << 16);
        var buffer = new byte[1 << 16];
        var random = new Random(connection);
        while (Stopwatch.GetTimestamp() < deadline)
        {
            var bytes = request(random.Next());
            var sent = Stopwatch.GetTimestamp();
            await socket.SendAsync(bytes, SocketFlags.None);
            var length = 0;
            do
            {
                var read = await socket.ReceiveAsync(buffer.AsMemory(length), SocketFlags.None);
                if (read == 0)
                {
                    throw new IOException("The server closed the connection.");
                }

                length += read;
            }
            while (!IsWhole(buffer.AsSpan(0, length)));
            latencies.Add(Stopwatch.GetElapsedTime(sent).TotalMilliseconds);
            if (!Utf8Parser.TryParse(buffer.AsSpan(9, 3), out int status, out _) || status != expected)
            {
                throw new IOException(Encoding.UTF8.GetString(buffer, 0, length));
            }
        }

        return latencies;
    }

    /// <summary>True once the answer is all there, whether it says its length or comes in chunks.</summary>
    private static bool IsWhole(ReadOnlySpan<byte> answer)
    {
        var end = answer.IndexOf("\r\n\r\n"u8);
        if (end < 0)
        {
            return false;
        }

        var head = answer[..end];
        var body = answer[(end + 4)..];
        var at = head.IndexOf("Content-Length: "u8);
        return at >= 0
            ? Utf8Parser.TryParse(head[(at + 16)..], out int length, out _) && body.Length >= length
            : body.EndsWith("0\r\n\r\n"u8);
    }
}
