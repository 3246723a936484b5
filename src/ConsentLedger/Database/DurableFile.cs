using System.ComponentModel;
using System.Runtime.InteropServices;
using System.Text;

namespace ConsentLedger.Database;

/// <summary>Files that outlive a power cut.</summary>
internal static class DurableFile
{
    /// <summary>What a file is called until it is whole; one that is found under such a name was never finished.</summary>
    public const string Unfinished = ".unfinished";

    /// <summary>
    /// Writes a new file. When this returns, it is on the disk, whole and under its name; a crash before leaves nothing
    /// under that name.
    /// </summary>
    /// <remarks>
    /// Line by line: the content is flushed to the disk under another name; the name is changed, in one step; the folder
    /// is flushed, and with it the name.
    /// </remarks>
    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        var unfinished = path + Unfinished;
        using (var file = new FileStream(unfinished, Options))
        {
            file.Write(content);
            file.Flush(flushToDisk: true);
        }

        File.Move(unfinished, path);
        FlushFolder(Path.GetDirectoryName(path)!);
    }

    /// <summary>
    /// The same of what comes bit by bit. What was cut short leaves nothing, and a crash nothing under the name.
    /// </summary>
    /// <param name="path">The file, in full; it must not exist.</param>
    /// <param name="write">Writes the content.</param>
    public static async Task WriteAsync(string path, Func<Stream, Task> write)
    {
        var unfinished = path + Unfinished;
        try
        {
            await using (var file = new FileStream(unfinished, Options))
            {
                await write(file);
                file.Flush(flushToDisk: true);
            }

            File.Move(unfinished, path);
        }
        catch
        {
            File.Delete(unfinished);
            throw;
        }

        FlushFolder(Path.GetDirectoryName(path)!);
    }

    /// <summary>Makes what was created, renamed or removed in a folder outlive a power cut.</summary>
    public static void FlushFolder(string folder)
    {
        // Windows keeps a journal of names and has no such call.
        if (OperatingSystem.IsWindows())
        {
            return;
        }

        var handle = NativeMethods.Open(Encoding.UTF8.GetBytes(folder + '\0'), NativeMethods.ReadOnly);
        if (handle < 0)
        {
            throw new IOException("The folder can't be opened.", new Win32Exception(Marshal.GetLastPInvokeError()));
        }

        var flushed = NativeMethods.FlushToDisk(handle);
        var error = Marshal.GetLastPInvokeError();
        _ = NativeMethods.Close(handle);
        if (flushed != 0)
        {
            throw new IOException("The folder can't be flushed to the disk.", new Win32Exception(error));
        }
    }

    // Nobody but the service's own account reads it.
    private static FileStreamOptions Options
    {
        get
        {
            var options = new FileStreamOptions { Mode = FileMode.Create, Access = FileAccess.Write, BufferSize = 0 };
            if (!OperatingSystem.IsWindows())
            {
                options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            }

            return options;
        }
    }

    private static class NativeMethods
    {
        public const int ReadOnly = 0;

        [DllImport("libc", EntryPoint = "open", SetLastError = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int Open(byte[] path, int flags);

        [DllImport("libc", EntryPoint = "fsync", SetLastError = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int FlushToDisk(int handle);

        [DllImport("libc", EntryPoint = "close", SetLastError = true)]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern int Close(int handle);
    }
}
