using System.Net.Sockets;
using System.Text;

namespace ConsentLedger.Tests.Hosting;

/// <summary>Asks, within a second, whether there is a Docker that Testcontainers can use.</summary>
internal static class Docker
{
    public static async Task<bool> AnswersAsync()
    {
        var home = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile);
        var host = Environment.GetEnvironmentVariable("DOCKER_HOST");
        if (OperatingSystem.IsWindows() || host?.StartsWith("tcp://", StringComparison.Ordinal) == true)
        {
            return host is not null || File.Exists(@"\\.\pipe\docker_engine");
        }

        string[] sockets = [host?.Replace("unix://", "", StringComparison.Ordinal) ?? "/var/run/docker.sock", Path.Combine(home, ".docker/run/docker.sock")];
        return sockets.FirstOrDefault(File.Exists) is { } path && await AnswersAtAsync(path);
    }

    private static async Task<bool> AnswersAtAsync(string path)
    {
        try
        {
            using var deadline = new CancellationTokenSource(TimeSpan.FromSeconds(1));
            using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), deadline.Token);
            await socket.SendAsync("GET /_ping HTTP/1.0\r\n\r\n"u8.ToArray(), deadline.Token);
            var answer = new byte[64];
            var length = await socket.ReceiveAsync(answer, deadline.Token);
            return Encoding.ASCII.GetString(answer, 0, length).Contains(" 200 ", StringComparison.Ordinal);
        }
        catch (Exception silence) when (silence is SocketException or OperationCanceledException)
        {
            return false;
        }
    }
}
