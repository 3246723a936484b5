using System.Reflection;
using Dapper;
using DbUp;
using DbUp.Engine;
using Npgsql;

namespace ConsentLedger.Database;

/// <summary>
/// Brings a database to this version's schema: <c>sql/roles.sql</c>, then the numbered scripts in
/// <c>sql/migrations</c> by DbUp. Under an advisory lock, so that instances that start together take turns; each
/// script commits whole, so a crash leaves a database that the next start goes on with.
/// </summary>
public sealed class Migrator(LedgerDatabase database)
{
    private const long AdvisoryLock = 0x434C_4D49_4752;
    private const string Journal = "schema_version";

    /// <summary>Applies what is missing, and returns the names of the scripts that were applied.</summary>
    /// <exception cref="MigrationException">A script failed; what came before it is in place.</exception>
    public async Task<IReadOnlyList<string>> ApplyAsync(CancellationToken cancellation)
    {
        await using var login = database.OpenAsLogin();
        await login.OpenAsync(cancellation);

        // However long another instance takes over a large table, this one waits.
        await login.ExecuteAsync("select pg_advisory_lock(@AdvisoryLock)", new { AdvisoryLock }, commandTimeout: 0);

        // The common start finds nothing to do, and needs no more than the service's own rights to find that out.
        if (await IsCurrentAsync(login, cancellation))
        {
            return [];
        }

        await login.ExecuteAsync(EmbeddedSql.Read("roles.sql"));
        var upgrader = DeployChanges.To
            .PostgresqlDatabase(database.Unpooled("consentledger_owner"))
            .WithScripts(Scripts())
            .JournalToPostgresqlTable(LedgerDatabase.Schema, Journal)
            .WithTransactionPerScript()
            .WithExecutionTimeout(TimeSpan.Zero)
            .LogToNowhere()
            .Build();
        var result = upgrader.PerformUpgrade();
        if (!result.Successful)
        {
            throw new MigrationException($"Migration {result.ErrorScript?.Name} failed: {result.Error.Message}", result.Error);
        }

        await using var owner = database.OpenAsOwner();
        await owner.OpenAsync(cancellation);
        await owner.ExecuteAsync($"grant select on {Journal} to consentledger_service");
        return [.. result.Scripts.Select(script => script.Name)];
    }

    /// <summary>True if every script of this version has been applied.</summary>
    public static async Task<bool> IsCurrentAsync(NpgsqlConnection connection, CancellationToken cancellation)
    {
        var isThere = new CommandDefinition(
            "select to_regclass(@Name) is not null", new { Name = $"{LedgerDatabase.Schema}.{Journal}" }, cancellationToken: cancellation);
        if (!await connection.ExecuteScalarAsync<bool>(isThere))
        {
            return false;
        }

        var applied = await connection.QueryAsync<string>(new CommandDefinition(
            $"select scriptname from {LedgerDatabase.Schema}.{Journal}", cancellationToken: cancellation));
        return !Scripts().Select(script => script.Name).Except(applied, StringComparer.Ordinal).Any();
    }

    private static IEnumerable<SqlScript> Scripts() =>
        Assembly.GetExecutingAssembly().GetManifestResourceNames()
            .Where(name => name.StartsWith("migrations/", StringComparison.Ordinal))
            .Order(StringComparer.Ordinal)
            .Select(name => new SqlScript(name["migrations/".Length..], EmbeddedSql.Read(name)));
}

/// <summary>A migration could not be applied.</summary>
public sealed class MigrationException(string message, Exception inner) : Exception(message, inner);
