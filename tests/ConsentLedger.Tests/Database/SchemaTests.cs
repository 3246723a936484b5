using System.Globalization;
using System.Text.RegularExpressions;
using ConsentLedger.Database;
using ConsentLedger.Tests.Hosting;
using Npgsql;

namespace ConsentLedger.Tests.Database;

public sealed partial class SchemaTests(TestDatabase databases)
{
    [Fact]
    public async Task The_schema_on_file_is_what_the_migrations_make()
    {
        await using var ledger = new LedgerDatabase(await databases.CreateLedgerAsync());
        await using var connection = ledger.OpenAsOwner();
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        var live = await SchemaDescription.ReadAsync(connection, TestContext.Current.CancellationToken);
        var path = Repository.PathOf("sql", "schema.sql");
        if (Environment.GetEnvironmentVariable("UPDATE_SCHEMA") == "1")
        {
            await File.WriteAllTextAsync(path, live, TestContext.Current.CancellationToken);
        }

        var onFile = File.Exists(path) ? await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken) : "";
        var difference = live.Split('\n').Except(onFile.Split('\n')).Select(line => "+ " + line)
            .Concat(onFile.Split('\n').Except(live.Split('\n')).Select(line => "- " + line));
        (onFile == live).ShouldBeTrue(
            "sql/schema.sql is stale: a migration changed the schema. Write it anew, look at the difference and commit it:\n"
            + "    UPDATE_SCHEMA=1 dotnet test --filter-class \"*SchemaTests\"\n" + string.Join('\n', difference));
    }

    [Fact]
    public async Task Every_constraint_and_index_was_given_its_name()
    {
        // A name PostgreSQL makes up ends like this; what the service translates to an answer is found by its name.
        await using var service = await TestService.StartAsync(databases);
        var unnamed = await service.SqlAsync("""
            select string_agg(conrelid::regclass || '.' || conname, ', ')
            from pg_constraint
            where connamespace = 'consentledger'::regnamespace and contype <> 'n' and conname ~ '_(pkey|key|check|fkey|excl)\d*$'
            """);
        unnamed.ShouldBe(DBNull.Value);
        var indexes = await service.SqlAsync("""
            select string_agg(indexrelid::regclass::text, ', ')
            from pg_index join pg_class on pg_class.oid = indrelid
            where relnamespace = 'consentledger'::regnamespace and indexrelid::regclass::text ~ '_idx\d*$'
            """);
        indexes.ShouldBe(DBNull.Value);
    }

    [Fact]
    public async Task Tables_about_a_subscriber_are_keyed_by_it_first_and_refer_to_nothing()
    {
        // What lets the same schema distribute by that column.
        await using var service = await TestService.StartAsync(databases);
        var misplaced = await service.SqlAsync("""
            select string_agg(format('%s: %s', conrelid::regclass, pg_get_constraintdef(pg_constraint.oid)), ', ')
            from pg_constraint join pg_attribute on attrelid = conrelid and attname = 'subscriber_id'
            where connamespace = 'consentledger'::regnamespace and (contype in ('p', 'u', 'x') and conkey[1] <> attnum or contype = 'f')
            """);
        misplaced.ShouldBe(DBNull.Value);
        (await service.SqlAsync("select count(*) from pg_trigger join pg_class on pg_class.oid = tgrelid where relnamespace = 'consentledger'::regnamespace and not tgisinternal")).ShouldBe(0L);
    }

    [Fact]
    public void Migrations_are_numbered_without_a_gap_and_open_with_why()
    {
        var files = Directory.GetFiles(Repository.PathOf("sql", "migrations")).Order(StringComparer.Ordinal).ToList();
        files.ShouldNotBeEmpty();
        foreach (var (n, file) in files.Index())
        {
            var name = Path.GetFileName(file);
            MigrationName().IsMatch(name).ShouldBeTrue($"{name} is not named like 0001_ledger.sql");
            int.Parse(name[..4], CultureInfo.InvariantCulture).ShouldBe(n + 1, $"{name} leaves a gap or shares its number");
            File.ReadAllText(file).ShouldStartWith("-- Why: ", customMessage: name);
        }
    }

    [Fact]
    public async Task Instances_that_migrate_an_empty_database_at_once_take_turns()
    {
        var empty = await databases.CreateDatabaseAsync(null);
        var applied = await Task.WhenAll(Enumerable.Range(0, 4).Select(async _ =>
        {
            await using var ledger = new LedgerDatabase(empty);
            return await new Migrator(ledger).ApplyAsync(TestContext.Current.CancellationToken);
        }));

        var scripts = Directory.GetFiles(Repository.PathOf("sql", "migrations")).Select(Path.GetFileName).Order(StringComparer.Ordinal);
        applied.SelectMany(names => names).ShouldBe(scripts);
        applied.Count(names => names.Count > 0).ShouldBe(1);
    }

    [Fact]
    public async Task An_instance_waits_for_the_one_that_migrates_however_long_it_takes()
    {
        var ledgerString = await databases.CreateLedgerAsync();
        await using var busy = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(ledgerString) { Pooling = false }.ConnectionString);
        await busy.OpenAsync(TestContext.Current.CancellationToken);
        await using var take = new NpgsqlCommand("select pg_advisory_lock(73994993223506)", busy);
        await using var impatient = new LedgerDatabase(new NpgsqlConnectionStringBuilder(ledgerString) { CommandTimeout = 1 }.ConnectionString);
        await take.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);

        var waiting = new Migrator(impatient).ApplyAsync(TestContext.Current.CancellationToken);
        (await Task.WhenAny(waiting, Task.Delay(TimeSpan.FromSeconds(2.5), TestContext.Current.CancellationToken))).ShouldNotBe(waiting);
        await busy.CloseAsync();

        (await waiting).ShouldBeEmpty();
    }

    [Fact]
    public void No_statement_is_put_together_from_values()
    {
        // Constants and static members begin with a capital here, parameters and locals don't; a call has brackets.
        var holes =
            from file in Repository.SourceFiles()
            from Match text in InterpolatedText().Matches(File.ReadAllText(file))
            where Statement().IsMatch(text.Value)
            from Match hole in Hole().Matches(text.Value)
            where !Constant().IsMatch(hole.Groups[1].Value)
            select $"{Path.GetRelativePath(Repository.Root, file)}: {hole.Value}";
        holes.ShouldBeEmpty();

        var found = Repository.SourceFiles().SelectMany(file => InterpolatedText().Matches(File.ReadAllText(file))).Count(text => Statement().IsMatch(text.Value));
        found.ShouldBeGreaterThan(5, "The search finds no statements any more.");
    }

    [GeneratedRegex(@"^\d{4}_[a-z0-9_]+\.sql$")]
    private static partial Regex MigrationName();

    [GeneratedRegex(""""\$+"""[\s\S]*?"""|\$@?"(?:[^"\\\r\n]|\\.)*"""")]
    private static partial Regex InterpolatedText();

    [GeneratedRegex(@"\b(select|insert into|update|delete from|create (table|database|role)|grant|alter|drop|copy) ")]
    private static partial Regex Statement();

    [GeneratedRegex(@"\{([^{}]+)\}")]
    private static partial Regex Hole();

    [GeneratedRegex(@"^[A-Z]\w*(\.[A-Z]\w*)*$")]
    private static partial Regex Constant();
}
