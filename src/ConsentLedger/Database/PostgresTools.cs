using System.Diagnostics;
using System.Text;
using Npgsql;

namespace ConsentLedger.Database;

/// <summary>
/// PostgreSQL's own programs for back-ups, run against one database. The password goes through the environment, which
/// other accounts can't read, and never through the arguments, which they can.
/// </summary>
public sealed class PostgresTools
{
    private readonly string folder;
    private readonly NpgsqlConnectionStringBuilder target;

    private PostgresTools(string folder, NpgsqlConnectionStringBuilder target)
    {
        this.folder = folder;
        this.target = target;
    }

    /// <summary>Finds programs that are as new as the server: older ones refuse it.</summary>
    /// <exception cref="StartupException">There are none; the message says which are needed.</exception>
    public static async Task<PostgresTools> FindAsync(string connectionString, CancellationToken cancellation)
    {
        await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(connectionString) { Pooling = false }.ConnectionString);
        await connection.OpenAsync(cancellation);
        var server = connection.PostgreSqlVersion.Major;
        var found = new List<(int Major, string Folder)>();
        foreach (var folder in PostgresBinaries.FoldersOnThisMachine().Where(HasAll))
        {
            if (await MajorOfAsync(folder, cancellation) is var major && major >= server)
            {
                found.Add((major, folder));
            }
        }

        // The server's own, or the nearest: the newer they are, the more they may say that it does not know.
        return found.Count > 0 ? new PostgresTools(found.MinBy(tools => tools.Major).Folder, new NpgsqlConnectionStringBuilder(connectionString)) : throw new StartupException(
            $"pg_dump, pg_restore and psql of PostgreSQL {server} or newer are not on this machine. Install PostgreSQL's client programs.");
    }

    /// <summary>Writes the ledger's schema, data and all, as it is at one moment.</summary>
    /// <exception cref="StartupException">It could not be written, or not to its end; the message says why.</exception>
    public async Task DumpAsync(Stream output, CancellationToken cancellation)
    {
        using var process = Start("pg_dump", ["--format=custom", "--no-password", $"--schema={LedgerDatabase.Schema}"], connect: true);
        process.StandardInput.Close();
        try
        {
            await process.StandardOutput.BaseStream.CopyToAsync(output, cancellation);
        }
        catch
        {
            process.Kill();
            throw;
        }

        await EndAsync(process, "pg_dump", cancellation);
    }

    /// <summary>
    /// Puts what a file has in the place of the ledger's schema, in one transaction: a crash, or a file that is damaged,
    /// leaves the database as it was.
    /// </summary>
    /// <remarks>
    /// psql is told to commit, and only once everything was read from the file and written to it. Were it left to psql, which
    /// commits at the end of its input, half a ledger would be kept when this process is killed: its end is one.
    /// </remarks>
    /// <exception cref="StartupException">It could not be restored; the message says why.</exception>
    public async Task RestoreAsync(string file, CancellationToken cancellation)
    {
        using var reader = Start("pg_restore", ["--file=-", file], connect: false);
        reader.StandardInput.Close();
        using var writer = Start("psql", ["--no-password", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-"], connect: true);
        var answers = writer.StandardOutput.ReadToEndAsync(cancellation);
        var (from, to) = (reader.StandardOutput.BaseStream, writer.StandardInput.BaseStream);
        try
        {
            await to.WriteAsync(Encoding.ASCII.GetBytes($"begin;\ndrop schema if exists {LedgerDatabase.Schema} cascade;\n"), cancellation);
            await to.WriteAsync(await ReadBeginningAsync(from, cancellation), cancellation);
            await from.CopyToAsync(to, cancellation);
            await EndAsync(reader, "pg_restore", cancellation);
            await to.WriteAsync("\ncommit;\n"u8.ToArray(), cancellation);
            writer.StandardInput.Close();
        }
        catch (IOException)
        {
            // psql has stopped, and says why below; nobody reads what pg_restore still has to say.
            reader.Kill();
        }
        catch
        {
            reader.Kill();
            writer.Kill();
            throw;
        }

        await EndAsync(writer, "psql", cancellation);
        await answers;
    }

    /// <summary>
    /// The first lines, without a setting that programs newer than the server write there and the server does not know; older
    /// programs do not write it.
    /// </summary>
    private static async Task<ReadOnlyMemory<byte>> ReadBeginningAsync(Stream script, CancellationToken cancellation)
    {
        var beginning = new byte[4096];
        var length = await script.ReadAtLeastAsync(beginning, beginning.Length, throwOnEndOfStream: false, cancellation);
        return Encoding.Latin1.GetBytes(Encoding.Latin1.GetString(beginning, 0, length).Replace("SET transaction_timeout = 0;\n", string.Empty, StringComparison.Ordinal));
    }

    /// <summary>The check value of the master key that a file was made under; null if the file has none.</summary>
    /// <exception cref="StartupException">The file is no back-up.</exception>
    public async Task<byte[]?> ReadCheckValueAsync(string file, CancellationToken cancellation)
    {
        using var process = Start("pg_restore", ["--data-only", $"--schema={LedgerDatabase.Schema}", "--table=installation", "--file=-", file], connect: false);
        process.StandardInput.Close();
        byte[]? check = null;
        while (await process.StandardOutput.ReadLineAsync(cancellation) is { } line)
        {
            if (line.Split('\t') is ["t", ['\\', '\\', 'x', .. var hex], _])
            {
                check = Convert.FromHexString(hex);
            }
        }

        await EndAsync(process, "pg_restore", cancellation);
        return check;
    }

    private Process Start(string program, string[] arguments, bool connect)
    {
        var start = new ProcessStartInfo(PathOf(folder, program), arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        if (connect)
        {
            start.Environment["PGHOST"] = target.Host;
            start.Environment["PGPORT"] = target.Port.ToString(System.Globalization.CultureInfo.InvariantCulture);
            start.Environment["PGDATABASE"] = target.Database;
            start.Environment["PGUSER"] = target.Username;
            start.Environment["PGPASSWORD"] = target.Password;
            start.Environment["PGSSLMODE"] = target.SslMode switch
            {
                SslMode.Disable => "disable",
                SslMode.Require => "require",
                SslMode.VerifyCA => "verify-ca",
                SslMode.VerifyFull => "verify-full",
                _ => "prefer",
            };
        }

        return Process.Start(start) ?? throw new StartupException($"{program} could not be started.");
    }

    private static async Task<int> ExitCodeAsync(Process process, CancellationToken cancellation)
    {
        await process.WaitForExitAsync(cancellation);
        return process.ExitCode;
    }

    private static async Task EndAsync(Process process, string program, CancellationToken cancellation)
    {
        var errors = await process.StandardError.ReadToEndAsync(cancellation);
        if (await ExitCodeAsync(process, cancellation) != 0)
        {
            // One line, and none of the data that a failed statement would be shown with.
            var reason = errors.Split('\n').FirstOrDefault(line => line.Contains("error", StringComparison.OrdinalIgnoreCase)) ?? "it ended without saying why";
            throw new StartupException($"{program} failed, and nothing was changed: {reason.Trim()}");
        }
    }

    private static bool HasAll(string folder) =>
        ((string[])["pg_dump", "pg_restore", "psql"]).All(program => File.Exists(PathOf(folder, program)));

    private static string PathOf(string folder, string program) => Path.Combine(folder, OperatingSystem.IsWindows() ? program + ".exe" : program);

    private static async Task<int> MajorOfAsync(string folder, CancellationToken cancellation)
    {
        using var process = Process.Start(new ProcessStartInfo(PathOf(folder, "pg_dump"), ["--version"]) { RedirectStandardOutput = true })!;
        var answer = await process.StandardOutput.ReadToEndAsync(cancellation);
        await process.WaitForExitAsync(cancellation);
        var number = answer.Split(' ').Select(word => word.Split('.')[0].TrimEnd()).FirstOrDefault(word => word.Length > 0 && word.All(char.IsAsciiDigit));
        return number is null ? 0 : int.Parse(number, System.Globalization.CultureInfo.InvariantCulture);
    }
}
