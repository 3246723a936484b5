using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace ConsentLedger.Database;

/// <summary>
/// One private cluster: made, started, joined and stopped with the programs of the major version that made it.
/// Every method is called under the <see cref="DataDirectoryLock"/>.
/// </summary>
/// <param name="folder">The cluster's real folder, PostgreSQL's <c>PGDATA</c>.</param>
/// <param name="passwordFile">The file, ours alone, that holds the superuser's password.</param>
/// <param name="binaries">The programs.</param>
/// <param name="account">Who runs them.</param>
/// <param name="durable">Whether commits are flushed to the disk.</param>
public sealed class PostgresCluster(string folder, string passwordFile, PostgresBinaries binaries, ServerAccount account, bool durable)
{
    /// <summary>The superuser of a private cluster.</summary>
    public const string Superuser = "postgres";

    private const string LongestStart = "600"; // Seconds: recovery after a crash replays up to max_wal_size.
    private const long LargestLog = 10_000_000;
    private static readonly TimeSpan LongestStop = TimeSpan.FromMinutes(1);

    private string Log => Path.Combine(Folder, "postgres.log");

    /// <summary>The cluster's real folder.</summary>
    public string Folder { get; } = folder;

    /// <summary>The programs that run it.</summary>
    public PostgresBinaries Binaries { get; } = binaries;

    /// <summary>Whether its postmaster is running.</summary>
    public bool IsRunning => Postmaster.Find(Folder) is not null;

    /// <summary>The superuser's password.</summary>
    /// <exception cref="StartupException">The file is gone.</exception>
    public string ReadPassword() => File.Exists(passwordFile)
        ? File.ReadAllText(passwordFile).Trim()
        : throw new StartupException($"The password of the database in {Folder} is missing: restore {passwordFile} from a backup.");

    /// <summary>
    /// Makes the cluster. It gets its name only when it is complete, so a crash on the way leaves nothing that looks like one.
    /// </summary>
    public async Task CreateAsync(CancellationToken cancellationToken)
    {
        var draft = Folder + ".new";
        if (Directory.Exists(draft))
        {
            Directory.Delete(draft, recursive: true);
        }

        Directory.CreateDirectory(draft);
        var password = RandomNumberGenerator.GetHexString(48, lowercase: true);
        await WritePrivateAsync(passwordFile, password);
        var handedOver = draft + ".password";
        try
        {
            await WritePrivateAsync(handedOver, password);
            await account.HandOverAsync(handedOver, cancellationToken);
            await account.HandOverAsync(draft, cancellationToken);

            // Sorting by bytes, everywhere the same: no upgrade of the system's locales can invalidate an index.
            string[] locale = OperatingSystem.IsLinux() ? ["--locale=C", "--lc-ctype=C.UTF-8"] : ["--no-locale"];
            string[] sync = durable ? [] : ["--no-sync"];
            var result = await account.RunAsAsync(
                [
                    Binaries.Program("initdb"), "-D", draft, "-U", Superuser, "--pwfile", handedOver, "--auth=scram-sha-256",
                    "--encoding=UTF8", .. locale, "--data-checksums", "--no-instructions", .. sync,
                ],
                CancellationToken.None);

            // Left to itself it would go on writing where the next start begins anew.
            cancellationToken.ThrowIfCancellationRequested();
            if (result.ExitCode != 0)
            {
                throw new StartupException($"PostgreSQL {Binaries.Major} could not make a database in {Folder}: {result.Output}");
            }
        }
        finally
        {
            File.Delete(handedOver);
        }

        await PostgresSettings.WriteReadableAsync(Path.Combine(draft, "postgresql.conf"), PostgresSettings.MainFile, cancellationToken);
        Directory.Move(draft, Folder);
    }

    /// <summary>Joins the cluster when it is running, and else starts it: on the port it had, or another when that one is taken.</summary>
    /// <param name="onlyPort">The one port that will do, after a crash; null when any will.</param>
    /// <param name="clock">The clock that waiting is measured by.</param>
    /// <param name="cancellationToken">Stops waiting.</param>
    /// <returns>The port that the cluster listens on.</returns>
    /// <exception cref="StartupException">PostgreSQL does not start; the message has its reason.</exception>
    public async Task<int> JoinOrStartAsync(int? onlyPort, TimeProvider clock, CancellationToken cancellationToken)
    {
        for (var began = clock.GetTimestamp(); Postmaster.Find(Folder) is { } running;)
        {
            if (running.Status is "ready" or "standby")
            {
                return running.Port;
            }

            if (clock.GetElapsedTime(began) > TimeSpan.FromMinutes(10))
            {
                throw new StartupException($"The database in {Folder} has been {running.Status} for ten minutes; see {Log}.");
            }

            await Task.Delay(TimeSpan.FromMilliseconds(20), clock, cancellationToken);
        }

        var port = onlyPort ?? PostgresSettings.ReadPort(Folder);
        for (var attempt = 1; ; attempt++)
        {
            // A file that has outlived its postmaster: PostgreSQL would trust it if any process has its process id now.
            File.Delete(Path.Combine(Folder, Postmaster.FileName));
            var chosen = port is { } wanted && (onlyPort is not null || IsFree(wanted)) ? wanted : FreePort();
            if (await StartAsync(chosen, clock, cancellationToken) is not { } reason)
            {
                return chosen;
            }

            var portWasTaken = onlyPort is null && reason.Contains("TCP/IP sockets", StringComparison.Ordinal);
            var lastOnesLinger = reason.Contains("pre-existing shared memory", StringComparison.Ordinal); // They end with their postmaster.
            if (attempt == 20 || !(portWasTaken || lastOnesLinger))
            {
                throw new StartupException($"PostgreSQL {Binaries.Major} does not start in {Folder}: {reason} (see {Log}).");
            }

            await Task.Delay(TimeSpan.FromMilliseconds(200), clock, cancellationToken);
        }
    }

    /// <summary>Stops the cluster if it is running: connections are closed, transactions rolled back, everything is on the disk.</summary>
    public async Task StopAsync()
    {
        // pg_ctl sends SIGINT for "fast" and waits; SIGQUIT for "immediate", after which the next start recovers from the log.
        var wait = LongestStop.TotalSeconds.ToString(CultureInfo.InvariantCulture);
        foreach (var mode in new[] { "fast", "immediate" })
        {
            if (IsRunning)
            {
                await account.RunAsAsync([Binaries.Program("pg_ctl"), "stop", "-s", "-w", "-t", wait, "-m", mode, "-D", Folder], CancellationToken.None);
            }
        }
    }

    private static async Task WritePrivateAsync(string path, string text)
    {
        File.Delete(path);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        await using var writer = new StreamWriter(path, options);
        await writer.WriteAsync(text);
    }

    private static bool IsFree(int port)
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        if (!OperatingSystem.IsWindows())
        {
            // As PostgreSQL does: connections of its last run that are still closing do not take the port.
            socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.ReuseAddress, true);
        }

        try
        {
            socket.Bind(new IPEndPoint(IPAddress.Loopback, port));
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }

    /// <summary>Starts the postmaster in a session of its own, out of reach of a terminal's Ctrl-C; null, or why it failed.</summary>
    private async Task<string?> StartAsync(int port, TimeProvider clock, CancellationToken cancellationToken)
    {
        await PostgresSettings.WriteAsync(Folder, port, durable, cancellationToken);
        var log = new FileInfo(Log);
        if (log is { Exists: true, Length: > LargestLog })
        {
            log.MoveTo(Log + ".1", overwrite: true);
            log = new FileInfo(Log);
        }

        var logged = log.Exists ? log.Length : 0;
        var starting = account.RunAsAsync(
            [Binaries.Program("pg_ctl"), "start", "-s", "-w", "-t", LongestStart, "-D", Folder, "-l", Log],
            CancellationToken.None);
        try
        {
            await starting.WaitAsync(cancellationToken);
        }
        catch (OperationCanceledException)
        {
            // The program goes on. Whoever gives up now stops the cluster, and for that its postmaster has to be there.
            while (!starting.IsCompleted && !IsRunning)
            {
                await Task.Delay(TimeSpan.FromMilliseconds(20), clock, CancellationToken.None);
            }

            throw;
        }

        var result = await starting;
        return result.ExitCode == 0 ? null : await ReasonAsync(logged, cancellationToken) ?? result.Output;
    }

    private async Task<string?> ReasonAsync(long from, CancellationToken cancellationToken)
    {
        if (!File.Exists(Log))
        {
            return null;
        }

        await using var log = new FileStream(Log, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        log.Position = from;
        using var reader = new StreamReader(log);
        var lines = (await reader.ReadToEndAsync(cancellationToken)).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        string[] grave = ["FATAL:", "PANIC:"];
        return lines.LastOrDefault(line => grave.Any(word => line.Contains(word, StringComparison.Ordinal))) ?? lines.LastOrDefault();
    }
}
