using System.Diagnostics;
using System.Net;
using System.Net.Http.Json;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using Npgsql;

namespace ConsentLedger.Tests.PersonalData;

/// <summary>By doing it: the program backs up, goes on, and is restored.</summary>
public sealed class RestoreTests(TestDatabase databases) : IDisposable
{
    private readonly TemporaryDataDirectory data = new();

    [Fact]
    public async Task After_a_restore_an_erasure_and_a_withdrawal_made_since_the_backup_still_hold()
    {
        var (made, key, errors) = await ServiceProcess.RunAsync(data.Path, "keys", "create", "--name", "test", "--scope", "all");
        made.ShouldBe(0, errors);
        var file = Path.Combine(data.Path, "ledger.backup");
        using (var service = await ServiceProcess.Start(data.Path).AnswersAsync(key.Trim()))
        {
            await SendAsync(service, HttpMethod.Put, "/v1/purposes/newsletter", new { name = "Newsletter", channel = "email", basis = "consent" });
            foreach (var address in new[] { "ada@example.org", "ben@example.org", "cy@example.org" })
            {
                await SendAsync(service, HttpMethod.Post, "/v1/events", Event(address, "given"));
            }

            var (backedUp, said, why) = await ServiceProcess.RunAsync(data.Path, "backup", file);
            backedUp.ShouldBe(0, why);
            said.ShouldContain("master key is not in it");
            await SendAsync(service, HttpMethod.Post, "/v1/subscribers/erase", new { address = "ada@example.org", reason = "Asked" });
            await SendAsync(service, HttpMethod.Post, "/v1/events", Event("ben@example.org", "withdrawn"));
            (await ServiceProcess.RunAsync(data.Path, "restore", file)).Errors.ShouldContain("still running");
            await Task.Delay(2500, TestContext.Current.CancellationToken);
            (await service.StopAsync()).ShouldBe(0);
        }

        var (restored, output, reason) = await ServiceProcess.RunAsync(data.Path, "restore", file);
        restored.ShouldBe(0, reason);
        output.ShouldContain("applied again");

        using var again = await ServiceProcess.Start(data.Path).AnswersAsync(key.Trim());
        (await AllowedAsync(again, "ada@example.org")).ShouldBeFalse("erased");
        (await AllowedAsync(again, "ben@example.org")).ShouldBeFalse("withdrawn");
        (await AllowedAsync(again, "cy@example.org")).ShouldBeTrue("consented before");
        var found = await again.Client.PostAsJsonAsync("/v1/subscribers/lookup", new { address = "ada@example.org" }, TestContext.Current.CancellationToken);
        JsonNode.Parse(await found.Content.ReadAsStringAsync(TestContext.Current.CancellationToken))!["address"].ShouldBeNull();
        (await again.StopAsync()).ShouldBe(0);
    }

    /// <summary>
    /// The process is killed at the first thing that it has the restored database learn, so that this knows nothing yet; or at
    /// a later one. Whatever starts next goes on with it before it answers.
    /// </summary>
    [Theory]
    [InlineData("erasure", "true", 0)]
    [InlineData("consent_event", "new.kind = 'withdrawn'", 1)]
    public async Task A_restore_that_is_killed_is_gone_on_with_before_anything_is_answered(string table, string when, long learned)
    {
        var ledger = await databases.CreateDatabaseAsync(null);
        var (key, file) = await BackedUpAsync(ledger, $"""
            create function consentledger.gate() returns trigger language plpgsql as 'begin perform pg_sleep(60); return null; end';
            create trigger gate after insert on consentledger.{table} for each row when ({when}) execute function consentledger.gate();
            """);
        using (var restore = ServiceProcess.Begin(data.Path, "restore", file, Setting(ledger)))
        {
            const string Asleep = "select count(*) from pg_stat_activity where datname = current_database() and wait_event = 'PgSleep'";
            await MailScene.UntilAsync(async () => (long)(await SqlAsync(ledger, Asleep))! > 0, "the restore is half way");
            restore.Kill();
            await restore.WaitForExitAsync(TestContext.Current.CancellationToken);
        }

        await SqlAsync(ledger, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()");
        await SqlAsync(ledger, "drop function consentledger.gate() cascade");
        (await SqlAsync(ledger, "select count(*) from consentledger.erasure")).ShouldBe(learned);

        using var service = await ServiceProcess.Start(data.Path, Setting(ledger)).AnswersAsync(key);
        (await AllowedAsync(service, "ada@example.org")).ShouldBeFalse("erased");
        (await AllowedAsync(service, "ben@example.org")).ShouldBeFalse("withdrawn");
        (await AllowedAsync(service, "cy@example.org")).ShouldBeTrue("consented before");
        (await SqlAsync(ledger, "select count(*) from consentledger.erasure where completed_at is null")).ShouldBe(0L);
        (await service.StopAsync()).ShouldBe(0);
    }

    /// <summary>Killed while the back-up is written: whoever reads the rest of it from a pipe takes the end for the end.</summary>
    [Theory]
    [InlineData("-9")]
    [InlineData("backend")]
    public async Task A_restore_that_is_killed_while_it_writes_leaves_the_ledger_that_was(string victim)
    {
        var ledger = await databases.CreateDatabaseAsync(null);
        var (key, file) = await BackedUpAsync(ledger, "insert into consentledger.purge_record (subscriber_id, run_id, event_id, rule, purged_at) select gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 'address', now() from generate_series(1, 400000)");
        await SqlAsync(ledger, "delete from consentledger.purge_record");
        const string Writing = "from pg_stat_activity where datname = current_database() and application_name = 'psql' and query like 'COPY%purge_record%'";
        using (var restore = ServiceProcess.Begin(data.Path, "restore", file, Setting(ledger)))
        {
            await MailScene.UntilAsync(async () => (long)(await SqlAsync(ledger, $"select count(*) {Writing}"))! > 0 || restore.HasExited, "it writes");
            restore.HasExited.ShouldBeFalse("It was too quick to be killed half way.");
            if (victim == "backend")
            {
                await SqlAsync(ledger, $"select pg_terminate_backend(pid) {Writing}");
            }
            else
            {
                restore.Kill();
            }

            await restore.WaitForExitAsync(TestContext.Current.CancellationToken);
            restore.ExitCode.ShouldNotBe(0);
        }

        await MailScene.UntilAsync(async () => (long)(await SqlAsync(ledger, "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'psql'"))! == 0, "psql is gone");
        (await SqlAsync(ledger, "select count(*) from consentledger.purge_record where rule = 'address'")).ShouldBe(0L, "Nothing of the back-up is there.");
        (await SqlAsync(ledger, "select count(*) from consentledger.consent_event")).ShouldBe(3L);
        using var service = await ServiceProcess.Start(data.Path, Setting(ledger)).AnswersAsync(key);
        (await AllowedAsync(service, "cy@example.org")).ShouldBeTrue();
        (await service.StopAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task A_verb_on_a_database_that_was_restored_by_hand_has_it_learn_first()
    {
        var (_, file) = await BackedUpAsync(await databases.CreateDatabaseAsync(null), "select 1");
        var list = Path.Combine(data.Path, "list.txt");
        var allowed = Path.Combine(data.Path, "allowed.csv");
        await File.WriteAllLinesAsync(list, ["ada@example.org", "ben@example.org", "cy@example.org"], TestContext.Current.CancellationToken);
        var rows = Path.Combine(data.Path, "rows.csv");
        await File.WriteAllTextAsync(
            rows, $"address,purpose,kind,occurredAt\nben@example.org,newsletter,given,{TimeProvider.System.GetUtcNow().UtcDateTime:O}\n", TestContext.Current.CancellationToken);
        var export = Path.Combine(data.Path, "ada.json");

        (await RunOnCopyAsync("check", list, "--purpose", "newsletter", "--output", allowed)).ShouldContain("1 may be written to");
        (await File.ReadAllTextAsync(allowed, TestContext.Current.CancellationToken)).ShouldContain("cy@example.org");
        (await RunOnCopyAsync("import", rows)).ShouldContain("1 held back");
        await RunOnCopyAsync("export", "ada@example.org", "--output", export);
        JsonNode.Parse(await File.ReadAllTextAsync(export, TestContext.Current.CancellationToken))!["addresses"]!.AsArray().ShouldBeEmpty();

        async Task<string> RunOnCopyAsync(params string[] verb)
        {
            var copy = await databases.CreateDatabaseAsync(null);
            await RestoreByHandAsync(copy, file);
            var (code, output, errors) = await ServiceProcess.RunAsync(data.Path, [.. verb, Setting(copy)]);
            code.ShouldBe(0, errors);
            return output + errors;
        }
    }

    [Fact]
    public async Task A_machine_that_is_new_is_restored_with_the_key_and_the_journal_that_were_kept()
    {
        var (key, file) = await BackedUpAsync(await databases.CreateDatabaseAsync(null), "select 1");
        using var machine = new TemporaryDataDirectory();
        var there = Setting(await databases.CreateDatabaseAsync(null));

        // Without the key nothing is made up in its place.
        var (keyless, _, missing) = await ServiceProcess.RunAsync(machine.Path, "restore", file, there);
        keyless.ShouldBe(1);
        missing.ShouldContain("There is no master key in");
        Directory.GetFiles(machine.Path, "master.key*").ShouldBeEmpty();

        // Somebody starts the service first, which makes a key of its own.
        (await ServiceProcess.RunAsync(machine.Path, "migrate", there)).ExitCode.ShouldBe(0);
        (await ServiceProcess.RunAsync(machine.Path, "restore", file, there)).Errors.ShouldContain("made under another master key");

        File.Copy(Path.Combine(data.Path, "master.key"), Path.Combine(machine.Path, "master.key"), overwrite: true);
        var (restored, output, reason) = await ServiceProcess.RunAsync(machine.Path, "restore", file, there);
        restored.ShouldBe(0, reason);
        output.ShouldContain("The journal is not in");
        foreach (var journal in Directory.GetFiles(Path.Combine(data.Path, "journal"), "*.journal"))
        {
            File.Copy(journal, Path.Combine(machine.Path, "journal", Path.GetFileName(journal)));
        }

        using var service = await ServiceProcess.Start(machine.Path, there).AnswersAsync(key);
        (await AllowedAsync(service, "ada@example.org")).ShouldBeFalse("erased");
        (await AllowedAsync(service, "ben@example.org")).ShouldBeFalse("withdrawn");
        (await AllowedAsync(service, "cy@example.org")).ShouldBeTrue("consented before");
        (await service.StopAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task A_ledger_of_another_key_that_holds_something_is_not_replaced()
    {
        var ledger = Setting(await databases.CreateDatabaseAsync(null));
        using var other = new TemporaryDataDirectory();
        var rows = Path.Combine(data.Path, "rows.csv");
        await File.WriteAllTextAsync(rows, "address,purpose,kind,occurredAt\nada@example.org,*,objected,2026-01-01T00:00:00Z\n", TestContext.Current.CancellationToken);
        (await ServiceProcess.RunAsync(data.Path, "import", rows, ledger)).Output.ShouldContain("1 appended");
        var file = Path.Combine(data.Path, "other.backup");
        var elsewhere = Setting(await databases.CreateDatabaseAsync(null));
        (await ServiceProcess.RunAsync(other.Path, "backup", file, elsewhere)).ExitCode.ShouldBe(0);

        var (code, _, errors) = await ServiceProcess.RunAsync(other.Path, "restore", file, ledger);

        code.ShouldBe(1);
        errors.ShouldContain("is not empty");
        (await ServiceProcess.RunAsync(data.Path, "rebuild-state", ledger)).Output.ShouldContain("1 states");
    }

    [Fact]
    public async Task A_backup_goes_to_standard_output_and_comes_back_from_standard_input()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "The pipe is a shell's.");
        var ledger = await databases.CreateDatabaseAsync(null);
        var (key, _) = await BackedUpAsync(ledger, "select 1");
        using (var backup = ServiceProcess.Begin(data.Path, "backup", "-", Setting(ledger)))
        {
            var said = backup.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            await using (var copy = File.Create(Path.Combine(data.Path, "piped")))
            {
                await backup.StandardOutput.BaseStream.CopyToAsync(copy, TestContext.Current.CancellationToken);
            }

            await backup.WaitForExitAsync(TestContext.Current.CancellationToken);
            backup.ExitCode.ShouldBe(0, await said);
            (await said).ShouldContain("master key is not in it");
        }

        await SqlAsync(ledger, "delete from consentledger.consent_state");
        using (var restore = ServiceProcess.Begin(data.Path, "restore", "-", Setting(ledger)))
        {
            await using (var copy = File.OpenRead(Path.Combine(data.Path, "piped")))
            {
                await copy.CopyToAsync(restore.StandardInput.BaseStream, TestContext.Current.CancellationToken);
                restore.StandardInput.Close();
            }

            var errors = await restore.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
            await restore.WaitForExitAsync(TestContext.Current.CancellationToken);
            restore.ExitCode.ShouldBe(0, errors);
        }

        Directory.GetFiles(data.Path, "restore.*").ShouldBeEmpty();
        using var service = await ServiceProcess.Start(data.Path, Setting(ledger)).AnswersAsync(key);
        (await AllowedAsync(service, "cy@example.org")).ShouldBeTrue();
        (await service.StopAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task What_is_no_backup_changes_nothing()
    {
        (await ServiceProcess.RunAsync(data.Path, "migrate")).ExitCode.ShouldBe(0);
        var file = Path.Combine(data.Path, "ledger.backup");
        await File.WriteAllTextAsync(file, "no back-up", TestContext.Current.CancellationToken);

        var (code, _, errors) = await ServiceProcess.RunAsync(data.Path, "restore", file);

        code.ShouldBe(1);
        errors.ShouldContain("nothing was changed");
        (await ServiceProcess.RunAsync(data.Path, "rebuild-state")).ExitCode.ShouldBe(0);
    }

    public void Dispose() => data.Dispose();

    /// <summary>Ada, Ben and Cy consent; <paramref name="before"/> is in the back-up, and gone after it; then Ada is erased and Ben withdraws.</summary>
    private async Task<(string Key, string File)> BackedUpAsync(string ledger, string before)
    {
        var (made, key, errors) = await ServiceProcess.RunAsync(data.Path, "keys", "create", "--scope", "all", "--name", "test", Setting(ledger));
        made.ShouldBe(0, errors);
        var file = Path.Combine(data.Path, "ledger.backup");
        using var service = await ServiceProcess.Start(data.Path, Setting(ledger)).AnswersAsync(key.Trim());
        await SendAsync(service, HttpMethod.Put, "/v1/purposes/newsletter", new { name = "Newsletter", channel = "email", basis = "consent" });
        foreach (var address in new[] { "ada@example.org", "ben@example.org", "cy@example.org" })
        {
            await SendAsync(service, HttpMethod.Post, "/v1/events", Event(address, "given"));
        }

        await SqlAsync(ledger, before);
        var (backedUp, _, why) = await ServiceProcess.RunAsync(data.Path, "backup", file, Setting(ledger));
        backedUp.ShouldBe(0, why);
        await SqlAsync(ledger, "drop function if exists consentledger.gate() cascade");
        await SendAsync(service, HttpMethod.Post, "/v1/subscribers/erase", new { address = "ada@example.org", reason = "Asked" });
        await SendAsync(service, HttpMethod.Post, "/v1/events", Event("ben@example.org", "withdrawn"));
        await MailScene.UntilAsync(async () => (long)(await SqlAsync(ledger, "select count(*) from consentledger.journal_queue"))! == 0, "journalled");
        (await service.StopAsync()).ShouldBe(0);
        return (key.Trim(), file);
    }

    private static async Task RestoreByHandAsync(string ledger, string file)
    {
        var target = new NpgsqlConnectionStringBuilder(ledger);
        var start = new ProcessStartInfo(
            "pg_restore", ["--host", target.Host!, "--port", $"{target.Port}", "--username", target.Username!, "--dbname", target.Database!, file]);
        start.Environment["PGPASSWORD"] = target.Password;
        using var process = Process.Start(start)!;
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        process.ExitCode.ShouldBe(0);
    }

    private static async Task<object?> SqlAsync(string ledger, string sql)
    {
        await using var source = NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(ledger) { Pooling = false }.ConnectionString);
        await using var command = source.CreateCommand(sql);
        return await command.ExecuteScalarAsync(TestContext.Current.CancellationToken);
    }

    private static string Setting(string ledger) => $"--ConnectionStrings:Ledger={ledger}";

    private static object Event(string address, string kind) => new { address, purpose = "newsletter", kind, source = new { kind = "paper" } };

    private static async Task SendAsync(ServiceProcess service, HttpMethod method, string path, object body)
    {
        using var request = new HttpRequestMessage(method, path) { Content = JsonContent.Create(body) };
        using var answer = await service.Client.SendAsync(request);
        answer.StatusCode.ShouldBeOneOf(HttpStatusCode.OK, HttpStatusCode.Created);
    }

    private static async Task<bool> AllowedAsync(ServiceProcess service, string address)
    {
        using var answer = await service.Client.PostAsJsonAsync("/v1/checks", new { address, purpose = "newsletter" });
        return (await answer.ReadAsync())["allowed"]!.GetValue<bool>();
    }
}
