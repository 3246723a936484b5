using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Database;
using ConsentLedger.Retention;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using Microsoft.Extensions.DependencyInjection;

namespace ConsentLedger.Tests.Retention;

public sealed class PurgeRunTests(TestDatabase databases)
{
    private const string Ada = "ada@museum.example";
    private static readonly DateTimeOffset Start = TestService.Start;

    [Fact]
    public async Task A_run_is_accepted_with_where_to_find_it_and_is_listed()
    {
        await using var service = await TestService.StartAsync(databases);

        using var response = await service.SendAsync(HttpMethod.Post, "/v1/retention/runs");
        var accepted = await response.ReadAsync(HttpStatusCode.Accepted);
        var id = accepted.Text("id");
        response.Headers.Location!.ToString().ShouldBe($"/v1/retention/runs/{id}");
        accepted.Text("trigger").ShouldBe("api");
        accepted["dryRun"]!.GetValue<bool>().ShouldBeFalse();

        var done = await service.DoneAsync(id);
        done.Text("startedAt").ShouldBe("2026-11-22T09:30:00Z");
        done.Text("finishedAt").ShouldBe("2026-11-22T09:30:00Z");
        done["purged"]!.ToJsonString().ShouldBe("""{"ended":0,"lapsed":0,"pending":0,"evidence":0,"facets":0,"address":0,"requests":0,"audit":0}""");
        service.Clock.Advance(TimeSpan.FromSeconds(1));
        var second = (await service.PurgeAsync(dryRun: true)).Text("id");
        var page = await service.GetAsync("/v1/retention/runs?limit=1").ReadAsync();
        page["items"]![0]!.Text("id").ShouldBe(second);
        var rest = await service.GetAsync($"/v1/retention/runs?cursor={page.Text("nextCursor")}").ReadAsync();
        rest["items"]!.AsArray().Single()!.Text("id").ShouldBe(id);
        rest["nextCursor"].ShouldBeNull();
    }

    [Fact]
    public async Task What_is_not_there_not_allowed_or_not_valid_is_refused()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.GetAsync($"/v1/retention/runs/{Guid.NewGuid()}").ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        await service.GetAsync("/v1/retention/runs/one").ReadProblemAsync(HttpStatusCode.BadRequest, "validation");
        await service.GetAsync("/v1/retention/runs?limit=0").ReadErrorAsync("limit");
        await service.PostAsync("/v1/retention/runs", new JsonObject { ["dry"] = true }).ReadErrorAsync("dry");

        var reader = await service.CreateKeyAsync(["retention:read"]);
        await service.PostAsync("/v1/retention/runs", new JsonObject(), reader).ReadProblemAsync(HttpStatusCode.Forbidden, "insufficient-scope");
        var runner = await service.CreateKeyAsync(["retention:run"]);
        await service.GetAsync("/v1/retention/preview", runner).ReadProblemAsync(HttpStatusCode.Forbidden, "insufficient-scope");
        var bound = await service.CreateKeyAsync(["retention:read", "retention:run"], "newsletter");
        await service.PostAsync("/v1/retention/runs", new JsonObject(), bound).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
    }

    [Fact]
    public async Task The_preview_says_what_goes_now_and_soon_and_the_run_then_purges_just_that()
    {
        await using var service = await TestService.StartAsync(databases, builder =>
        {
            builder.Configuration["ConsentLedger:Retention:Requests"] = "P1Y";
            builder.Configuration["ConsentLedger:Retention:Audit"] = "P1Y";
        });
        var request = await service.PostAsync("/v1/requests", new JsonObject { ["kind"] = "access", ["address"] = Ada }).ReadAsync(HttpStatusCode.Created);
        await service.PostAsync($"/v1/requests/{request.Text("id")}/complete", new JsonObject { ["delivered"] = "by-hand" }).ReadAsync();
        await SceneAsync(service);

        var preview = await service.GetAsync("/v1/retention/preview").ReadAsync();
        var before = await service.ContentsAsync();
        var dry = await service.PurgeAsync(dryRun: true);
        (await service.ContentsAsync()).ShouldBe(before);
        var run = await service.PurgeAsync();

        preview.Text("generatedAt").ShouldBe("2028-11-22T09:30:00Z");
        foreach (var rule in Enum.GetValues<PurgeRule>().Select(Label<PurgeRule>.Of))
        {
            var now = preview["items"]!.AsArray().Where(item => item!.Text("rule") == rule).Sum(item => item!["now"]!.GetValue<long>());
            now.ShouldBeGreaterThan(0, rule);
            run.Purged(rule).ShouldBe(now, rule);
            dry.Purged(rule).ShouldBe(now, rule);
        }

        dry["expired"]!.GetValue<long>().ShouldBe(run["expired"]!.GetValue<long>());
        (await service.GetAsync("/v1/retention/preview").ReadAsync())["items"]!.AsArray().ShouldAllBe(item => item!["now"]!.GetValue<long>() == 0);

        // A key that is bound to purposes sees those.
        var bound = await service.CreateKeyAsync(["retention:read"], "newsletter");
        (await service.GetAsync("/v1/retention/preview", bound).ReadAsync())["items"]!.AsArray().ShouldAllBe(item => item!.Text("purpose") == "newsletter");
    }

    [Fact]
    public async Task The_preview_looks_thirty_and_ninety_days_ahead()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync(with: Purges.Retention(pending: "P10D", lapsed: "P20D"));
        await service.EventAsync(Ada, "requested", occurredAt: Start.AddDays(-11));
        await service.EventAsync("ben@museum.example", "requested", occurredAt: Start);
        await service.EventAsync("cai@museum.example", occurredAt: Start, with: new JsonObject { ["expiresAt"] = "2026-12-30T00:00:00Z" });
        await service.EventAsync("dee@museum.example", "suppressed", purpose: "*", occurredAt: Start.AddMonths(-23));

        var items = (await service.GetAsync("/v1/retention/preview").ReadAsync())["items"]!.AsArray();

        Numbers("newsletter", "pending").ShouldBe("1 2 2");
        Numbers("newsletter", "lapsed").ShouldBe("0 0 2");
        Numbers("newsletter", "ended").ShouldBe("0 0 0");
        Numbers("*", "facets").ShouldBe("0 1 1");
        Numbers("*", "address").ShouldBe("1 3 4");

        string Numbers(string purpose, string rule) =>
            items.Where(item => item!.Text("purpose") == purpose && item!.Text("rule") == rule)
                .Select(item => $"{item!["now"]} {item["in30Days"]} {item["in90Days"]}").Single();
    }

    [Fact]
    public async Task While_a_run_is_open_whoever_asks_gets_that_one_and_only_the_leader_does_it()
    {
        await using var service = await TestService.StartAsync(databases);
        await using var other = await TestService.StartAsync(service.ConnectionString, service.Keys, service.Clock);
        await SceneAsync(service);
        var preview = await service.GetAsync("/v1/retention/preview").ReadAsync();
        var expected = preview["items"]!.AsArray().Sum(item => item!["now"]!.GetValue<long>());
        await using var gate = await Gate.CloseAsync(service, "purge_record", "insert");

        var first = await service.PostAsync("/v1/retention/runs", new JsonObject()).ReadAsync(HttpStatusCode.Accepted);
        await gate.ReachedAsync();
        var second = await other.PostAsync("/v1/retention/runs", new JsonObject { ["dryRun"] = true }).ReadAsync(HttpStatusCode.Accepted);
        second.Text("id").ShouldBe(first.Text("id"));
        second.Text("status").ShouldBe("running");

        // The other instance does not lead, so it returns at once with the run still open.
        var runner = other.Services.GetRequiredService<RetentionRunner>();
        (await runner.RunAsync(Actor.OfCommand("purge"), PurgeTrigger.Cli, false, null, TestContext.Current.CancellationToken)).IsOpen.ShouldBeTrue();

        await gate.OpenAsync();
        var done = await service.DoneAsync(first.Text("id"));
        done.Purged().ShouldBe(expected);
        await service.CountersAreRecordsAsync(done);
        (await service.CountAsync("purge_run")).ShouldBe(1);
    }

    [Fact]
    public async Task Two_instances_at_once_append_an_expiry_once()
    {
        await using var service = await TestService.StartAsync(databases, builder => builder.Configuration["ConsentLedger:Retention:BatchSize"] = "3");
        await using var other = await TestService.StartAsync(service.ConnectionString, service.Keys, service.Clock);
        await service.PurposeAsync(with: new JsonObject { ["consentLifetime"] = "P1M" });
        for (var i = 0; i < 20; i++)
        {
            await service.EventAsync($"person{i}@museum.example", occurredAt: Start.AddMonths(-1));
        }

        // The clock stands still, so nobody but these takes part.
        await Task.WhenAll(Enumerable.Range(0, 6).Select(i => (i % 2 == 0 ? service : other).Services.GetRequiredService<RetentionRunner>()
            .RunAsync(Actor.OfCommand("purge"), PurgeTrigger.Cli, false, null, TestContext.Current.CancellationToken)));

        (await service.CountAsync("consent_event", "kind = 'expired'")).ShouldBe(20);
        (await service.SqlAsync("select sum(expired)::bigint from purge_run")).ShouldBe(20L);
        (await service.CountAsync("consent_state", "kind = 'expired'")).ShouldBe(20);
        await service.RebuildChangesNothingAsync();
    }

    [Fact]
    public async Task A_renewal_dated_after_the_expiry_wins_whichever_of_the_two_arrives_first()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync(with: new JsonObject { ["consentLifetime"] = "P1M" });
        for (var i = 0; i < 20; i++)
        {
            await service.EventAsync($"person{i}@museum.example", occurredAt: Start);
        }

        // Later than the expiry, if only just: on a tie the expiry wins, as what forbids does.
        service.Clock.SetUtcNow(Start.AddMonths(1) + TimeSpan.FromMicroseconds(1));
        var renewals = Enumerable.Range(0, 20).Select(i => service.EventAsync($"person{i}@museum.example", "renewed"));
        await Task.WhenAll([.. renewals, service.PurgeAsync(), service.PurgeAsync()]);

        (await service.CountAsync("consent_state", "kind = 'renewed'")).ShouldBe(20);
        await service.RebuildChangesNothingAsync();
    }

    [Fact]
    public async Task A_check_does_not_wait_for_a_purge_and_an_append_for_the_same_pair_survives_it()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, "withdrawn", occurredAt: Start);
        await service.EventAsync("ben@museum.example", "expired", occurredAt: Start);
        service.Clock.SetUtcNow(Start.AddMonths(24));
        await using var gate = await Gate.CloseAsync(service, "purge_record", "insert");
        var run = await service.PostAsync("/v1/retention/runs", new JsonObject()).ReadAsync(HttpStatusCode.Accepted);
        await gate.ReachedAsync();

        (await service.ReasonAsync(Ada)).ShouldBe("withdrawn");
        (await service.ReasonAsync("ben@museum.example")).ShouldBe("expired");
        Task<JsonNode>[] appends = [service.EventAsync(Ada), service.EventAsync("ben@museum.example", occurredAt: Start.AddDays(-1)), service.EventAsync("cai@museum.example")];
        await appends[2];
        await Task.Delay(100, TestContext.Current.CancellationToken);
        appends[0].IsCompleted.ShouldBeFalse();
        appends[1].IsCompleted.ShouldBeFalse();

        await gate.OpenAsync();
        await Task.WhenAll(appends);
        (await service.DoneAsync(run.Text("id"))).Purged("lapsed").ShouldBe(2);
        (await service.ReasonAsync(Ada)).ShouldBe("given");
        (await service.ReasonAsync("ben@museum.example")).ShouldBe("given");
        (await service.CountAsync("consent_event")).ShouldBe(3);
        (await service.CountAsync("suppression")).ShouldBe(1);
        await service.RebuildChangesNothingAsync();
    }

    [Fact]
    public async Task An_append_while_the_address_goes_keeps_or_restores_it()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync(with: Purges.Retention(lapsed: "P1D"));
        await service.PurposeAsync("events");
        await service.EventAsync(Ada, "expired", occurredAt: Start);
        service.Clock.SetUtcNow(Start.AddDays(1));
        await using var gate = await Gate.CloseAsync(service, "subscriber", "delete");
        var run = await service.PostAsync("/v1/retention/runs", new JsonObject()).ReadAsync(HttpStatusCode.Accepted);
        await gate.ReachedAsync();

        var append = service.EventAsync(Ada, purpose: "events");
        await Task.Delay(100, TestContext.Current.CancellationToken);
        append.IsCompleted.ShouldBeFalse();
        await gate.OpenAsync();
        await append;
        (await service.DoneAsync(run.Text("id"))).Purged("address").ShouldBe(1);

        var found = await service.PostAsync("/v1/subscribers/lookup", new JsonObject { ["address"] = Ada }).ReadAsync();
        found.Text("address").ShouldBe(Ada);
    }

    [Fact]
    public async Task An_append_under_way_keeps_the_address_and_what_would_go_with_it_until_the_next_run()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync(with: Purges.Retention(lapsed: "P1D"));
        await service.PurposeAsync("events");
        await service.EventAsync(Ada, "expired", occurredAt: Start);
        service.Clock.SetUtcNow(Start.AddDays(1));

        // The append stops where it has written its event and locked the address, and not committed.
        await using (var gate = await Gate.CloseAsync(service, "outbox", "insert"))
        {
            var append = service.EventAsync(Ada, purpose: "events");
            await gate.ReachedAsync();
            var first = await service.PostAsync("/v1/retention/runs", new JsonObject()).ReadAsync(HttpStatusCode.Accepted);
            (await service.DoneAsync(first.Text("id"))).Purged().ShouldBe(0);
            await gate.OpenAsync();
            await append;
        }

        var run = await service.PurgeAsync();
        run.Purged("lapsed").ShouldBe(1);
        run.Purged("address").ShouldBe(0);
        var found = await service.PostAsync("/v1/subscribers/lookup", new JsonObject { ["address"] = Ada }).ReadAsync();
        found.Text("address").ShouldBe(Ada);
    }

    [Fact]
    public async Task A_hold_that_was_answered_keeps_all_that_was_there()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.PurposeAsync("events");
        var id = (await service.EventAsync(Ada, "withdrawn", occurredAt: Start)).Text("subscriberId");
        await service.EventAsync(Ada, "withdrawn", purpose: "events", occurredAt: Start);
        service.Clock.SetUtcNow(Start.AddMonths(24));
        await using var gate = await Gate.CloseAsync(service, "purge_record", "insert");
        var run = await service.PostAsync("/v1/retention/runs", new JsonObject()).ReadAsync(HttpStatusCode.Accepted);
        await gate.ReachedAsync();

        var hold = service.PutAsync($"/v1/subscribers/{id}/hold", new JsonObject { ["reason"] = "A claim." }).ReadAsync();
        await Task.Delay(100, TestContext.Current.CancellationToken);
        hold.IsCompleted.ShouldBeFalse();
        await gate.OpenAsync();
        await hold;
        // What went before the answer is gone: one pair, or both and the address with them.
        var kept = await service.CountAsync("consent_event");
        var addresses = await service.CountAsync("subscriber");
        addresses.ShouldBe(kept == 0 ? 0 : 1);
        var done = await service.DoneAsync(run.Text("id"));

        (await service.CountAsync("consent_event")).ShouldBe(kept);
        (await service.CountAsync("subscriber")).ShouldBe(addresses);
        done.Purged("lapsed").ShouldBe(2 - kept);
        done.Purged("address").ShouldBe(1 - addresses);
    }

    [Theory]
    [InlineData("rights_request", "requests")]
    [InlineData("audit_entry", "audit")]
    public async Task A_hold_on_somebody_without_a_state_waits_for_what_is_being_deleted_of_them(string table, string rule)
    {
        await using var service = await TestService.StartAsync(databases);
        var id = (await service.PostAsync("/v1/requests", new JsonObject { ["kind"] = "access", ["address"] = Ada }).ReadAsync(HttpStatusCode.Created));
        await service.PostAsync($"/v1/requests/{id.Text("id")}/refuse", new JsonObject { ["reason"] = "It was asked for a week ago." }).ReadAsync();
        service.Clock.SetUtcNow(Start.AddYears(7));
        await using var gate = await Gate.CloseAsync(service, table, "delete");
        var run = await service.PostAsync("/v1/retention/runs", new JsonObject()).ReadAsync(HttpStatusCode.Accepted);
        await gate.ReachedAsync();

        var hold = service.PutAsync($"/v1/subscribers/{id.Text("subscriberId")}/hold", new JsonObject { ["reason"] = "A claim." }).ReadAsync();
        await Task.Delay(200, TestContext.Current.CancellationToken);
        hold.IsCompleted.ShouldBeFalse();
        await gate.OpenAsync();
        await hold;

        (await service.CountAsync("rights_request")).ShouldBe(0, "It went before the hold was answered.");
        (await service.DoneAsync(run.Text("id"))).Purged(rule).ShouldBeGreaterThan(0);
    }

    [Fact]
    public async Task Batches_are_as_small_as_was_set_and_what_was_read_is_not_read_again()
    {
        await using var service = await TestService.StartAsync(databases, builder => builder.Configuration["ConsentLedger:Retention:BatchSize"] = "2");
        await service.PurposeAsync();
        for (var i = 0; i < 7; i++)
        {
            await service.EventAsync($"person{i}@museum.example", "withdrawn", occurredAt: Start.AddMonths(-24));
        }

        var progress = new List<long>();
        await service.Services.GetRequiredService<RetentionRunner>().RunAsync(
            Actor.OfCommand("purge"), PurgeTrigger.Cli, dryRun: false, new Told(run => progress.Add(run.Purged.Lapsed)), TestContext.Current.CancellationToken);

        // A row says which transaction wrote it.
        (await service.SqlAsync(
            "select string_agg(rows::text, ' ' order by rows desc) from (select count(*) as rows from purge_record where rule = 'lapsed' group by xmin::text) batch"))
            .ShouldBe("2 2 2 1");
        progress.Distinct().ShouldBe([2, 4, 6, 7]);
    }

    [Fact]
    public async Task The_schedule_asks_for_one_run_however_many_instances_and_times_there_are()
    {
        await using var service = await TestService.StartAsync(databases, Schedule("17 3 * * *"));
        await using var other = await TestService.StartAsync(service.ConnectionString, service.Keys, service.Clock, Schedule("17 3 * * *"));
        await service.PurposeAsync();
        await service.EventAsync(Ada, "requested", occurredAt: Start.AddDays(-30).AddHours(1));

        service.Clock.SetUtcNow(new DateTimeOffset(2026, 11, 23, 3, 16, 59, TimeSpan.Zero));
        await Task.Delay(200, TestContext.Current.CancellationToken);
        (await service.CountAsync("purge_run")).ShouldBe(0);

        service.Clock.Advance(TimeSpan.FromSeconds(1));
        var run = await FirstRunAsync(service, 1);
        run.Text("trigger").ShouldBe("schedule");
        run.Purged("pending").ShouldBe(1);

        service.Clock.SetUtcNow(new DateTimeOffset(2026, 11, 27, 12, 0, 0, TimeSpan.Zero));
        await FirstRunAsync(service, 2);
        await Task.Delay(200, TestContext.Current.CancellationToken);
        (await service.CountAsync("purge_run")).ShouldBe(2);
        (await service.SqlAsync("select max(scheduled_for) from purge_run")).ShouldBe(new DateTime(2026, 11, 27, 3, 17, 0, DateTimeKind.Utc));
    }

    [Fact]
    public async Task A_clock_that_leapt_ahead_and_was_put_right_does_not_end_the_schedule()
    {
        await using var service = await TestService.StartAsync(databases, Schedule("17 3 * * *"));
        service.Clock.AdjustTime(Start.AddYears(10));
        service.Clock.Advance(TimeSpan.FromMinutes(2));
        await FirstRunAsync(service, 1);

        service.Clock.AdjustTime(Start.AddHours(1));
        await MailScene.UntilAsync(
            async () =>
            {
                service.Clock.Advance(TimeSpan.FromMinutes(10));
                return await service.CountAsync("purge_run", "status = 'completed'") > 1;
            },
            "the next night's run");

        (await service.SqlAsync("select min(scheduled_for) from purge_run")).ShouldBe(new DateTime(2026, 11, 23, 3, 17, 0, DateTimeKind.Utc));
    }

    [Fact]
    public async Task A_night_the_service_slept_through_is_made_up_for_at_its_start_once()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.SqlAsync("insert into installation (master_key_check, created_at) values ('\\x00', '2026-11-01') on conflict do nothing");
        await service.SqlAsync("update installation set created_at = '2026-11-01'");

        await using (var started = await TestService.StartAsync(service.ConnectionString, service.Keys, service.Clock, Schedule("17 3 * * *")))
        {
            (await FirstRunAsync(started, 1)).Text("trigger").ShouldBe("schedule");
        }

        await using (await TestService.StartAsync(service.ConnectionString, service.Keys, service.Clock, Schedule("17 3 * * *")))
        {
            await Task.Delay(200, TestContext.Current.CancellationToken);
        }

        (await service.CountAsync("purge_run")).ShouldBe(1);
    }

    [Theory]
    [InlineData("Schedule", "nightly")]
    [InlineData("Schedule", "61 3 * * *")]
    [InlineData("Schedule", "0 0 31 2 *")]
    [InlineData("BatchSize", "0")]
    public async Task A_wrong_setting_ends_the_start_with_one_line(string name, string value)
    {
        var wrong = await Should.ThrowAsync<StartupException>(async () =>
        {
            await using var service = await TestService.StartAsync(databases, builder => builder.Configuration[$"ConsentLedger:Retention:{name}"] = value);
        });

        wrong.Message.ShouldStartWith($"ConsentLedger:Retention:{name} ");
        wrong.Message.ShouldNotContain('\n');
    }

    [Fact]
    public async Task A_purge_says_in_the_metrics_how_many_went_by_which_rule()
    {
        await using var service = await TestService.StartAsync(databases);
        await SceneAsync(service);
        var counted = new Dictionary<string, long>();
        using var listener = new System.Diagnostics.Metrics.MeterListener();
        listener.InstrumentPublished = (instrument, self) =>
        {
            if (instrument.Name == "consentledger.retention.purged" && ReferenceEquals(instrument.Meter.Scope, service.Services.GetRequiredService<System.Diagnostics.Metrics.IMeterFactory>()))
            {
                self.EnableMeasurementEvents(instrument);
            }
        };
        listener.SetMeasurementEventCallback<long>((_, count, tags, _) =>
        {
            var rule = (string)tags[0].Value!;
            counted[rule] = counted.GetValueOrDefault(rule) + count;
        });
        listener.Start();

        var run = await service.PurgeAsync();

        counted.Where(pair => pair.Value > 0).ToDictionary(pair => pair.Key, pair => pair.Value).ShouldBe(
            run["purged"]!.AsObject().Where(pair => pair.Value!.GetValue<long>() > 0).ToDictionary(pair => pair.Key, pair => pair.Value!.GetValue<long>()), ignoreOrder: true);
    }

    /// <summary>Something due by each rule, and something by none, on 22 November 2028.</summary>
    internal static async Task SceneAsync(TestService service)
    {
        await service.PurposeAsync(with: Purges.Retention(evidence: "P6M"));
        await service.PurposeAsync("open-day");
        var ending = new JsonObject { ["endsAt"] = "2026-11-22T00:00:00Z" };
        for (var i = 0; i < 3; i++)
        {
            await service.EventAsync($"lapsed{i}@museum.example", occurredAt: Start.AddDays(-5 - i), with: Purges.WithEvidence());
            await service.EventAsync($"lapsed{i}@museum.example", "withdrawn", occurredAt: Start.AddDays(-i));
            await service.EventAsync($"pending{i}@museum.example", "requested", occurredAt: Start.AddDays(-i), with: Purges.WithEvidence());
            await service.EventAsync($"ended{i}@museum.example", purpose: "open-day", occurredAt: Start.AddDays(-9 - i), with: Purges.WithEvidence());
            await service.EventAsync($"given{i}@museum.example", occurredAt: Start.AddDays(-i), with: Purges.WithEvidence());
            await service.EventAsync($"objected{i}@museum.example", "objected", purpose: "*", occurredAt: Start.AddDays(-i));
            await service.EventAsync($"ranout{i}@museum.example", occurredAt: Start.AddDays(-i), with: new JsonObject { ["expiresAt"] = $"2028-0{i + 1}-01T00:00:00Z" });
            await service.EventAsync($"longago{i}@museum.example", occurredAt: Start.AddYears(-3), with: new JsonObject { ["expiresAt"] = "2025-01-01T00:00:00Z" });
        }

        await service.PurposeAsync("open-day", with: ending);
        service.Clock.SetUtcNow(Start.AddMonths(24));
    }

    private static Action<Microsoft.AspNetCore.Builder.WebApplicationBuilder> Schedule(string cron) =>
        builder => builder.Configuration["ConsentLedger:Retention:Schedule"] = cron;

    /// <summary>The newest run, once there are so many and it is done.</summary>
    private static async Task<JsonNode> FirstRunAsync(TestService service, int count)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        while (await service.CountAsync("purge_run", "status = 'completed'") < count)
        {
            await Task.Delay(10, deadline.Token);
        }

        return (await service.GetAsync("/v1/retention/runs").ReadAsync())["items"]![0]!;
    }

    /// <summary>Unlike <see cref="Progress{T}"/>, told at once and in order.</summary>
    private sealed class Told(Action<PurgeRun> tell) : IProgress<PurgeRun>
    {
        public void Report(PurgeRun value) => tell(value);
    }
}
