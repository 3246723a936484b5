using MysticMind.PostgresEmbed;

namespace ConsentLedger.Database;

/// <summary>
/// Fetches PostgreSQL's programs once, for a machine that has none. Only the programs come from MysticMind.PostgresEmbed
/// (checked against the SHA-256 published beside them): the cluster is made and run as with installed ones, because the
/// library's own server trusts every local connection, and ends with the process that started it.
/// </summary>
public static class PostgresDownload
{
    /// <summary>The major version that is downloaded.</summary>
    public const string Version = "17";

    /// <summary>The folder beneath a data directory that downloads are kept in.</summary>
    public const string FolderName = "postgres-binaries";

    /// <summary>The folders beneath <paramref name="home"/> that earlier downloads put programs into.</summary>
    public static IReadOnlyList<string> FoldersIn(string home)
    {
        var downloads = Path.Combine(home, FolderName);
        return Directory.Exists(downloads)
            ? [.. Directory.EnumerateDirectories(downloads).Select(install => Path.Combine(install, "bin")).Where(Directory.Exists)]
            : [];
    }

    /// <summary>Downloads and unpacks; afterwards <see cref="FoldersIn"/> lists the result.</summary>
    /// <param name="home">The folder that clusters are made in.</param>
    /// <param name="client">The way to the network; null for the usual one.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="StartupException">There is no network, or nothing is published for this platform.</exception>
    public static async Task RunAsync(string home, HttpClient? client, CancellationToken cancellationToken)
    {
        var folder = Path.Combine(home, FolderName);
        try
        {
            await using var installer = new PgServer(new PgServerOptions { PgVersion = Version, BinariesDir = folder, DbDir = folder, HttpClient = client });
            await installer.InstallAsync(cancellationToken);
            LetRead(folder);
        }
        catch (Exception failure) when (failure is PostgresEmbedException or HttpRequestException or IOException or PlatformNotSupportedException)
        {
            throw new StartupException(
                $"PostgreSQL was not found on this machine and could not be downloaded ({failure.Message.ReplaceLineEndings(" ")}). " +
                $"Install PostgreSQL {PostgresBinaries.OldestMajor} or newer, or set ConnectionStrings:Ledger.",
                failure);
        }
    }

    /// <summary>The programs are nobody's secret, and the server's account needs them, whatever umask we were started with.</summary>
    private static void LetRead(string folder)
    {
        if (!OperatingSystem.IsWindows())
        {
            foreach (var each in Directory.EnumerateDirectories(folder, "*", SearchOption.AllDirectories).Prepend(folder))
            {
                File.SetUnixFileMode(
                    each,
                    File.GetUnixFileMode(each) | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute);
            }
        }
    }
}
