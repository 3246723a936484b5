
namespace ConsentLedger.Database;

/// <summary>
/// Held by the one process that is starting, joining, restarting or stopping the cluster beneath a data directory.
/// The operating system takes it back from a process that dies. The file stays: deleting it would let two processes each
/// lock a file of the same name.
/// </summary>
public sealed class DataDirectoryLock : IDisposable
{
    // What the systems answer when another has the file: EAGAIN, EAGAIN, ERROR_SHARING_VIOLATION. Any other fault is a real one.
    private const int LinuxBusy = 11;
    private const int MacBusy = 35;
    private const int WindowsBusy = unchecked((int)0x80070020);
    private static readonly TimeSpan LongestWait = TimeSpan.FromMinutes(5); // A download may be going on.
    private readonly FileStream file;

    private DataDirectoryLock(FileStream file) => this.file = file;

    /// <summary>Waits for the lock.</summary>
    /// <exception cref="StartupException">Another process has held it for five minutes.</exception>
    public static async Task<DataDirectoryLock> TakeAsync(string dataDirectory, TimeProvider clock, CancellationToken cancellationToken)
    {
        var path = Path.Combine(dataDirectory, "postgres.lock");
        var began = clock.GetTimestamp();
        while (true)
        {
            try
            {
                return new DataDirectoryLock(new FileStream(path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None));
            }
            catch (IOException held) when (held.HResult is LinuxBusy or MacBusy or WindowsBusy)
            {
                if (clock.GetElapsedTime(began) > LongestWait)
                {
                    throw new StartupException($"Another process has been starting or stopping the database in {dataDirectory} for five minutes.", held);
                }
            }

            await Task.Delay(TimeSpan.FromMilliseconds(20), clock, cancellationToken);
        }
    }

    /// <inheritdoc />
    public void Dispose() => file.Dispose();
}
