using System.Globalization;
using System.Text.RegularExpressions;

namespace ConsentLedger.Database;

/// <summary>
/// The settings of a private cluster. <c>consentledger.conf</c> is rewritten at each start; <c>postgresql.conf</c>
/// includes it first and is otherwise the operator's, so what is added there wins.
/// </summary>
public static partial class PostgresSettings
{
    private const string FileName = "consentledger.conf";
    private const long Megabyte = 1 << 20;

    /// <summary>The main file of a new cluster, in place of the one that <c>initdb</c> makes.</summary>
    public const string MainFile =
        $"""
        # ConsentLedger rewrites the included file at each start. Settings of your own go below it, and win.
        include '{FileName}'

        """;

    /// <summary>
    /// Writes the settings. Nothing that could hold an address gets into PostgreSQL's log: statements, their parameters,
    /// errors (whose text quotes values) and details are all left out; the service logs the errors it is answered, by code.
    /// </summary>
    public static async Task WriteAsync(string cluster, int port, bool durable, CancellationToken cancellationToken)
    {
        // What the machine or the container has: a quarter of it for the server's own cache is what PostgreSQL's documentation
        // ("Resource Consumption") begins with. It is taken only as it is filled.
        var memory = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / Megabyte;
        var text = string.Create(
            CultureInfo.InvariantCulture,
            $"""
            # Written by ConsentLedger at each start: changes here are lost. Yours belong in postgresql.conf.
            listen_addresses = '127.0.0.1'
            port = {port}
            unix_socket_directories = ''
            password_encryption = 'scram-sha-256'
            max_connections = 200

            shared_buffers = '{Math.Clamp(memory / 4, 128, 4096)}MB'
            effective_cache_size = '{Math.Max(memory / 2, 512)}MB'
            maintenance_work_mem = '64MB'
            max_wal_size = '1GB'
            min_wal_size = '80MB'
            random_page_cost = 1.1
            jit = off

            fsync = {OnOff(durable)}
            synchronous_commit = {OnOff(durable)}
            full_page_writes = {OnOff(durable)}

            log_min_messages = log
            log_min_error_statement = panic
            log_error_verbosity = terse
            log_statement = none
            log_min_duration_statement = -1
            log_parameter_max_length = 0
            log_parameter_max_length_on_error = 0
            log_autovacuum_min_duration = -1
            log_checkpoints = off
            log_line_prefix = '%m [%p] '
            log_timezone = 'UTC'

            timezone = 'UTC'
            datestyle = 'iso, dmy'
            lc_messages = 'C'
            default_text_search_config = 'pg_catalog.simple'

            """);
        await WriteReadableAsync(Path.Combine(cluster, FileName), text, cancellationToken);
    }

    /// <summary>Writes a file that the server's account can read, whole or not at all.</summary>
    public static async Task WriteReadableAsync(string path, string text, CancellationToken cancellationToken)
    {
        var draft = path + ".new";
        await File.WriteAllTextAsync(draft, text, cancellationToken);
        if (!OperatingSystem.IsWindows())
        {
            File.SetUnixFileMode(draft, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead);
        }

        File.Move(draft, path, overwrite: true);
    }

    /// <summary>The port that the cluster was last started on; null before its first start.</summary>
    public static int? ReadPort(string cluster)
    {
        var path = Path.Combine(cluster, FileName);
        return File.Exists(path) && PortLine().Match(File.ReadAllText(path)) is { Success: true } line
            ? int.Parse(line.Groups[1].Value, CultureInfo.InvariantCulture)
            : null;
    }

    private static string OnOff(bool value) => value ? "on" : "off";

    [GeneratedRegex(@"^port = (\d+)", RegexOptions.Multiline)]
    private static partial Regex PortLine();
}
