using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Database;
using ConsentLedger.Retention;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Retention;

/// <summary>
/// The server process that does a purge is killed at each thing it writes, at the first time, a later one, and at its
/// commit. Each batch is then whole or not begun, and the next leader ends the run as if nothing had happened.
/// </summary>
public sealed class PurgeFaultTests(TestDatabase databases)
{
    public static TheoryData<string, string, int> Faults
    {
        get
        {
            var faults = new TheoryData<string, string, int>();
            foreach (var (table, operation) in ((string, string)[])
            [
                ("purge_run", "update"), ("consent_event", "insert"), ("outbox", "insert"), ("suppression", "insert"),
                ("consent_event", "delete"), ("evidence", "delete"), ("purge_record", "insert"), ("consent_state", "update"),
                ("consent_state", "delete"), ("subscriber", "delete"), ("rights_request_step", "delete"), ("rights_request", "delete"),
                ("audit_entry", "delete"), ("renewal_reminder", "delete"), ("purge_record", "commit"), ("purge_run", "commit"), ("log_entry", "commit"),
            ])
            {
                foreach (var occasion in (int[])[1, 3])
                {
                    faults.Add(table, operation, occasion);
                }
            }

            // All that wait are given their positions at once, when the run is over.
            faults.Add("log_entry", "insert", 1);
            faults.Add("outbox", "delete", 1);
            return faults;
        }
    }

    [Theory]
    [MemberData(nameof(Faults))]
    public async Task A_crash_leaves_a_batch_whole_or_not_begun_and_the_next_leader_ends_the_run(string table, string operation, int occasion)
    {
        await using var service = await TestService.StartAsync(databases, SmallBatches);
        await ClosedRequestsAsync(service);
        await PurgeRunTests.SceneAsync(service);
        var preview = (await service.GetAsync("/v1/retention/preview").ReadAsync())["items"]!.AsArray();
        var dry = await service.PurgeAsync(dryRun: true);
        await service.BreakAsync(table, operation, occasion);

        var run = await service.PostAsync("/v1/retention/runs", new JsonObject()).ReadAsync(HttpStatusCode.Accepted);
        await CrashedAsync(service, occasion);

        await service.RebuildChangesNothingAsync();
        var interrupted = await service.GetAsync($"/v1/retention/runs/{run.Text("id")}").ReadAsync();
        await service.CountersAreRecordsAsync(interrupted);
        (await service.CountAsync("evidence", "not exists (select from consent_event e where e.subscriber_id = evidence.subscriber_id and e.event_id = evidence.event_id)")).ShouldBe(0);

        await using var next = await TestService.StartAsync(service.ConnectionString, service.Keys, service.Clock, SmallBatches);
        var done = await next.DoneAsync(run.Text("id"));
        done.Text("status").ShouldBe("completed");
        await next.CountersAreRecordsAsync(done);
        await next.RebuildChangesNothingAsync();
        done["expired"]!.GetValue<long>().ShouldBe(dry["expired"]!.GetValue<long>());
        foreach (var rule in Enum.GetValues<PurgeRule>().Select(Label<PurgeRule>.Of))
        {
            done.Purged(rule).ShouldBe(preview.Where(item => item!.Text("rule") == rule).Sum(item => item!["now"]!.GetValue<long>()), rule);
        }
    }

    [Fact]
    public async Task A_defect_ends_the_run_as_failed_and_the_next_one_starts_over()
    {
        await using var service = await TestService.StartAsync(databases, SmallBatches);
        await PurgeRunTests.SceneAsync(service);
        await service.SqlAsync(
            """
            create function fault() returns trigger language plpgsql as $$ begin raise 'a defect'; end $$;
            create trigger fault after insert on purge_record for each row when (new.rule = 'pending') execute function fault();
            """);

        var run = await service.PostAsync("/v1/retention/runs", new JsonObject()).ReadAsync(HttpStatusCode.Accepted);
        var failed = await service.DoneAsync(run.Text("id"));

        failed.Text("status").ShouldBe("failed");
        failed.Purged("lapsed").ShouldBeGreaterThan(0);
        await service.CountersAreRecordsAsync(failed);
        await service.SqlAsync("drop trigger fault on purge_record");
        (await service.PurgeAsync()).Text("status").ShouldBe("completed");
    }

    private static void SmallBatches(Microsoft.AspNetCore.Builder.WebApplicationBuilder builder)
    {
        builder.Configuration["ConsentLedger:Retention:BatchSize"] = "2";
        builder.Configuration["ConsentLedger:Retention:Requests"] = "P1Y";
        builder.Configuration["ConsentLedger:Retention:Audit"] = "P1Y";
    }

    /// <summary>Enough of them for three batches; the audit trail fills by itself.</summary>
    private static async Task ClosedRequestsAsync(TestService service)
    {
        for (var i = 0; i < 5; i++)
        {
            var request = await service.PostAsync("/v1/requests", new JsonObject { ["kind"] = "access", ["address"] = $"asked{i}@museum.example" }).ReadAsync(HttpStatusCode.Created);
            await service.PostAsync($"/v1/requests/{request.Text("id")}/refuse", new JsonObject { ["reason"] = "It was asked for a week ago." }).ReadAsync();
        }
    }

    /// <summary>Waits until the fault has struck and the session that led is gone; another fault does not follow.</summary>
    private static async Task CrashedAsync(TestService service, int occasion)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        while (await service.OccasionsAsync() < occasion
            || await service.CountAsync("pg_locks", "locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())") > 0)
        {
            await Task.Delay(5, deadline.Token);
        }
    }
}
