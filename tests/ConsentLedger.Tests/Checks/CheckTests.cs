using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Checks;

public sealed class CheckTests(TestDatabase databases)
{
    private const string Ada = "ada@museum.example";
    private static readonly DateTimeOffset Yesterday = TestService.Start.AddDays(-1);

    [Fact]
    public async Task A_given_consent_is_allowed_and_comes_with_the_way_out()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        var given = await service.EventAsync(Ada, occurredAt: Yesterday);

        var check = await service.CheckAsync("ADA@Museum.Example");

        check["allowed"]!.GetValue<bool>().ShouldBeTrue();
        check.Text("reason").ShouldBe("given");
        check.Text("status").ShouldBe("given");
        check.Text("basis").ShouldBe("consent");
        check.Text("since").ShouldBe("2026-11-21T09:30:00Z");
        check["expiresAt"].ShouldBeNull();
        check.Text("subscriberId").ShouldBe(given.Text("subscriberId"));
        check.Text("eventId").ShouldBe(given["event"]!.Text("id"));
        check.Text("checkedAt").ShouldBe("2026-11-22T09:30:00Z");
        var url = check["unsubscribe"]!.Text("url");
        url.ShouldMatch("^https://consent\\.example/u/[A-Za-z0-9_-]{51}$");
        var headers = check["unsubscribe"]!["headers"]!;
        headers.Text("List-Unsubscribe").ShouldBe($"<{url}>");
        headers.Text("List-Unsubscribe-Post").ShouldBe("List-Unsubscribe=One-Click");
        headers.Text("List-Id").ShouldBe("<newsletter.consent.example>");
    }

    [Theory]
    [InlineData("requested", "pending")]
    [InlineData("refused", "refused")]
    [InlineData("withdrawn", "withdrawn")]
    [InlineData("revoked", "revoked")]
    [InlineData("expired", "expired")]
    [InlineData("invalidated", "invalidated")]
    [InlineData("objected", "objected")]
    [InlineData("renewed", "renewed")]
    public async Task The_newest_event_gives_the_reason(string kind, string reason)
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, occurredAt: Yesterday);
        await service.EventAsync(Ada, kind, occurredAt: Yesterday.AddHours(1));
        await service.EventAsync(Ada, "refused", occurredAt: Yesterday.AddHours(-1));

        var check = await service.CheckAsync(Ada);

        check.Text("reason").ShouldBe(reason);
        check["allowed"]!.GetValue<bool>().ShouldBe(kind == "renewed");
        (check["unsubscribe"] is not null).ShouldBe(kind == "renewed");
    }

    [Fact]
    public async Task On_a_tie_the_one_that_forbids_wins_whichever_came_first()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync("first@museum.example", "given", occurredAt: Yesterday);
        await service.EventAsync("first@museum.example", "withdrawn", occurredAt: Yesterday);
        await service.EventAsync("last@museum.example", "withdrawn", occurredAt: Yesterday);
        await service.EventAsync("last@museum.example", "given", occurredAt: Yesterday);

        (await service.ReasonAsync("first@museum.example")).ShouldBe("withdrawn");
        (await service.ReasonAsync("last@museum.example")).ShouldBe("withdrawn");
    }

    [Fact]
    public async Task An_objection_voids_what_is_older_and_only_a_newer_consent_permits_its_own_purpose_again()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.PurposeAsync("events");
        await service.PurposeAsync("appeals", "legitimate-interests");
        await service.EventAsync(Ada, occurredAt: Yesterday);
        await service.EventAsync(Ada, purpose: "events", occurredAt: Yesterday);
        await service.EventAsync(Ada, "objected", "*", Yesterday.AddHours(1));
        await service.EventAsync(Ada, occurredAt: Yesterday.AddHours(2));
        await service.EventAsync(Ada, "permitted", "appeals", Yesterday.AddHours(2));

        (await service.ReasonAsync(Ada)).ShouldBe("given");
        (await service.ReasonAsync(Ada, "events")).ShouldBe("objected");
        (await service.ReasonAsync(Ada, "appeals")).ShouldBe("objected");

        await service.EventAsync(Ada, "withdrawn", occurredAt: Yesterday.AddHours(3));
        (await service.ReasonAsync(Ada)).ShouldBe("withdrawn");
    }

    [Fact]
    public async Task Suppression_and_restriction_forbid_everything_until_lifted()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.PurposeAsync("bookings", "service");
        await service.EventAsync(Ada, occurredAt: Yesterday);
        await service.EventAsync(Ada, "suppressed", "*", Yesterday.AddHours(1));
        await service.EventAsync(Ada, occurredAt: Yesterday.AddHours(2));

        (await service.ReasonAsync(Ada)).ShouldBe("suppressed");
        (await service.ReasonAsync(Ada, "bookings")).ShouldBe("suppressed");

        await service.EventAsync(Ada, "released", "*", Yesterday.AddHours(3));
        await service.EventAsync(Ada, "restricted", "*", Yesterday.AddHours(4));
        (await service.ReasonAsync(Ada)).ShouldBe("restricted");

        await service.EventAsync(Ada, "unrestricted", "*", Yesterday.AddHours(5));
        (await service.ReasonAsync(Ada)).ShouldBe("given");
    }

    [Fact]
    public async Task A_service_message_needs_no_event_and_passes_an_objection()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync("bookings", "service");
        (await service.ReasonAsync(Ada, "bookings")).ShouldBe("service");

        await service.EventAsync(Ada, "objected", "*");
        (await service.ReasonAsync(Ada, "bookings")).ShouldBe("service");

        await service.EventAsync(Ada, "withdrawn", "bookings");
        (await service.ReasonAsync(Ada, "bookings")).ShouldBe("withdrawn");
    }

    [Fact]
    public async Task Consent_ends_at_the_instant_it_runs_out_and_a_purpose_at_the_instant_it_ends()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync(with: new JsonObject { ["consentLifetime"] = "P1M" });
        await service.PurposeAsync("open-days", with: new JsonObject { ["endsAt"] = "2026-11-23T09:30:00Z" });
        var given = await service.EventAsync(Ada, occurredAt: Yesterday);
        await service.EventAsync(Ada, purpose: "open-days");
        given["event"]!.Text("expiresAt").ShouldBe("2026-12-21T09:30:00Z");

        service.Clock.SetUtcNow(new DateTimeOffset(2026, 11, 23, 9, 29, 59, TimeSpan.Zero));
        (await service.ReasonAsync(Ada, "open-days")).ShouldBe("given");
        service.Clock.SetUtcNow(new DateTimeOffset(2026, 11, 23, 9, 30, 0, TimeSpan.Zero));
        (await service.ReasonAsync(Ada, "open-days")).ShouldBe("purpose-ended");

        service.Clock.SetUtcNow(new DateTimeOffset(2026, 12, 21, 9, 29, 59, TimeSpan.Zero));
        (await service.ReasonAsync(Ada)).ShouldBe("given");
        service.Clock.SetUtcNow(new DateTimeOffset(2026, 12, 21, 9, 30, 0, TimeSpan.Zero));
        var check = await service.CheckAsync(Ada);
        check.Text("reason").ShouldBe("expired");
        check.Text("status").ShouldBe("expired");
    }

    [Fact]
    public async Task As_of_an_instant_only_what_was_recorded_by_then_counts()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, occurredAt: Yesterday);
        service.Clock.Advance(TimeSpan.FromHours(1));
        var before = service.Clock.GetUtcNow();
        service.Clock.Advance(TimeSpan.FromHours(1));

        // It happened before the instant asked about, and nobody knew then.
        await service.EventAsync(Ada, "withdrawn", occurredAt: Yesterday.AddHours(1));

        (await service.ReasonAsync(Ada)).ShouldBe("withdrawn");
        (await service.ReasonAsync(Ada, asOf: before)).ShouldBe("given");
        (await service.ReasonAsync(Ada, asOf: TestService.Start.AddDays(-2))).ShouldBe("unknown");
    }

    [Fact]
    public async Task An_unknown_address_is_not_allowed_and_an_unknown_purpose_is_not_found()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();

        (await service.ReasonAsync("nobody@museum.example")).ShouldBe("unknown");
        await service.PostAsync("/v1/checks", new JsonObject { ["address"] = Ada, ["purpose"] = "newsleter" }).ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        await service.PostAsync("/v1/checks", new JsonObject { ["address"] = Ada, ["purpose"] = "*" }).ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        (await service.PostAsync("/v1/checks", new JsonObject { ["address"] = "tel:+442079460000", ["purpose"] = "newsletter" }).ReadErrorAsync("address")).ShouldContain("email");
        await service.PostAsync("/v1/checks", new JsonObject { ["address"] = Ada, ["purpose"] = "newsletter", ["asOf"] = "2027-01-01T00:00:00Z" }).ReadErrorAsync("asOf");
    }

    [Fact]
    public async Task A_key_bound_to_other_purposes_is_refused()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        var key = await service.CreateKeyAsync(["checks:read", "events:write"], "events");

        await service.PostAsync("/v1/checks", new JsonObject { ["address"] = Ada, ["purpose"] = "newsletter" }, key)
            .ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        await service.PostAsync("/v1/checks/batch", new JsonObject { ["addresses"] = new JsonArray(Ada), ["purpose"] = "newsletter" }, key)
            .ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        await service.PostAsync("/v1/events", Given.Event(Ada), key).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        await service.PostAsync("/v1/events", Given.Event(Ada, "objected", "*"), key).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
    }

    [Fact]
    public async Task A_batch_answers_in_the_order_given()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada);
        await service.EventAsync("bob@museum.example", "withdrawn");
        await service.EventAsync("eve@museum.example");
        await service.EventAsync("eve@museum.example", "suppressed", "*");

        var batch = await service.PostAsync("/v1/checks/batch", new JsonObject
        {
            ["purpose"] = "newsletter",
            ["addresses"] = new JsonArray("bob@museum.example", "Ada@museum.example", "not an address", null, "eve@museum.example", "tel:+442079460000", "nobody@museum.example", Ada),
        }).ReadAsync();

        batch["results"]!.AsArray().Select(result => result!.Text("reason"))
            .ShouldBe(["withdrawn", "given", "invalid-address", "invalid-address", "suppressed", "invalid-address", "unknown", "given"]);
        batch["results"]![1]!.Text("address").ShouldBe("Ada@museum.example");
        batch["results"]![1]!.Text("unsubscribeUrl").ShouldStartWith("https://consent.example/u/");
        batch["results"]![0]!.AsObject().ContainsKey("unsubscribeUrl").ShouldBeFalse();
        batch["allowed"]!.GetValue<int>().ShouldBe(2);
        batch["denied"]!.GetValue<int>().ShouldBe(6);
    }

    [Fact]
    public async Task A_batch_holds_1_to_10000_addresses()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        Task<HttpResponseMessage> Batch(int count) => service.PostAsync("/v1/checks/batch", new JsonObject
        {
            ["purpose"] = "newsletter",
            ["addresses"] = new JsonArray([.. Enumerable.Range(0, count).Select(i => (JsonNode)$"someone-{i}@museum.example")]),
        });

        await Batch(0).ReadErrorAsync("addresses");
        await Batch(10_001).ReadErrorAsync("addresses");
        (await Batch(10_000).ReadAsync())["denied"]!.GetValue<int>().ShouldBe(10_000);
    }

    [Fact]
    public async Task A_state_written_before_a_check_began_is_seen_by_it_however_many_run_at_once()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();

        await Parallel.ForEachAsync(Enumerable.Range(0, 40), new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (i, _) =>
        {
            var address = $"someone-{i}@museum.example";
            for (var round = 0; round < 5; round++)
            {
                await service.EventAsync(address, round % 2 == 0 ? "given" : "withdrawn", occurredAt: Yesterday.AddMinutes(round));
                (await service.ReasonAsync(address)).ShouldBe(round % 2 == 0 ? "given" : "withdrawn");
            }
        });
    }
}
