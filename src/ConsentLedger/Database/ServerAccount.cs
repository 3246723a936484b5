using System.Diagnostics;
using System.Globalization;

namespace ConsentLedger.Database;

/// <summary>
/// The operating system's account that PostgreSQL's programs run as: ours, except that PostgreSQL refuses root; then the
/// account <c>postgres</c>, or else <c>nobody</c>.
/// </summary>
public sealed class ServerAccount
{
    private static readonly string[] Names = ["postgres", "nobody"];
    private static readonly string[] ProgramFolders = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin"];
    private readonly string[] become;
    private readonly string? owner;

    private ServerAccount(string[] become, string? owner)
    {
        this.become = become;
        this.owner = owner;
    }

    /// <summary>Whether it is another account than ours, so that files have to be handed over to it.</summary>
    public bool IsOther => owner is not null;

    /// <summary>Finds the account, and a way to become it that works here.</summary>
    /// <exception cref="StartupException">We are root and cannot become anyone else.</exception>
    public static async Task<ServerAccount> FindAsync(CancellationToken cancellationToken)
    {
        if (OperatingSystem.IsWindows() || !Environment.IsPrivilegedProcess)
        {
            return new ServerAccount([], null); // On Windows pg_ctl itself sheds an administrator's rights.
        }

        var accounts = (await File.ReadAllLinesAsync("/etc/passwd", cancellationToken)).Select(line => line.Split(':')).ToList();
        foreach (var account in Names
            .Select(name => accounts.Find(fields => fields.Length > 3 && fields[0] == name))
            .OfType<string[]>())
        {
            var (name, uid, gid) = (account[0], account[2], account[3]);
            string[][] ways =
            [
                ["setpriv", $"--reuid={uid}", $"--regid={gid}", "--clear-groups", "--"],
                ["runuser", "-u", name, "--"],
                ["su", "-s", "/bin/sh", "-c", "exec \"$0\" \"$@\"", "--", name],
            ];
            foreach (var way in ways)
            {
                // Tried, not assumed: Alpine's setpriv has no --reuid, and a container may lack the capability.
                if (FindProgram(way[0]) is { } program
                    && await RunAsync([program, .. way[1..], "/bin/sh", "-c", "test \"$(id -u)\" = " + uid], cancellationToken) is { ExitCode: 0 })
                {
                    return new ServerAccount([program, .. way[1..]], $"{uid}:{gid}");
                }
            }
        }

        throw new StartupException(
            "PostgreSQL does not run as root, and this process could not become the account postgres or nobody. " +
            "Start ConsentLedger as an ordinary user, or set ConnectionStrings:Ledger.");
    }

    /// <summary>Runs a program as the account, to its end.</summary>
    /// <param name="command">The program's full path, then its arguments.</param>
    /// <param name="cancellationToken">Stops waiting; the program goes on.</param>
    public Task<ProgramResult> RunAsAsync(IEnumerable<string> command, CancellationToken cancellationToken) =>
        RunAsync([.. become, .. command], cancellationToken);

    /// <summary>Whether the account may pass through a folder.</summary>
    public async Task<bool> CanEnterAsync(string folder, CancellationToken cancellationToken) =>
        !IsOther || await RunAsAsync(["/bin/sh", "-c", "cd -- \"$1\"", "sh", folder], cancellationToken) is { ExitCode: 0 };

    /// <summary>Makes the account the owner of a file or folder.</summary>
    public async Task HandOverAsync(string path, CancellationToken cancellationToken)
    {
        if (owner is not null && await RunAsync([FindProgram("chown") ?? "chown", owner, path], cancellationToken) is { ExitCode: not 0 } refused)
        {
            throw new StartupException($"{path} could not be handed over to the account that PostgreSQL runs as: {refused.Output}");
        }
    }

    private static string? FindProgram(string name) => ProgramFolders
        .Select(folder => Path.Combine(folder, name))
        .FirstOrDefault(File.Exists);

    private static async Task<ProgramResult> RunAsync(IReadOnlyList<string> command, CancellationToken cancellationToken)
    {
        // On Windows a server started by pg_ctl inherits our pipes, and reading to their end would wait for the server's end.
        var captures = !OperatingSystem.IsWindows();
        var start = new ProcessStartInfo(command[0], command.Skip(1))
        {
            // The account may be unable to read the folder that we happen to stand in.
            WorkingDirectory = Path.GetPathRoot(Environment.CurrentDirectory) ?? "/",
            RedirectStandardOutput = captures,
            RedirectStandardError = captures,
            CreateNoWindow = true,
        };
        start.Environment["LC_ALL"] = "C";
        using var process = Process.Start(start)
            ?? throw new StartupException($"{command[0]} could not be started.");
        if (!captures)
        {
            await process.WaitForExitAsync(cancellationToken);
            return new ProgramResult(process.ExitCode, string.Create(CultureInfo.InvariantCulture, $"exit code {process.ExitCode}"));
        }

        var output = process.StandardOutput.ReadToEndAsync(cancellationToken);
        var errors = process.StandardError.ReadToEndAsync(cancellationToken);
        await process.WaitForExitAsync(cancellationToken);
        return new ProgramResult(process.ExitCode, $"{await errors} {await output}".ReplaceLineEndings(" ").Trim());
    }
}
