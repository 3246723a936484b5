using System.Collections.Concurrent;
using System.Net;
using System.Net.Sockets;
using Npgsql;

namespace ConsentLedger.Tests.Hosting;

/// <summary>Stands between a service and its database, so that a test can take the database away, and only from it.</summary>
internal sealed class DatabaseRelay : IDisposable
{
    private readonly ConcurrentBag<TcpClient> connections = [];
    private readonly TcpListener listener = new(IPAddress.Loopback, 0);
    private readonly string host;
    private readonly int port;

    private DatabaseRelay(NpgsqlConnectionStringBuilder server)
    {
        (host, port) = (server.Host!, server.Port);
        listener.Start();
        server.Host = IPAddress.Loopback.ToString();
        server.Port = ((IPEndPoint)listener.LocalEndpoint).Port;
        ConnectionString = server.ConnectionString;
        _ = AcceptAsync();
    }

    /// <summary>Leads to the database through here.</summary>
    public string ConnectionString { get; }

    public static DatabaseRelay To(string connectionString) => new(new NpgsqlConnectionStringBuilder(connectionString));

    /// <summary>Cuts every connection, and refuses new ones.</summary>
    public void TakeAway()
    {
        listener.Dispose();
        foreach (var connection in connections)
        {
            connection.Dispose();
        }
    }

    public void Dispose() => TakeAway();

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await listener.AcceptTcpClientAsync();
                var server = new TcpClient();
                await server.ConnectAsync(host, port);
                connections.Add(client);
                connections.Add(server);
                _ = CopyAsync(client, server);
                _ = CopyAsync(server, client);
            }
        }
        catch (Exception end) when (end is SocketException or ObjectDisposedException or InvalidOperationException)
        {
            // The database was taken away.
        }
    }

    private static async Task CopyAsync(TcpClient from, TcpClient to)
    {
        try
        {
            await from.GetStream().CopyToAsync(to.GetStream());
        }
        catch (Exception end) when (end is IOException or ObjectDisposedException or InvalidOperationException)
        {
            // One side hung up.
        }

        to.Dispose();
    }
}
