using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.RegularExpressions;

namespace ConsentLedger.Database;

/// <summary>
/// Where the clusters of a data directory are. That is the data directory itself, unless PostgreSQL runs as another account
/// that cannot get there; then they are in a folder beneath <c>/var/lib/consentledger/clusters</c>, and a symbolic link in
/// the data directory shows the way. Other people's folders are never opened up.
/// </summary>
public static partial class ClusterHome
{
    private const string Elsewhere = "/var/lib/consentledger/clusters";

    /// <summary>The folder in which clusters of this data directory are made, ready for the account to pass through.</summary>
    public static async Task<string> PrepareAsync(string dataDirectory, ServerAccount account, CancellationToken cancellationToken)
    {
        if (OperatingSystem.IsWindows() || await account.CanEnterAsync(dataDirectory, cancellationToken))
        {
            return dataDirectory;
        }

        if (Path.GetDirectoryName(dataDirectory) is { } parent && await account.CanEnterAsync(parent, cancellationToken))
        {
            LetThrough(dataDirectory);
            return dataDirectory;
        }

        var name = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(dataDirectory)))[..16];
        var home = Path.Combine(Elsewhere, name);
        foreach (var folder in new[] { Path.GetDirectoryName(Elsewhere)!, Elsewhere, home })
        {
            Directory.CreateDirectory(folder);
            LetThrough(folder);
        }

        await File.WriteAllTextAsync(Path.Combine(home, "data-directory"), dataDirectory + "\n", cancellationToken);
        return home;
    }

    /// <summary>The newest cluster that this data directory has or links to; null when there is none.</summary>
    /// <returns>The cluster's real folder, its name in the data directory, and the major version that made it.</returns>
    public static (string Folder, string Name, int Major)? FindCluster(string dataDirectory) => Directory
        .EnumerateFileSystemEntries(dataDirectory, "postgres-*")
        .Where(entry => ClusterName().IsMatch(Path.GetFileName(entry)) && File.Exists(Path.Combine(entry, "PG_VERSION")))
        .Select(entry => (
            Directory.ResolveLinkTarget(entry, returnFinalTarget: true)?.FullName ?? entry,
            Path.GetFileName(entry),
            int.TryParse(File.ReadAllText(Path.Combine(entry, "PG_VERSION")).Trim().Split('.')[0], out var major) ? major : 0))
        .OrderByDescending(cluster => cluster.Item3)
        .Cast<(string, string, int)?>()
        .FirstOrDefault();

    /// <summary>
    /// Readies the place of a new cluster, and the link to it when it is elsewhere. What an earlier data directory of the
    /// same name left there is stopped and set aside, never deleted.
    /// </summary>
    public static async Task MakeRoomAsync(string dataDirectory, PostgresCluster cluster, TimeProvider clock)
    {
        var link = Path.Combine(dataDirectory, Path.GetFileName(cluster.Folder));
        if (link == cluster.Folder)
        {
            return;
        }

        if (Directory.Exists(cluster.Folder))
        {
            await cluster.StopAsync();
            Directory.Move(cluster.Folder, cluster.Folder + clock.GetUtcNow().ToString("'.left-'yyyyMMdd'T'HHmmssfff", CultureInfo.InvariantCulture));
        }

        // The link comes first: a crash leaves one that points nowhere, which counts as no cluster.
        File.Delete(link);
        File.CreateSymbolicLink(link, cluster.Folder);
    }

    private static void LetThrough(string folder)
    {
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(
                folder,
                File.GetUnixFileMode(folder) | UnixFileMode.UserExecute | UnixFileMode.GroupExecute | UnixFileMode.OtherExecute);
        }
    }

    [GeneratedRegex(@"^postgres-\d+$")]
    private static partial Regex ClusterName();
}
