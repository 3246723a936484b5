using System.Diagnostics;
using ConsentLedger.Database;

namespace ConsentLedger.Tests.Hosting;

/// <summary>A data directory for one test, which leaves neither files nor server processes behind.</summary>
internal sealed class TemporaryDataDirectory : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("consentledger-tests-").FullName;

    public PostgresOptions Options => new() { DataDirectory = Path, Durable = false };

    /// <summary>The one cluster within; its real folder.</summary>
    public string Cluster => ClusterHome.FindCluster(Path).ShouldNotBeNull().Folder;

    public Postmaster? Postmaster => Postmaster.Find(Cluster);

    public Task<PostgresServer> StartAsync() => StartAsync(Options);

    public Task<PostgresServer> StartAsync(PostgresOptions options) =>
        PostgresServer.StartAsync(options, TimeProvider.System, TestContext.Current.CancellationToken);

    /// <summary>Ends the server process at once, as <c>kill -9</c> and the kernel's out-of-memory killer do.</summary>
    public void KillPostmaster()
    {
        using var process = Process.GetProcessById(Postmaster.ShouldNotBeNull().ProcessId);
        process.Kill();
    }

    public void Dispose() => Remove(Path);

    /// <summary>Removes a data directory, a server that a failed test left in it, and what it keeps elsewhere.</summary>
    public static void Remove(string path)
    {
        if (ClusterHome.FindCluster(path) is var (cluster, _, _))
        {
            if (Postmaster.Find(cluster) is { } left)
            {
                using var process = Process.GetProcessById(left.ProcessId);
                process.Kill();
            }

            if (!cluster.StartsWith(path, StringComparison.Ordinal))
            {
                Directory.Delete(System.IO.Path.GetDirectoryName(cluster)!, recursive: true);
            }

        }

        Directory.Delete(path, recursive: true);
    }
}
