using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using ConsentLedger.Database;
using Npgsql;

namespace ConsentLedger.Benchmarks;

/// <summary>PostgreSQL's own benchmark: one prepared statement, again and again, from several clients.</summary>
internal static partial class Pgbench
{
    /// <summary>How often a second the script ran.</summary>
    public static async Task<double> RunAsync(Scene scene, string script, int clients, int seconds)
    {
        var file = Path.Combine(scene.DataDirectory, "pgbench.sql");
        await File.WriteAllTextAsync(file, script);
        var settings = new NpgsqlConnectionStringBuilder(scene.Installation.Server.ConnectionString);
        var start = new ProcessStartInfo("pgbench",
        [
            "-n", "-M", "prepared", "-c", $"{clients}", "-j", "2", "-T", $"{seconds}", "-f", file,
            "-h", settings.Host!, "-p", $"{settings.Port}", "-U", settings.Username!, settings.Database!,
        ])
        { RedirectStandardOutput = true };
        start.Environment["PGPASSWORD"] = settings.Password;
        start.Environment["PGOPTIONS"] = $"-c search_path={LedgerDatabase.Schema}";
        using var process = Process.Start(start)!;
        var output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        return double.Parse(PerSecond().Match(output).Groups[1].Value, CultureInfo.InvariantCulture);
    }

    [GeneratedRegex(@"tps = ([\d.]+)")]
    private static partial Regex PerSecond();
}
