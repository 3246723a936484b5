using System.Diagnostics;
using System.Globalization;

namespace ConsentLedger.Database;

/// <summary>The server process of a cluster, as its file <c>postmaster.pid</c> tells of it.</summary>
/// <param name="ProcessId">Its process id.</param>
/// <param name="Port">The TCP port it listens on.</param>
/// <param name="Status"><c>starting</c>, <c>ready</c>, <c>standby</c> or <c>stopping</c>.</param>
public sealed record Postmaster(int ProcessId, int Port, string Status)
{
    /// <summary>The name of the file, within a cluster.</summary>
    public const string FileName = "postmaster.pid";

    /// <summary>
    /// The postmaster that runs on a cluster; null when none does, which includes a file left over from one that died
    /// and whose process id nobody or another program has now.
    /// </summary>
    public static Postmaster? Find(string cluster)
    {
        string[] lines;
        try
        {
            lines = File.ReadAllLines(Path.Combine(cluster, FileName));
        }
        catch (Exception gone) when (gone is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }

        // Lines: process id, cluster, start time, port, socket folder, listen address, shared memory, status.
        return lines.Length >= 4
            && int.TryParse(lines[0], NumberStyles.None, CultureInfo.InvariantCulture, out var processId)
            && int.TryParse(lines[3], NumberStyles.None, CultureInfo.InvariantCulture, out var port)
            && IsPostmasterOf(lines[1], processId)
            ? new Postmaster(processId, port, lines.Length >= 8 ? lines[7].Trim() : "starting")
            : null;
    }

    private static bool IsPostmasterOf(string cluster, int processId)
    {
        if (!OperatingSystem.IsLinux())
        {
            try
            {
                using var process = Process.GetProcessById(processId);
                return process.ProcessName == "postgres";
            }
            catch (ArgumentException)
            {
                return false;
            }
        }

        // The command line is readable whoever owns the process, and empty for a zombie. The server processes
        // beneath a postmaster have the title "postgres: …" instead.
        string[] command;
        try
        {
            command = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{processId}/cmdline")).Split('\0');
        }
        catch (Exception gone) when (gone is IOException or UnauthorizedAccessException)
        {
            return false;
        }

        var at = Array.IndexOf(command, "-D") + 1;
        return Path.GetFileName(command[0]) == "postgres" && (at == 0 || !Path.IsPathRooted(command[at]) || command[at] == cluster);
    }
}
