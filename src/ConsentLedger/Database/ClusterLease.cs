namespace ConsentLedger.Database;

/// <summary>
/// One use of a cluster: a file of its own that is kept open and locked for as long as the use lasts. The operating system
/// unlocks it however the process ends, so the lease of a dead process counts for nothing, whatever became of its process id.
/// Taken, counted and given back only under the <see cref="DataDirectoryLock"/>.
/// </summary>
public sealed class ClusterLease : IDisposable
{
    private readonly FileStream file;

    private ClusterLease(FileStream file) => this.file = file;

    /// <summary>Takes a lease on the cluster of this data directory.</summary>
    public static ClusterLease Take(string dataDirectory)
    {
        var folder = Directory.CreateDirectory(FolderIn(dataDirectory)).FullName;
        var path = Path.Combine(folder, Guid.NewGuid().ToString("N"));
        return new ClusterLease(new FileStream(path, FileMode.CreateNew, FileAccess.ReadWrite, FileShare.None));
    }

    /// <summary>Whether anyone holds a lease; clears away those of processes that died.</summary>
    public static bool AnyHeld(string dataDirectory)
    {
        var folder = FolderIn(dataDirectory);
        var held = false;
        foreach (var path in Directory.Exists(folder) ? Directory.GetFiles(folder) : [])
        {
            try
            {
                using (new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.None))
                {
                }

                File.Delete(path);
            }
            catch (Exception inUse) when (inUse is IOException or UnauthorizedAccessException)
            {
                held = true;
            }
        }

        return held;
    }

    /// <inheritdoc />
    public void Dispose()
    {
        file.Dispose();
        if (File.Exists(file.Name))
        {
            File.Delete(file.Name);
        }
    }

    private static string FolderIn(string dataDirectory) => Path.Combine(dataDirectory, "postgres-leases");
}
