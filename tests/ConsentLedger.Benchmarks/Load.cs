using System.Buffers.Text;
using System.Diagnostics;
using System.Net.Sockets;
using System.Text;

namespace ConsentLedger.Benchmarks;

/// <summary>
/// Loads a server over kept-alive connections, one request at a time on each, from one thread of this process. It does as
/// little as possible itself, because it shares the cores with what it measures: prepared bytes out, the end of the answer in.
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

    /// <summary>
    /// Sends what <paramref name="request"/> makes of each number, on all connections, for a while: as fast as answers come,
    /// or at most <paramref name="perSecond"/> requests.
    /// </summary>
    public static async Task<Result> RunAsync(
        Server server, int connections, TimeSpan duration, Func<int, byte[]> request, int expected = 200, double perSecond = double.PositiveInfinity)
    {
        var deadline = Stopwatch.GetTimestamp() + (long)(duration.TotalSeconds * Stopwatch.Frequency);
        return await RunAsync(server, connections, () => Stopwatch.GetTimestamp() >= deadline, request, expected, perSecond);
    }

    /// <summary>The same, until <paramref name="isOver"/>: on the same connections all the while.</summary>
    public static async Task<Result> RunAsync(
        Server server, int connections, Func<bool> isOver, Func<int, byte[]> request, int expected = 200, double perSecond = double.PositiveInfinity)
    {
        var processor = server.Processor;
        var start = Stopwatch.GetTimestamp();
        var pause = (long)(connections / perSecond * Stopwatch.Frequency);
        var latencies = await Task.Factory.StartNew(
            () => Run(server.Url, connections, isOver, pause, request, expected), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        return new Result([.. latencies], Stopwatch.GetElapsedTime(start).TotalSeconds, (server.Processor - processor).TotalSeconds);
    }

    /// <summary>A POST of JSON with a key.</summary>
    public static byte[] Post(string path, string key, string json) => Encoding.UTF8.GetBytes(
        $"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: {Encoding.UTF8.GetByteCount(json)}\r\n\r\n{json}");

    private static List<double> Run(Uri url, int connections, Func<bool> isOver, long pause, Func<int, byte[]> request, int expected)
    {
        var random = new Random(connections);
        var latencies = new List<double>(1 << 20);
        var start = Stopwatch.GetTimestamp();
        var resting = new PriorityQueue<Connection, long>();
        var busy = new Dictionary<Socket, Connection>();
        for (var i = 0; i < connections; i++)
        {
            // Spread over one pause, so that they do not come all at once.
            var due = start + (pause * i / connections);
            resting.Enqueue(new Connection(url) { Due = due }, due);
        }

        while (resting.Count + busy.Count > 0)
        {
            var now = Stopwatch.GetTimestamp();
            while (resting.TryPeek(out var next, out var due) && due <= now)
            {
                resting.Dequeue();
                if (isOver())
                {
                    next.Dispose();
                    continue;
                }

                next.Send(request(random.Next()));
                busy.Add(next.Socket, next);
            }

            if (busy.Count == 0)
            {
                Thread.Sleep(resting.Count > 0 ? 1 : 0);
                continue;
            }

            List<Socket> ready = [.. busy.Keys];
            Socket.Select(ready, null, null, resting.TryPeek(out _, out var soonest) ? TimeSpan.FromSeconds(Math.Max(0, soonest - now) / (double)Stopwatch.Frequency) : TimeSpan.FromSeconds(30));
            foreach (var socket in ready)
            {
                var connection = busy[socket];
                if (connection.TryReceive(expected, out var latency))
                {
                    latencies.Add(latency);
                    busy.Remove(socket);
                    connection.Due += pause;
                    resting.Enqueue(connection, connection.Due);
                }
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

    /// <summary>One connection, and the request that is under way on it.</summary>
    private sealed class Connection : IDisposable
    {
        private readonly byte[] buffer = new byte[1 << 14];
        private int length;
        private long sent;

        public Connection(Uri url) => Socket.Connect(url.Host, url.Port);

        public Socket Socket { get; } = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };

        /// <summary>When the next request is to be sent.</summary>
        public long Due { get; set; }

        public void Send(byte[] bytes)
        {
            length = 0;
            sent = Stopwatch.GetTimestamp();
            Socket.Send(bytes);
        }

        /// <summary>Takes what has come; true, and how long it took, in milliseconds, once that is the whole answer.</summary>
        public bool TryReceive(int expected, out double latency)
        {
            var read = Socket.Receive(buffer.AsSpan(length));
            length += read;
            latency = Stopwatch.GetElapsedTime(sent).TotalMilliseconds;
            if (read == 0)
            {
                throw new IOException("The server closed the connection.");
            }

            if (!IsWhole(buffer.AsSpan(0, length)))
            {
                return false;
            }

            return Utf8Parser.TryParse(buffer.AsSpan(9, 3), out int status, out _) && status == expected
                ? true
                : throw new IOException(Encoding.UTF8.GetString(buffer, 0, length));
        }

        public void Dispose() => Socket.Dispose();
    }
}
