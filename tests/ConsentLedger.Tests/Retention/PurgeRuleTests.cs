using System.Text.Json.Nodes;
using ConsentLedger.Ledger;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Retention;

public sealed class PurgeRuleTests(TestDatabase databases)
{
    private const string Ada = "ada@museum.example";
    private const string Ben = "ben@museum.example";
    private static readonly DateTimeOffset Start = TestService.Start;
    private static readonly TimeSpan Moment = TimeSpan.FromMicroseconds(1);

    [Fact]
    public async Task A_sign_up_nobody_confirmed_goes_at_the_instant_its_time_is_over_and_the_address_with_it()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, "requested", occurredAt: Start, with: Purges.WithEvidence());

        service.Clock.SetUtcNow(Start.AddDays(30) - Moment);
        (await service.PurgeAsync()).Purged().ShouldBe(0);
        (await service.ReasonAsync(Ada)).ShouldBe("pending");

        service.Clock.Advance(Moment);
        var run = await service.PurgeAsync();

        run.Purged("pending").ShouldBe(1);
        run.Purged("address").ShouldBe(1);
        run.Purged().ShouldBe(2);
        (await service.ReasonAsync(Ada)).ShouldBe("unknown");
        foreach (var table in (string[])["consent_event", "evidence", "consent_state", "suppression", "subscriber"])
        {
            (await service.CountAsync(table)).ShouldBe(0, table);
        }
    }

    [Theory]
    [InlineData("withdrawn", true)]
    [InlineData("refused", true)]
    [InlineData("revoked", true)]
    [InlineData("invalidated", true)]
    [InlineData("objected", true)]
    [InlineData("expired", false)]
    public async Task A_lapsed_consent_goes_at_the_instant_its_time_is_over_and_a_refusal_stays_suppressed(string kind, bool suppressed)
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, occurredAt: Start.AddYears(-1), with: Purges.WithEvidence());
        await service.EventAsync(Ada, kind, occurredAt: Start);

        service.Clock.SetUtcNow(Start.AddMonths(24) - Moment);
        (await service.PurgeAsync()).Purged().ShouldBe(0);

        service.Clock.Advance(Moment);
        var run = await service.PurgeAsync();

        run.Purged("lapsed").ShouldBe(2);
        run.Purged("address").ShouldBe(1);
        (await service.CountAsync("consent_event")).ShouldBe(0);
        (await service.CountAsync("evidence")).ShouldBe(0);
        (await service.CountAsync("subscriber")).ShouldBe(0);
        (await service.CountAsync("suppression")).ShouldBe(suppressed ? 1 : 0);
        (await service.ReasonAsync(Ada)).ShouldBe(suppressed ? kind : "unknown");

        // What is left is settled: nothing to do the next night, nor in ten years, when the audit trail has gone as well.
        service.Clock.Advance(TimeSpan.FromDays(3653));
        run = await service.PurgeAsync();
        run.Purged().ShouldBe(run.Purged("audit"));
        (await service.ReasonAsync(Ada)).ShouldBe(suppressed ? kind : "unknown");
    }

    [Fact]
    public async Task A_month_is_a_calendar_month_as_periods_count_it()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync(with: Purges.Retention(lapsed: "P1M"));
        service.Clock.SetUtcNow(new DateTimeOffset(2027, 1, 31, 12, 0, 0, TimeSpan.Zero));
        await service.EventAsync(Ada, "withdrawn");

        service.Clock.SetUtcNow(new DateTimeOffset(2027, 2, 28, 12, 0, 0, TimeSpan.Zero) - Moment);
        (await service.PurgeAsync()).Purged().ShouldBe(0);

        service.Clock.Advance(Moment);
        (await service.PurgeAsync()).Purged("lapsed").ShouldBe(1);
    }

    [Fact]
    public async Task After_a_purge_an_older_consent_does_not_bring_the_person_back_and_a_newer_one_does()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, "withdrawn", occurredAt: Start);
        service.Clock.SetUtcNow(Start.AddMonths(24));
        await service.PurgeAsync();

        await service.EventAsync(Ada, occurredAt: Start.AddMonths(-6));
        (await service.ReasonAsync(Ada)).ShouldBe("withdrawn");

        // What an old list brought in lapses with the refusal that beats it.
        (await service.PurgeAsync()).Purged("lapsed").ShouldBe(1);
        (await service.ReasonAsync(Ada)).ShouldBe("withdrawn");

        await service.EventAsync(Ada, occurredAt: Start.AddMonths(24));
        (await service.ReasonAsync(Ada)).ShouldBe("given");
        (await service.PurgeAsync()).Purged().ShouldBe(0);
        (await service.ReasonAsync(Ada)).ShouldBe("given");
    }

    [Fact]
    public async Task A_refusal_under_an_expiry_is_kept()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, occurredAt: Start.AddDays(-10), with: new JsonObject { ["expiresAt"] = "2026-11-21T00:00:00Z" });
        await service.PurgeAsync();
        (await service.ReasonAsync(Ada)).ShouldBe("expired");
        await service.EventAsync(Ada, "withdrawn", occurredAt: Start.AddDays(-5));

        service.Clock.SetUtcNow(Start.AddMonths(24));
        (await service.PurgeAsync()).Purged("lapsed").ShouldBe(3);

        (await service.ReasonAsync(Ada)).ShouldBe("withdrawn");
    }

    [Fact]
    public async Task A_request_after_a_refusal_goes_and_the_refusal_shows_again()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, "requested", occurredAt: Start.AddDays(-3));
        await service.EventAsync(Ada, "withdrawn", occurredAt: Start.AddDays(-2));
        await service.EventAsync(Ada, "requested", occurredAt: Start.AddDays(-1));
        await service.EventAsync(Ada, "requested", occurredAt: Start);
        (await service.ReasonAsync(Ada)).ShouldBe("pending");

        service.Clock.SetUtcNow(Start.AddDays(30));
        var run = await service.PurgeAsync();

        run.Purged("pending").ShouldBe(2);
        run.Purged().ShouldBe(2);
        (await service.ReasonAsync(Ada)).ShouldBe("withdrawn");
    }

    [Fact]
    public async Task Evidence_goes_before_its_event_and_nothing_else_changes()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync(with: Purges.Retention(evidence: "P6M"));
        await service.PurposeAsync("events");
        await service.EventAsync(Ada, occurredAt: Start, with: Purges.WithEvidence());
        await service.EventAsync(Ada, purpose: "events", occurredAt: Start, with: Purges.WithEvidence());
        var evidence = await service.CountAsync("evidence");

        service.Clock.SetUtcNow(Start.AddMonths(6) - Moment);
        (await service.PurgeAsync()).Purged().ShouldBe(0);

        service.Clock.Advance(Moment);
        var run = await service.PurgeAsync();

        run.Purged("evidence").ShouldBe(1);
        run.Purged().ShouldBe(1);
        (await service.CountAsync("evidence")).ShouldBe(evidence - 1);
        (await service.CountAsync("consent_event")).ShouldBe(2);
        (await service.ReasonAsync(Ada)).ShouldBe("given");
        (await service.PurgeAsync()).Purged().ShouldBe(0);
    }

    [Fact]
    public async Task Several_pieces_of_evidence_of_one_subscriber_go_together()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync(with: Purges.Retention(evidence: "P1D"));
        for (var i = 0; i < 3; i++)
        {
            await service.EventAsync(Ada, occurredAt: Start.AddHours(-i), with: Purges.WithEvidence());
        }

        service.Clock.SetUtcNow(Start.AddDays(1));
        (await service.PurgeAsync()).Purged("evidence").ShouldBe(3);

        (await service.CountAsync("evidence")).ShouldBe(0);
        (await service.CountAsync("consent_event")).ShouldBe(3);
    }

    [Fact]
    public async Task All_of_a_purpose_goes_once_it_ended_long_enough_ago_and_only_refusals_stay()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync("open-day");
        await service.PurposeAsync("newsletter");
        await service.EventAsync(Ada, purpose: "open-day", occurredAt: Start.AddDays(-9));
        await service.EventAsync(Ben, "refused", purpose: "open-day", occurredAt: Start.AddDays(-9));
        await service.EventAsync("cai@museum.example", "requested", purpose: "open-day", occurredAt: Start);
        await service.EventAsync(Ada, occurredAt: Start.AddDays(-9));
        var ending = Purges.Retention(lapsed: "P10D", pending: "P90D");
        ending["endsAt"] = "2026-12-01T00:00:00Z";
        await service.PurposeAsync("open-day", with: ending);

        service.Clock.SetUtcNow(new DateTimeOffset(2026, 12, 11, 0, 0, 0, TimeSpan.Zero) - Moment);
        (await service.PurgeAsync()).Purged("ended").ShouldBe(0);

        service.Clock.Advance(Moment);
        var run = await service.PurgeAsync();

        // The refusal had lapsed by itself.
        run.Purged("ended").ShouldBe(2);
        run.Purged("address").ShouldBe(1);
        (await service.CountAsync("consent_event")).ShouldBe(1);
        (await service.CountAsync("consent_state")).ShouldBe(2);
        (await service.CountAsync("suppression")).ShouldBe(1);
        (await service.ReasonAsync(Ada, "open-day")).ShouldBe("purpose-ended");
        (await service.ReasonAsync(Ada)).ShouldBe("given");

        // Ending a purpose never makes anyone mailable, and neither does taking the end back.
        await service.PurposeAsync("open-day", with: new JsonObject { ["endsAt"] = null });
        (await service.ReasonAsync(Ben, "open-day")).ShouldBe("refused");
        (await service.ReasonAsync(Ada, "open-day")).ShouldBe("unknown");
    }

    [Theory]
    [InlineData("objected", "objected")]
    [InlineData("suppressed", "suppressed")]
    public async Task What_forbids_everything_stays_in_force_after_its_event_has_gone(string kind, string reason)
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, kind, purpose: "*", occurredAt: Start.AddDays(-1));
        await service.EventAsync(Ada, kind, purpose: "*", occurredAt: Start);

        service.Clock.SetUtcNow(Start.AddMonths(24).AddDays(-1) - Moment);
        (await service.PurgeAsync()).Purged().ShouldBe(0);
        service.Clock.Advance(Moment);
        (await service.PurgeAsync()).Purged("facets").ShouldBe(1);
        (await service.CountAsync("suppression")).ShouldBe(0);
        service.Clock.SetUtcNow(Start.AddMonths(24) - Moment);
        (await service.PurgeAsync()).Purged().ShouldBe(0);
        service.Clock.Advance(Moment);
        var run = await service.PurgeAsync();

        run.Purged("facets").ShouldBe(1);
        run.Purged("address").ShouldBe(1);
        (await service.CountAsync("consent_event")).ShouldBe(0);
        (await service.ReasonAsync(Ada)).ShouldBe(reason);
        await service.EventAsync(Ada, occurredAt: Start.AddDays(-2));
        (await service.ReasonAsync(Ada)).ShouldBe(reason);
    }

    [Fact]
    public async Task A_suppression_that_was_lifted_leaves_nothing()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, "suppressed", purpose: "*", occurredAt: Start.AddDays(-1));
        await service.EventAsync(Ada, "released", purpose: "*", occurredAt: Start);

        service.Clock.SetUtcNow(Start.AddMonths(24));
        (await service.PurgeAsync()).Purged("facets").ShouldBe(2);

        (await service.CountAsync("consent_state")).ShouldBe(0);
        (await service.CountAsync("suppression")).ShouldBe(0);
        (await service.ReasonAsync(Ada)).ShouldBe("unknown");
    }

    [Fact]
    public async Task A_suppression_lifted_after_it_was_kept_does_not_come_back()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, occurredAt: Start);
        await service.EventAsync(Ada, "suppressed", purpose: "*", occurredAt: Start);
        service.Clock.SetUtcNow(Start.AddMonths(24));
        await service.PurgeAsync();
        (await service.ReasonAsync(Ada)).ShouldBe("suppressed");

        await service.EventAsync(Ada, "released", purpose: "*");
        (await service.ReasonAsync(Ada)).ShouldBe("given");
        service.Clock.SetUtcNow(Start.AddMonths(48));
        (await service.PurgeAsync()).Purged("facets").ShouldBe(1);

        (await service.ReasonAsync(Ada)).ShouldBe("given");
    }

    [Fact]
    public async Task What_runs_out_is_recorded_as_expired_once_with_the_instant_it_ran_out()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync(with: new JsonObject { ["consentLifetime"] = "P12M" });
        var given = await service.EventAsync(Ada, occurredAt: Start);

        service.Clock.SetUtcNow(Start.AddMonths(12) - Moment);
        (await service.PurgeAsync())["expired"]!.GetValue<long>().ShouldBe(0);
        (await service.ReasonAsync(Ada)).ShouldBe("given");

        service.Clock.Advance(Moment + TimeSpan.FromHours(1));
        (await service.ReasonAsync(Ada)).ShouldBe("expired");
        (await service.PurgeAsync())["expired"]!.GetValue<long>().ShouldBe(1);
        (await service.PurgeAsync())["expired"]!.GetValue<long>().ShouldBe(0);

        (await service.ReasonAsync(Ada)).ShouldBe("expired");
        var history = await service.GetAsync($"/v1/subscribers/{given.Text("subscriberId")}/events").ReadAsync();
        history["items"]!.AsArray().Count.ShouldBe(2);
        var expired = history["items"]![0]!;
        expired.Text("kind").ShouldBe("expired");
        expired.Text("occurredAt").ShouldBe("2026-11-22T09:30:00Z");
        expired.Text("expiresAt").ShouldBe("2027-11-22T09:30:00Z");
        expired.Text("basis").ShouldBe("consent");
        (await service.CountAsync($"consent_event join {TestService.Logged} using (subscriber_id, event_id)", "kind = 'expired'")).ShouldBe(1);

        // It lapses from when it ran out, not from when that was noticed.
        service.Clock.SetUtcNow(Start.AddMonths(36) - Moment);
        (await service.PurgeAsync()).Purged().ShouldBe(0);
        service.Clock.Advance(Moment);
        (await service.PurgeAsync()).Purged("lapsed").ShouldBe(2);
        (await service.ReasonAsync(Ada)).ShouldBe("unknown");
    }

    [Fact]
    public async Task A_renewal_before_the_old_expiry_runs_on_until_its_own()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync(with: new JsonObject { ["consentLifetime"] = "P12M" });
        await service.EventAsync(Ada, occurredAt: Start);
        service.Clock.SetUtcNow(Start.AddMonths(12).AddDays(2));
        await service.EventAsync(Ada, "renewed", occurredAt: Start.AddMonths(12).AddDays(-1));

        (await service.PurgeAsync())["expired"]!.GetValue<long>().ShouldBe(0);

        (await service.ReasonAsync(Ada)).ShouldBe("renewed");
        service.Clock.SetUtcNow(Start.AddMonths(24).AddDays(-1));
        (await service.PurgeAsync())["expired"]!.GetValue<long>().ShouldBe(1);
        (await service.ReasonAsync(Ada)).ShouldBe("expired");
    }

    [Fact]
    public async Task A_renewal_before_the_expiry_wins_also_when_it_is_recorded_after_the_expired_event()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync(with: new JsonObject { ["consentLifetime"] = "P12M" });
        await service.EventAsync(Ada, occurredAt: Start);
        service.Clock.SetUtcNow(Start.AddMonths(12).AddDays(2));
        (await service.PurgeAsync())["expired"]!.GetValue<long>().ShouldBe(1);
        (await service.ReasonAsync(Ada)).ShouldBe("expired");

        await service.EventAsync(Ada, "renewed", occurredAt: Start.AddMonths(12).AddDays(-1));

        (await service.ReasonAsync(Ada)).ShouldBe("renewed");
        (await StateRebuild.RunAsync(service.Database, TestContext.Current.CancellationToken)).Mended.ShouldBe(0);
    }

    [Fact]
    public async Task A_check_says_the_same_before_and_after_an_expiry_is_recorded()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync(with: new JsonObject { ["consentLifetime"] = "P12M" });
        await service.EventAsync(Ada, occurredAt: Start);
        service.Clock.SetUtcNow(Start.AddMonths(13));
        var before = await service.CheckAsync(Ada);

        (await service.PurgeAsync())["expired"]!.GetValue<long>().ShouldBe(1);

        var after = await service.CheckAsync(Ada);
        foreach (var member in new[] { "allowed", "reason", "status", "basis", "since", "expiresAt" })
        {
            after[member]!.ToJsonString().ShouldBe(before[member]!.ToJsonString(), member);
        }
    }

    [Fact]
    public async Task What_ran_out_long_ago_is_recorded_and_goes_in_one_run()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync(with: new JsonObject { ["consentLifetime"] = "P12M" });
        await service.EventAsync(Ada, occurredAt: Start.AddYears(-4));

        var run = await service.PurgeAsync();

        run["expired"]!.GetValue<long>().ShouldBe(1);
        run.Purged("lapsed").ShouldBe(2);
        (await service.CountAsync(TestService.Logged)).ShouldBe(2);
    }

    [Fact]
    public async Task A_legal_hold_and_a_restriction_keep_everything_and_are_counted()
    {
        await using var service = await TestService.StartAsync(databases, builder => builder.Configuration["ConsentLedger:Retention:BatchSize"] = "1");
        await service.PurposeAsync(with: Purges.Retention(evidence: "P1D"));
        var held = (await service.EventAsync(Ada, "withdrawn", occurredAt: Start, with: Purges.WithEvidence())).Text("subscriberId");
        await service.EventAsync(Ben, "withdrawn", occurredAt: Start);
        await service.EventAsync(Ben, "restricted", purpose: "*", occurredAt: Start);
        await service.EventAsync("cai@museum.example", "withdrawn", occurredAt: Start);
        await service.PutAsync($"/v1/subscribers/{held}/hold", new JsonObject { ["reason"] = "A claim is pending." }).ReadAsync();
        var before = await service.CountAsync("consent_event");

        service.Clock.SetUtcNow(Start.AddMonths(24));
        (await service.PurgeAsync(dryRun: true))["heldBack"]!.GetValue<long>().ShouldBe(2);
        var run = await service.PurgeAsync();

        run.Purged("lapsed").ShouldBe(1);
        run["heldBack"]!.GetValue<long>().ShouldBe(2);
        (await service.CountAsync("consent_event")).ShouldBe(before - 1);
        (await service.CountAsync("purge_record", $"subscriber_id = '{held}'")).ShouldBe(0);

        (await service.SendAsync(HttpMethod.Delete, $"/v1/subscribers/{held}/hold")).StatusCode.ShouldBe(System.Net.HttpStatusCode.NoContent);
        await service.EventAsync(Ben, "unrestricted", purpose: "*");
        run = await service.PurgeAsync();
        run.Purged("lapsed").ShouldBe(2);
        run.Purged("facets").ShouldBe(1);
        run["heldBack"]!.GetValue<long>().ShouldBe(0);
    }
}
