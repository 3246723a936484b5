using ConsentLedger.Tests.Hosting;
using Npgsql;

namespace ConsentLedger.Tests.Database;

/// <summary>DESIGN decision 2: the history is append-only by grant, not by promise.</summary>
/// <remarks>
/// What this shows and what it does not: a session of the service runs as consentledger_service and is refused all that
/// follows. A private cluster, and a configured login that is a member of all three roles, can leave that role again
/// (<c>reset role</c>): the grants guard against defects and injected SQL in one statement, not against whoever holds
/// the connection string. Who wants that too runs <c>migrate</c> with the owner's login and <c>serve</c> with one that
/// is a member of the other two roles only; the last test here shows that such a login can't get further.
/// </remarks>
public sealed class PrivilegeTests(TestDatabase databases)
{
    /// <summary>Every table, and what each role may do there. A new table is refused here until its grants are spelt out.</summary>
    private static readonly SortedDictionary<string, (string Service, string Purge)> Expected = new(StringComparer.Ordinal)
    {
        ["api_key"] = ("insert select update", ""),
        ["audit_entry"] = ("insert select", "delete select"),
        ["breach"] = ("insert select update", ""),
        ["consent_event"] = ("insert select", "delete select"),
        ["consent_state"] = ("insert select update", "delete insert select update"),
        ["erasure"] = ("insert select update", "select update(completed_at events_erased kept_for_child)"),
        ["evidence"] = ("insert select", "delete select"),
        ["form"] = ("insert select update", ""),
        ["idempotency"] = ("delete insert select update", ""),
        ["installation"] = ("insert select", ""),
        ["journal_position"] = ("insert select update", ""),
        ["journal_waiting"] = ("delete insert select", ""),
        ["journal_queue"] = ("delete insert select update(kind)", ""),
        ["legal_hold"] = ("delete insert select update", "select"),
        ["log_entry"] = ("insert select", ""),
        ["mailgun_token"] = ("delete insert select update(used_at)", ""),
        ["mail_outbox"] = ("delete insert select update", "delete select"),
        ["notice"] = ("insert select", ""),
        ["outbox"] = ("delete insert select update(commitment recorded_at)", ""),
        ["preference_request"] = ("delete insert select update", "delete select"),
        ["purge_record"] = ("select", "insert select"),
        ["purge_run"] = ("insert(dry_run requested_at run_id scheduled_for trigger) select update(expired)", "select update"),
        ["purpose"] = ("insert select update", "select"),
        ["renewal_reminder"] = ("insert select", "delete select"),
        ["rights_request"] = ("insert select update", "delete select update(person)"),
        ["rights_request_step"] = ("insert select", "delete select update(note)"),
        ["schema_version"] = ("select", ""),
        ["sign_up"] = ("delete insert select update", "delete select"),
        ["soft_bounce"] = ("delete insert select update(cleared)", "delete select"),
        ["subscriber"] = ("insert select update(recorded_at)", "delete select update(recorded_at)"),
        ["suppression"] = ("insert select", "insert select"),
        ["used_challenge"] = ("delete insert select", ""),
    };

    [Fact]
    public async Task Every_table_grants_each_role_what_is_spelt_out_and_the_public_nothing()
    {
        await using var service = await TestService.StartAsync(databases);
        await using var connection = service.Database.OpenAsOwner();
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var command = new NpgsqlCommand(
            """
            with grants as (
                select table_.oid, acl.grantee, lower(acl.privilege_type) as privilege
                from pg_class table_, aclexplode(table_.relacl) acl
                union all
                select attrelid, acl.grantee, lower(acl.privilege_type) || '(' || string_agg(attname, ' ' order by attname) || ')'
                from pg_attribute, aclexplode(attacl) acl
                group by attrelid, acl.grantee, acl.privilege_type
            )
            select relname::text,
                   coalesce(string_agg(privilege, ' ' order by privilege) filter (where grantee = 'consentledger_service'::regrole), ''),
                   coalesce(string_agg(privilege, ' ' order by privilege) filter (where grantee = 'consentledger_purge'::regrole), ''),
                   coalesce(string_agg(grantee::regrole::text, ' ') filter (where grantee not in (relowner, 'consentledger_service'::regrole, 'consentledger_purge'::regrole)), ''),
                   pg_get_userbyid(relowner)::text
            from pg_class left join grants on grants.oid = pg_class.oid
            where relnamespace = 'consentledger'::regnamespace and relkind in ('r', 'p', 'v', 'm', 'f')
            group by pg_class.oid, relname, relowner
            """,
            connection);
        await using var reader = await command.ExecuteReaderAsync(TestContext.Current.CancellationToken);
        var actual = new SortedDictionary<string, (string, string)>(StringComparer.Ordinal);
        while (await reader.ReadAsync(TestContext.Current.CancellationToken))
        {
            var table = reader.GetString(0);
            actual[table] = (reader.GetString(1), reader.GetString(2));
            reader.GetString(3).ShouldBe("", $"others may use {table}");
            reader.GetString(4).ShouldBe("consentledger_owner", $"{table} belongs to another role");
        }

        actual.Select(row => $"{row.Key}: service {row.Value.Item1}; purge {row.Value.Item2}")
            .ShouldBe(Expected.Select(row => $"{row.Key}: service {row.Value.Service}; purge {row.Value.Purge}"));
    }

    private static readonly string[] Rewriting =
    [
        "update {0} set occurred_at = now()", "update {0} set purpose_id = 1 where false", "delete from {0}", "delete from {0} where false", "truncate {0}",
        "alter table {0} add column more text", "alter table {0} disable trigger all", "drop table {0}",
        "create trigger tampering before insert on {0} for each row execute function suppress_redundant_updates_trigger()",
        "create rule tampering as on insert to {0} do instead nothing",
        "begin; lock table {0} in access exclusive mode; commit",
        "merge into {0} using (select 1) one on true when matched then delete",
        "insert into {0} select * from {0} on conflict on constraint {0}_pk do update set occurred_at = now()",
        "select * from {0} for update",
        "copy {0} to program 'true'",
    ];

    [Fact]
    public async Task The_service_is_refused_whatever_would_rewrite_the_history()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync("ada@museum.example", "withdrawn", with: new() { ["evidence"] = new System.Text.Json.Nodes.JsonObject { ["ip"] = "192.0.2.7" } });
        foreach (var table in new[] { "consent_event", "evidence", "suppression" })
        {
            foreach (var statement in Rewriting)
            {
                await RefusedAsync(service.Database.Service, statement.Replace("{0}", table, StringComparison.Ordinal));
            }

            await RefusedAsync(service.Database.Checks, $"delete from {table}");

            // Granting it to itself PostgreSQL only warns about; what counts is that nothing was granted.
            await RunAsync(service.Database.Service, $"grant delete on {table} to consentledger_service");
            await RefusedAsync(service.Database.Service, $"delete from {table}");
        }

        (await service.SqlAsync("select count(*) from consent_event join evidence using (event_id)")).ShouldBe(1L);
    }

    [Fact]
    public async Task Nobody_who_serves_takes_anything_out_of_the_audit_trail()
    {
        await using var service = await TestService.StartAsync(databases);
        foreach (var statement in new[]
        {
            "update audit_entry set action = 'nothing'", "delete from audit_entry", "delete from audit_entry where false", "truncate audit_entry",
            "alter table audit_entry add column more text", "drop table audit_entry", "select * from audit_entry for update",
            "merge into audit_entry using (select 1) one on true when matched then delete",
        })
        {
            await RefusedAsync(service.Database.Service, statement);
            if (!statement.StartsWith("delete", StringComparison.Ordinal) && !statement.StartsWith("merge", StringComparison.Ordinal))
            {
                await RefusedAsync(service.Database.Purge, statement);
            }
        }

        await RefusedAsync(service.Database.Purge, "insert into audit_entry select * from audit_entry");
        (await service.SqlAsync("select count(*) from audit_entry where action = 'key-created'")).ShouldBe(1L);
    }

    [Fact]
    public async Task The_purge_role_can_delete_and_can_not_make_or_change_history()
    {
        await using var service = await TestService.StartAsync(databases);
        foreach (var statement in new[]
        {
            "insert into consent_event select * from consent_event", "update consent_event set kind = 'given'", "truncate consent_event",
            "insert into evidence select * from evidence", "update evidence set sealed = ''",
            "update suppression set kind = 'given'", "delete from suppression",
            "insert into subscriber select * from subscriber", "update subscriber set address = ''",
            "delete from legal_hold", "update purpose set retention_lapsed = 'P1D'", "select * from api_key",
            "create table consentledger.more (id integer)", "alter table consent_event add column more text",
        })
        {
            await RefusedAsync(service.Database.Purge, statement);
        }

        await RunAsync(service.Database.Purge, "delete from consent_event");
    }

    [Fact]
    public async Task The_service_can_make_nothing_in_the_schema()
    {
        await using var service = await TestService.StartAsync(databases);
        foreach (var statement in new[] { "create table consentledger.more (id integer)", "create function consentledger.more() returns integer language sql as 'select 1'", "drop schema consentledger cascade" })
        {
            await RefusedAsync(service.Database.Service, statement);
        }
    }

    [Fact]
    public async Task Sessions_run_in_their_role_with_a_fixed_search_path_and_UTC()
    {
        await using var service = await TestService.StartAsync(databases);
        foreach (var (source, role) in new[] { (service.Database.Service, "consentledger_service"), (service.Database.Checks, "consentledger_service"), (service.Database.Purge, "consentledger_purge") })
        {
            await using var command = source.CreateCommand("select current_user || ' ' || current_setting('search_path') || ' ' || current_setting('timezone')");
            (await command.ExecuteScalarAsync(TestContext.Current.CancellationToken)).ShouldBe($"{role} consentledger UTC");
        }
    }

    [Fact]
    public async Task A_login_that_is_no_member_of_the_owner_can_not_leave_its_role_for_more()
    {
        await using var service = await TestService.StartAsync(databases);
        var name = $"serving_{Guid.NewGuid():N}";
        await service.SqlAsync($"create role {name} login password 'pass' in role consentledger_service, consentledger_purge");
        try
        {
            var login = new NpgsqlConnectionStringBuilder(service.ConnectionString) { Username = name, Password = "pass", Pooling = false, Options = null };
            await using var database = new ConsentLedger.Database.LedgerDatabase(login.ConnectionString);
            await RunAsync(database.Service, "select count(*) from consent_event");

            // Back as the login itself it has what both roles have, and no more.
            await RefusedAsync(database.Service, "reset role; truncate consent_event");
            await RefusedAsync(database.Service, "reset role; update consent_event set kind = 'given'");
            await RefusedAsync(database.Service, "set role consentledger_owner");
            await RefusedAsync(database.Service, "set role postgres");

            // Migrating it can't do either, and need not: the schema is current.
            (await new ConsentLedger.Database.Migrator(database).ApplyAsync(TestContext.Current.CancellationToken)).ShouldBeEmpty();
        }
        finally
        {
            await service.SqlAsync($"drop role {name}");
        }
    }

    private static async Task RefusedAsync(NpgsqlDataSource source, string statement) =>
        (await Should.ThrowAsync<PostgresException>(() => RunAsync(source, statement), statement)).SqlState.ShouldBe(PostgresErrorCodes.InsufficientPrivilege, statement);

    private static async Task RunAsync(NpgsqlDataSource source, string statement)
    {
        await using var command = source.CreateCommand(statement);
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
    }
}
