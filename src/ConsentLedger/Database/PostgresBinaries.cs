using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;

namespace ConsentLedger.Database;

/// <summary>One installation of PostgreSQL's programs on this machine.</summary>
/// <param name="Folder">The folder that holds <c>postgres</c>, <c>initdb</c> and <c>pg_ctl</c>.</param>
/// <param name="Major">The major version, such as 15: the on-disk format of a cluster belongs to it.</param>
/// <param name="Minor">The minor version, such as 14.</param>
public sealed partial record PostgresBinaries(string Folder, int Major, int Minor)
{
    /// <summary>The oldest major version that the schema works on.</summary>
    public const int OldestMajor = 15;

    private static readonly string[] Programs = ["postgres", "initdb", "pg_ctl"];

    /// <summary>The full path of one of the programs.</summary>
    public string Program(string name) => Path.Combine(Folder, Executable(name));

    /// <summary>
    /// The folders that PostgreSQL's programs may be in: those of <paramref name="path"/>, then where Debian, RHEL, SUSE,
    /// Alpine, Homebrew, Postgres.app and the Windows installer put them beneath <paramref name="root"/>.
    /// </summary>
    /// <param name="path">The value of the environment variable <c>PATH</c>.</param>
    /// <param name="root">The root of the file system; on Windows the folder Program Files.</param>
    public static IReadOnlyList<string> FoldersOn(string? path, string root)
    {
        (string Parent, string Pattern, string Bin)[] places =
        [
            ("usr/lib/postgresql", "*", "bin"),
            ("usr", "pgsql-*", "bin"),
            ("usr/lib", "postgresql*", "bin"),
            ("usr/libexec", "postgresql*", ""),
            ("opt/homebrew/opt", "postgresql*", "bin"),
            ("usr/local/opt", "postgresql*", "bin"),
            ("home/linuxbrew/.linuxbrew/opt", "postgresql*", "bin"),
            ("Applications/Postgres.app/Contents/Versions", "*", "bin"),
            ("PostgreSQL", "*", "bin"),
        ];
        var onPath = (path ?? "").Split(Path.PathSeparator, StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        var installed = places
            .Select(place => (Parent: Path.Combine(root, place.Parent), place.Pattern, place.Bin))
            .Where(place => Directory.Exists(place.Parent))
            .SelectMany(place => Directory.EnumerateDirectories(place.Parent, place.Pattern).Select(folder => Path.Combine(folder, place.Bin)));
        return [.. onPath.Concat(installed).Distinct()];
    }

    /// <summary>As <see cref="FoldersOn"/>, of the machine that this runs on.</summary>
    public static IReadOnlyList<string> FoldersOnThisMachine() => FoldersOn(
        Environment.GetEnvironmentVariable("PATH"),
        OperatingSystem.IsWindows() ? Environment.GetFolderPath(Environment.SpecialFolder.ProgramFiles) : "/");

    /// <summary>The installations in these folders, newest first. Folders without all three programs are passed over.</summary>
    public static async Task<IReadOnlyList<PostgresBinaries>> FindAsync(IEnumerable<string> folders, CancellationToken cancellationToken)
    {
        var found = new List<PostgresBinaries>();
        foreach (var folder in folders.Where(folder => Programs.All(program => File.Exists(Path.Combine(folder, Executable(program))))))
        {
            if (await VersionOfAsync(folder, cancellationToken) is var (major, minor))
            {
                found.Add(new PostgresBinaries(folder, major, minor));
            }
        }

        return [.. found.OrderByDescending(binaries => binaries.Major).ThenByDescending(binaries => binaries.Minor)];
    }

    /// <summary>
    /// The installation to use: for a cluster that exists, the newest of the major version that made it and no other;
    /// for a new one, the newest of all. Null when there is none, which for a new cluster means: download.
    /// </summary>
    /// <param name="installed">What is on the machine.</param>
    /// <param name="clusterMajor">The major version that made the cluster; null when there is no cluster yet.</param>
    public static PostgresBinaries? Choose(IEnumerable<PostgresBinaries> installed, int? clusterMajor) => installed
        .Where(binaries => clusterMajor is null ? binaries.Major >= OldestMajor : binaries.Major == clusterMajor)
        .OrderByDescending(binaries => binaries.Major)
        .ThenByDescending(binaries => binaries.Minor)
        .FirstOrDefault();

    private static string Executable(string program) => OperatingSystem.IsWindows() ? program + ".exe" : program;

    private static async Task<(int Major, int Minor)?> VersionOfAsync(string folder, CancellationToken cancellationToken)
    {
        try
        {
            var start = new ProcessStartInfo(Path.Combine(folder, Executable("postgres")), ["--version"])
            {
                RedirectStandardOutput = true,
                RedirectStandardError = true,
            };
            using var process = Process.Start(start)!;
            var answer = await process.StandardOutput.ReadToEndAsync(cancellationToken);
            await process.WaitForExitAsync(cancellationToken);
            var match = VersionPattern().Match(answer);
            return match.Success
                ? (int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture),
                    match.Groups[2].Success ? int.Parse(match.Groups[2].Value, CultureInfo.InvariantCulture) : 0)
                : null;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return null; // Not a program for this machine, or not ours to run.
        }
    }

    /// <summary>Pre-releases ("18beta1", "19devel") do not match: no ledger is kept on one.</summary>
    [GeneratedRegex(@"\(PostgreSQL\) (\d+)(?:\.(\d+))?(?![a-z0-9.])")]
    private static partial Regex VersionPattern();
}
