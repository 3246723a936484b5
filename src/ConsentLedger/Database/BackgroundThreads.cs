using System.Collections.Concurrent;
using System.Runtime.InteropServices;

namespace ConsentLedger.Database;

/// <summary>
/// Threads of their own for heavy work: what is computed on the pool's, of which there are as many as processors, holds up
/// every request behind it. These run after everyone else as well, so that a check does not wait for its turn at a processor.
/// What is awaited on them goes on on them.
/// </summary>
/// <remarks>
/// On Linux a thread may lower its priority, and never raise it again; that is another reason why these are not the
/// pool's. Elsewhere they are threads like others.
/// </remarks>
public sealed class BackgroundThreads : TaskScheduler, IDisposable
{
    private const int Niceness = 10;

    private readonly BlockingCollection<Task> work = [];
    private readonly List<Thread> threads;

    /// <summary>Starts so many threads.</summary>
    public BackgroundThreads(int count)
    {
        threads = [.. Enumerable.Range(0, count).Select(_ => new Thread(Work) { IsBackground = true, Name = "Background" })];
        threads.ForEach(thread => thread.Start());
    }

    /// <summary>
    /// Lets a process of this machine run after everyone else; nothing happens where that can't be, or where it is not ours.
    /// </summary>
    public static void GiveWay(int processId)
    {
        if (OperatingSystem.IsLinux())
        {
            _ = NativeMethods.SetPriority(NativeMethods.OfProcess, (uint)processId, Niceness);
        }
    }

    /// <summary>Runs this on the threads, and what follows what it awaits too.</summary>
    public Task<T> RunAsync<T>(Func<Task<T>> action) =>
        Task.Factory.StartNew(action, CancellationToken.None, TaskCreationOptions.DenyChildAttach, this).Unwrap();

    /// <summary>Ends the threads once what was given to them has been done; not from one of them.</summary>
    public void Dispose()
    {
        work.CompleteAdding();
        threads.ForEach(thread => thread.Join());
        work.Dispose();
    }

    /// <inheritdoc />
    protected override void QueueTask(Task task)
    {
        try
        {
            work.Add(task);
        }
        catch (InvalidOperationException)
        {
            // They have ended; what was still to follow goes on elsewhere.
            ThreadPool.UnsafeQueueUserWorkItem(late => TryExecuteTask(late), task, preferLocal: false);
        }
    }

    /// <inheritdoc />
    protected override bool TryExecuteTaskInline(Task task, bool taskWasPreviouslyQueued) => false;

    /// <inheritdoc />
    protected override IEnumerable<Task> GetScheduledTasks() => work;

    private void Work()
    {
        // Zero stands for the calling thread, and for it alone.
        GiveWay(0);
        foreach (var task in work.GetConsumingEnumerable())
        {
            TryExecuteTask(task);
        }
    }

    private static class NativeMethods
    {
        public const int OfProcess = 0;

        [DllImport("libc", EntryPoint = "setpriority")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int SetPriority(int which, uint who, int niceness);
    }
}
