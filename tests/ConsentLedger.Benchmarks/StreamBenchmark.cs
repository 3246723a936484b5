using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
using ConsentLedger.Database;
using ConsentLedger.Subscribers;
using Npgsql;

namespace ConsentLedger.Benchmarks;

/// <summary>
/// A stream of checks of every subscriber against psql's COPY in, hash join and COPY out of the same addresses, whose
/// ids it is given: it makes none, decides nothing and writes no JSON.
/// </summary>
internal static class StreamBenchmark
{
    public static async Task<int> RunAsync(Arguments arguments)
    {
        Console.WriteLine($"{arguments.Subscribers:N0} subscribers, all of them checked, {arguments.Rounds} rounds, {Environment.ProcessorCount} cores shared by both sides");
        await using var scene = await Scene.SetAsync(arguments.Subscribers);
        var list = Path.Combine(scene.DataDirectory, "list.txt");
        var ids = Path.Combine(scene.DataDirectory, "ids.csv");
        await WriteListsAsync(scene, arguments.Subscribers, list, ids);
        var service = await scene.StartServiceAsync();
        var idle = service.Memory / 1024 / 1024;
        await CheckAsync(service, scene.Key, list, limit: 50_000_000);

        var ratios = new List<double>();
        for (var round = 0; round < arguments.Rounds; round++)
        {
            var floor = await JoinAsync(scene, ids);
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"floor   {floor,6:N1} s   {arguments.Subscribers / floor,9:N0} addresses/s"));
            var seconds = await CheckAsync(service, scene.Key, list, limit: long.MaxValue);
            ratios.Add(seconds / floor);
            Console.WriteLine(string.Create(
                CultureInfo.InvariantCulture,
                $"stream  {seconds,6:N1} s   {arguments.Subscribers / seconds,9:N0} addresses/s   memory {idle} MB idle, {service.Memory / 1024 / 1024} MB after, {service.PeakMemory} MB at most   {ratios[^1]:N2} times the floor's time"));
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"median {ratios.Order().ElementAt(ratios.Count / 2):N2} times the floor's time"));
        return 0;
    }

    private static async Task WriteListsAsync(Scene scene, int subscribers, string list, string ids)
    {
        var of = new SubscriberIds(scene.Installation.Keys);
        await using var addresses = File.CreateText(list);
        await using var table = File.CreateText(ids);
        for (var i = 0; i < subscribers; i++)
        {
            var address = Scene.AddressOf(i);
            await addresses.WriteAsync(address + "\n");
            await table.WriteAsync($"{address},{of.Of(Address.Parse(address, null))}\n");
        }
    }

    /// <summary>Sends the list and reads the answer at once, on one connection; returns the seconds it took.</summary>
    private static async Task<double> CheckAsync(Server service, string key, string list, long limit)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await socket.ConnectAsync(service.Url.Host, service.Url.Port);
        await using var file = File.OpenRead(list);
        var length = Math.Min(file.Length, limit);
        var start = Stopwatch.GetTimestamp();
        await socket.SendAsync(Encoding.ASCII.GetBytes(
            $"POST /v1/checks/stream?purpose=newsletter HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {key}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n"));
        var sending = SendAsync(socket, file, length);
        var buffer = new byte[1 << 17];
        var tail = string.Empty;
        int read;
        while ((read = await socket.ReceiveAsync(buffer)) > 0)
        {
            tail += Encoding.UTF8.GetString(buffer, Math.Max(0, read - 300), Math.Min(read, 300));
            tail = tail[Math.Max(0, tail.Length - 300)..];
        }

        await sending;
        return tail.Contains("\"summary\"", StringComparison.Ordinal) ? Stopwatch.GetElapsedTime(start).TotalSeconds : throw new IOException(tail);
    }

    private static async Task SendAsync(Socket socket, FileStream file, long length)
    {
        var buffer = new byte[1 << 16];
        while (length > 0)
        {
            var read = await file.ReadAsync(buffer.AsMemory(0, (int)Math.Min(buffer.Length, length)));
            await socket.SendAsync(buffer.AsMemory(0, read));
            length -= read;
        }
    }

    private static async Task<double> JoinAsync(Scene scene, string ids)
    {
        var settings = new NpgsqlConnectionStringBuilder(scene.Installation.Server.ConnectionString);
        var start = new ProcessStartInfo("psql", ["-q", "-X", "-v", "ON_ERROR_STOP=1", "-h", settings.Host!, "-p", $"{settings.Port}", "-U", settings.Username!, settings.Database!])
        {
            RedirectStandardInput = true,
        };
        start.Environment["PGPASSWORD"] = settings.Password;
        start.Environment["PGOPTIONS"] = $"-c search_path={LedgerDatabase.Schema}";
        var began = Stopwatch.GetTimestamp();
        using var psql = Process.Start(start)!;
        await psql.StandardInput.WriteAsync($"""
            create temporary table wanted (address text, subscriber_id uuid);
            \copy wanted from '{ids}' (format csv)
            \copy (select wanted.address, state.kind from wanted left join consent_state state on state.subscriber_id = wanted.subscriber_id and state.purpose_id = 1) to '{ids}.answer' (format csv)

            """);
        psql.StandardInput.Close();
        await psql.WaitForExitAsync();
        return psql.ExitCode == 0 ? Stopwatch.GetElapsedTime(began).TotalSeconds : throw new InvalidOperationException("psql failed.");
    }
}
