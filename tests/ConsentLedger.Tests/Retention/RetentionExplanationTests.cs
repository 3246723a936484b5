using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Retention;
using ConsentLedger.Subscribers;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Unsubscribe;
using CsCheck;
using Microsoft.Extensions.DependencyInjection;

namespace ConsentLedger.Tests.Retention;

public sealed class RetentionExplanationTests(TestDatabase databases)
{
    private const string Ada = "ada@museum.example";
    private static readonly DateTimeOffset Start = TestService.Start;

    [Fact]
    public async Task Each_record_is_there_with_when_it_goes_and_why()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync(with: new JsonObject { ["retention"] = new JsonObject { ["evidence"] = "P6M", ["lapsed"] = "P12M" } });
        await service.PurposeAsync("trips");
        await service.EventAsync(Ada, occurredAt: Start.AddMonths(-3), with: new JsonObject { ["evidence"] = new JsonObject { ["ip"] = "192.0.2.7" } });
        await service.EventAsync(Ada, "withdrawn", occurredAt: Start.AddMonths(-1));
        await service.EventAsync(Ada, "requested", "trips", Start.AddDays(-10));

        var kept = await ExplainAsync(service);

        kept["heldBy"].ShouldBeNull();
        kept["records"]!.AsArray().Select(Line).ShouldBe(
        [
            "event trips requested pending 2026-12-12",
            "evidence newsletter given evidence 2027-02-22",
            "event newsletter given lapsed 2027-10-22",
            "event newsletter withdrawn lapsed 2027-10-22",
            "address * - address 2027-10-22",
            "audit-entry * - audit 2032-11-22",
        ]);
        kept["records"]![0]!.Text("period").ShouldBe("P30D");
        kept["records"]![0]!.Text("countsFrom").ShouldBe("2026-11-12T09:30:00Z");
        (await service.SqlAsync("select count(*) from audit_entry where action = 'retention-explained'")).ShouldBe(1L);
    }

    [Fact]
    public async Task What_stands_has_no_date_and_what_is_held_says_by_what()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        var id = (await service.EventAsync(Ada, occurredAt: Start.AddYears(-9))).Text("subscriberId");

        (await ExplainAsync(service))["records"]!.AsArray().Select(Line).ShouldBe(["audit-entry * - audit 2032-11-22", "event newsletter given - -", "address * - - -"]);
        await service.PutAsync($"/v1/subscribers/{id}/hold", new JsonObject { ["reason"] = "A claim" }).ReadAsync();
        (await ExplainAsync(service)).Text("heldBy").ShouldBe("legal-hold");
        await service.SendAsync(HttpMethod.Delete, $"/v1/subscribers/{id}/hold");
        await service.EventAsync(Ada, "restricted", "*");
        var restricted = await service.PostAsync("/v1/retention/preview", new JsonObject { ["subscriberId"] = id }).ReadAsync();
        restricted.Text("heldBy").ShouldBe("restriction");
    }

    [Fact]
    public async Task What_a_request_hides_does_not_go_before_the_request()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, "withdrawn", occurredAt: Start.AddMonths(-25));
        await service.EventAsync(Ada, "requested", occurredAt: Start.AddDays(-10));

        (await ExplainAsync(service))["records"]!.AsArray().Select(Line).ShouldBe(
        [
            "event newsletter requested pending 2026-12-12",
            "event newsletter withdrawn lapsed 2026-12-12",
            "address * - address 2026-12-12",
            "audit-entry * - audit 2032-11-22",
        ]);

        service.Clock.SetUtcNow(Start.AddDays(20));
        await service.PurgeAsync();
        (await service.CountAsync("consent_event")).ShouldBe(1, "The request alone is gone.");
        await service.PurgeAsync();
        (await service.CountAsync("consent_event")).ShouldBe(0);
        (await service.CountAsync("subscriber")).ShouldBe(0);
    }

    [Fact]
    public async Task What_stays_of_whom_everything_went_is_named_and_what_passes_has_its_date()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, "withdrawn", occurredAt: Start.AddMonths(-25));
        await service.PurgeAsync();
        var id = service.IdOf(Ada);
        await service.SqlAsync($"insert into mail_outbox (subscriber_id, mail_id, kind, message_id, status, next_attempt_at, created_at, finished_at) values ('{id}', gen_random_uuid(), 'test', 'x', 'sent', '{Start:O}', '{Start:O}', '{Start:O}')");

        (await ExplainAsync(service))["records"]!.AsArray().Select(Line).ShouldBe(
        [
            "mail * - - 2026-12-22",
            "audit-entry * - audit 2032-11-22",
            "suppression newsletter withdrawn - -",
            "deletion newsletter withdrawn - -",
            "deletion * - - -",
        ], ignoreOrder: true);
    }

    [Fact]
    public async Task A_request_says_when_it_goes_once_it_is_closed()
    {
        await using var service = await TestService.StartAsync(databases, builder => builder.Configuration["ConsentLedger:Retention:Requests"] = "P1Y");
        var open = await RequestAsync();
        var closed = await RequestAsync();
        service.Clock.Advance(TimeSpan.FromDays(10));
        await service.PostAsync($"/v1/requests/{closed}/refuse", new JsonObject { ["reason"] = "It was asked for a week ago." }).ReadAsync();

        var requests = (await ExplainAsync(service))["records"]!.AsArray().Where(record => record!.Text("record") == "request").ToList();

        requests.Select(record => $"{record!.Text("requestId")} {Line(record)}").ShouldBe([$"{closed} request * - requests 2027-12-02", $"{open} request * - - -"]);
        requests[0]!.Text("countsFrom").ShouldBe("2026-12-02T09:30:00Z");
        requests[0]!.Text("occurredAt").ShouldBe("2026-11-22T09:30:00Z");

        async Task<string> RequestAsync() =>
            (await service.PostAsync("/v1/requests", new JsonObject { ["kind"] = "access", ["address"] = Ada }).ReadAsync(HttpStatusCode.Created)).Text("id");
    }

    [Fact]
    public async Task Of_somebody_unknown_it_holds_that_somebody_asked_and_what_is_wrong_is_said()
    {
        await using var service = await TestService.StartAsync(databases);
        (await ExplainAsync(service))["records"]!.AsArray().Select(Line).ShouldBe(["audit-entry * - audit 2032-11-22"]);
        await service.PostAsync("/v1/retention/preview", new JsonObject()).ReadErrorAsync("address");
        await service.PostAsync("/v1/retention/preview", new JsonObject { ["address"] = Ada, ["subscriberId"] = Guid.NewGuid() }).ReadErrorAsync("address");
        await service.PostAsync("/v1/retention/preview", new JsonObject { ["address"] = Ada }, await service.CreateKeyAsync(["retention:read"], "newsletter"))
            .ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
    }

    [Fact]
    public async Task The_policy_names_every_rule_of_every_purpose()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync("open-days", with: new JsonObject { ["endsAt"] = "2027-06-01T00:00:00Z", ["retention"] = new JsonObject { ["lapsed"] = "P1M", ["evidence"] = "P6M" } });

        var policy = await service.GetAsync("/v1/retention/policy").ReadAsync();

        policy["items"]!.AsArray().Select(item => $"{item!.Text("purpose")} {item!.Text("rule")} {item!["period"]}").ShouldBe(
            ["open-days pending P30D", "open-days lapsed P1M", "open-days ended P1M", "open-days evidence P6M", "* facets P24M", "* address ", "* requests P36M", "* audit P72M"]);
        policy["items"]![2]!.Text("endsAt").ShouldBe("2027-06-01T00:00:00Z");
    }

    [Fact]
    public async Task For_any_history_what_it_says_is_what_the_forecast_counts()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync(with: new JsonObject { ["retention"] = new JsonObject { ["pending"] = "P30D", ["lapsed"] = "P2M", ["evidence"] = "P1M" } });
        await service.PurposeAsync("trips", with: new JsonObject { ["endsAt"] = Start.AddDays(-20).UtcDateTime.ToString("O"), ["retention"] = new JsonObject { ["lapsed"] = "P1M" } });
        var forecast = service.Services.GetRequiredService<RetentionForecast>();
        var explanation = service.Services.GetRequiredService<RetentionExplanation>();
        var ledger = service.Services.GetRequiredService<LedgerStore>();
        var said = Gen.Select(
            Gen.Int[1, 2], Gen.OneOf(EventKind.Given, EventKind.Renewed, EventKind.Withdrawn, EventKind.Refused, EventKind.Expired), Gen.Int[0, 120], Gen.Int[0, 60], Gen.Bool, Gen.Guid);

        await Gen.Select(said.Array[1, 5], Gen.Bool).SampleAsync(
            async (history, asked) =>
            {
                await service.SqlAsync("truncate consent_event, consent_state, evidence, subscriber, outbox");
                var subscriber = new SubscriberId(Guid.NewGuid());
                foreach (var (purpose, kind, daysAgo, lasts, shown, id) in history.DistinctBy(one => one.Item6))
                {
                    await AppendAsync(purpose, kind, daysAgo, kind.Permits() && lasts > 0 ? Start.AddDays(lasts - daysAgo) : null, shown, id);
                }

                if (asked && history.All(one => one.Item1 != 1))
                {
                    await AppendAsync(1, EventKind.Requested, 10, null, false, Guid.NewGuid());
                }

                var counted = await forecast.CountAsync(Start, CancellationToken.None);
                var kept = (await explanation.ExplainAsync(subscriber, Start, CancellationToken.None)).Records;
                kept.ShouldAllBe(record => record.Record != RetainedRecord.AuditEntry && record.Record != RetainedRecord.Request);
                foreach (var rule in Enum.GetValues<PurgeRule>())
                {
                    var label = Label<PurgeRule>.Of(rule);

                    // The forecast also counts the expired event that is yet to come of what runs out; evidence goes with its event uncounted.
                    Assert(row => row.Now, Start, label, rule);
                    Assert(row => row.In30Days, Start.AddDays(30), label, rule);
                    Assert(row => row.In90Days, Start.AddDays(90), label, rule);
                }

                void Assert(Func<RetentionForecast.Row, long> count, DateTimeOffset by, string label, PurgeRule rule)
                {
                    var expected = counted.Where(row => row.Rule == label).Sum(count);
                    var going = kept.Where(record => record.Rule == rule && record.GoesAt <= by && (record.Record != RetainedRecord.Evidence || rule == PurgeRule.Evidence)).ToList();
                    var toCome = kept.Where(record => record.Record == RetainedRecord.Event && record.Rule == rule && record.GoesAt <= by)
                        .GroupBy(record => record.Purpose)
                        .Count(pair => RunsOut(pair.Key, by));
                    (going.Count + toCome).ShouldBe((int)expected, $"{label} by {by}: {string.Join(", ", kept)}");
                }

                bool RunsOut(string purpose, DateTimeOffset by)
                {
                    var stands = history.DistinctBy(one => one.Item6).Where(one => one.Item1 == (purpose == "newsletter" ? 1 : 2))
                        .Select(one => State(one.Item1, one.Item2, one.Item3, one.Item2.Permits() && one.Item4 > 0 ? Start.AddDays(one.Item4 - one.Item3) : null, one.Item6))
                        .Aggregate((ConsentState?)null, (state, next) => ConsentState.Fold(state, next));
                    return stands is { } state && state.Kind.Permits() && state.ExpiresAt <= kept.First(record => record.Purpose == purpose && record.Record == RetainedRecord.Event).GoesAt;
                }

                Task AppendAsync(int purpose, EventKind kind, int daysAgo, DateTimeOffset? expiresAt, bool shown, Guid id) => ledger.AppendAsync(
                    new ConsentEvent
                    {
                        SubscriberId = subscriber,
                        Id = new EventId(id),
                        Purpose = new PurposeId(purpose),
                        Kind = kind,
                        Source = SourceKind.Api,
                        OccurredAt = Start.AddDays(-daysAgo),
                        RecordedAt = Start,
                        ExpiresAt = expiresAt,
                        Evidence = shown ? Evidence.Of(new Dictionary<string, object?> { ["ip"] = "192.0.2.7" }) : null,
                    },
                    Address.Parse(Ada, provider: null),
                    CancellationToken.None);
            },
            iter: 120,
            threads: 1);

        static ConsentState State(int purpose, EventKind kind, int daysAgo, DateTimeOffset? expiresAt, Guid id) =>
            new(new PurposeId(purpose), kind, null, Start.AddDays(-daysAgo), expiresAt, new EventId(id));
    }

    private static Task<JsonNode> ExplainAsync(TestService service) =>
        service.PostAsync("/v1/retention/preview", new JsonObject { ["address"] = Ada }).ReadAsync();

    private static string Line(JsonNode? record) =>
        $"{record!.Text("record")} {record!.Text("purpose")} {record!["kind"]?.GetValue<string>() ?? "-"} {record!["rule"]?.GetValue<string>() ?? "-"} {record!["goesAt"]?.GetValue<string>()[..10] ?? "-"}";
}
