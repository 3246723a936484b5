using ConsentLedger.Tests.Hosting;
using Npgsql;

namespace ConsentLedger.Tests.Retention;

public sealed class PurgePrivilegeTests(TestDatabase databases)
{
    [Theory]
    [InlineData("consent_event")]
    [InlineData("evidence")]
    [InlineData("suppression")]
    [InlineData("purge_record")]
    [InlineData("log_entry")]
    public async Task The_service_can_neither_change_nor_delete_history(string table)
    {
        await using var service = await TestService.StartAsync(databases);

        await RefusedAsync(service.Database.Service, $"update {table} set subscriber_id = subscriber_id");
        await RefusedAsync(service.Database.Service, $"delete from {table}");
        await RefusedAsync(service.Database.Service, $"truncate {table}");
    }

    [Theory]
    [InlineData("insert into purge_record (subscriber_id, run_id, event_id, rule, purged_at) select subscriber_id, event_id, event_id, 'lapsed', now() from consent_event")]
    [InlineData("update purge_run set status = 'completed'")]
    [InlineData("update purge_run set lapsed = 0")]
    [InlineData("delete from purge_run")]
    [InlineData("insert into purge_run (run_id, status, trigger, dry_run, requested_at) values (gen_random_uuid(), 'completed', 'api', false, now())")]
    [InlineData("update subscriber set address = address")]
    [InlineData("delete from subscriber")]
    [InlineData("delete from consent_state")]
    public async Task The_service_asks_for_runs_and_does_none(string sql)
    {
        await using var service = await TestService.StartAsync(databases);
        await RefusedAsync(service.Database.Service, sql);
    }

    [Theory]
    [InlineData("insert into consent_event select * from consent_event")]
    [InlineData("update consent_event set occurred_at = occurred_at")]
    [InlineData("truncate consent_event")]
    [InlineData("insert into evidence select * from evidence")]
    [InlineData("update evidence set sealed = sealed")]
    [InlineData("update suppression set kind = kind")]
    [InlineData("delete from suppression")]
    [InlineData("update purge_record set rule = rule")]
    [InlineData("delete from purge_record")]
    [InlineData("delete from purge_run")]
    [InlineData("insert into subscriber select * from subscriber")]
    [InlineData("update subscriber set address = address")]
    [InlineData("delete from legal_hold")]
    [InlineData("insert into outbox select * from outbox")]
    [InlineData("select * from api_key")]
    public async Task The_purge_role_deletes_and_records_and_does_nothing_else(string sql)
    {
        await using var service = await TestService.StartAsync(databases);
        await RefusedAsync(service.Database.Purge, sql);
    }

    private static async Task RefusedAsync(NpgsqlDataSource database, string sql)
    {
        await using var command = database.CreateCommand(sql);
        var refused = await Should.ThrowAsync<PostgresException>(() => command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken), sql);
        refused.SqlState.ShouldBe(PostgresErrorCodes.InsufficientPrivilege, sql);
    }
}
