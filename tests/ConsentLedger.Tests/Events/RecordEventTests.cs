using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Events;

public sealed class RecordEventTests(TestDatabase databases)
{
    private const string Ada = "Ada.Lovelace@Museum.Example";
    private static readonly DateTimeOffset Yesterday = TestService.Start.AddDays(-1);

    [Fact]
    public async Task An_event_is_answered_with_itself_the_state_and_the_subscriber()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.NoticeAsync();

        var answer = await service.EventAsync(Ada, occurredAt: Yesterday, with: new JsonObject
        {
            ["notice"] = new JsonObject { ["version"] = 1 },
            ["source"] = new JsonObject { ["kind"] = "web-form", ["reference"] = "Footer form", ["url"] = "https://museum.example/join" },
            ["evidence"] = new JsonObject { ["ip"] = "192.0.2.7", ["ticked"] = true, ["age"] = 41, ["more"] = new JsonObject { ["deep"] = null } },
            ["guardian"] = new JsonObject { ["name"] = "Anne" },
        });

        var @event = answer["event"]!;
        @event.Text("purpose").ShouldBe("newsletter");
        @event.Text("kind").ShouldBe("given");
        @event.Text("basis").ShouldBe("consent");
        @event.Text("occurredAt").ShouldBe("2026-11-21T09:30:00Z");
        @event.Text("recordedAt").ShouldBe("2026-11-22T09:30:00Z");
        @event["notice"]!["version"]!.GetValue<int>().ShouldBe(1);
        @event["source"]!.ToJsonString().ShouldBe("""{"kind":"web-form","reference":"Footer form","url":"https://museum.example/join"}""");
        @event["evidence"]!.ToJsonString().ShouldBe("""{"ip":"192.0.2.7","ticked":true,"age":41,"more":{"deep":null}}""");
        @event["guardian"]!.Text("name").ShouldBe("Anne");
        answer["state"]!.Text("status").ShouldBe("given");
        answer["state"]!.Text("eventId").ShouldBe(@event.Text("id"));

        var history = await service.PostAsync("/v1/subscribers/history", new JsonObject { ["address"] = "ada.lovelace@museum.example" }).ReadAsync();
        var told = history["items"]!.AsArray().ShouldHaveSingleItem()!;
        told["notice"]!.Text("statement").ShouldBe("Yes, send me the newsletter once a month.");
        told["notice"]!.Text("digest").ShouldMatch("^sha256:[0-9a-f]{64}$");
        JsonNode.DeepEquals(told["evidence"], @event["evidence"]).ShouldBeTrue();

        var lookup = await service.PostAsync("/v1/subscribers/lookup", new JsonObject { ["address"] = "ada.lovelace@museum.example" }).ReadAsync();
        lookup.Text("address").ShouldBe(Ada);
        lookup["states"]!.AsArray().ShouldHaveSingleItem()!.Text("status").ShouldBe("given");
        lookup["objected"]!.GetValue<bool>().ShouldBeFalse();
    }

    [Fact]
    public async Task The_same_id_with_the_same_content_is_the_same_event_and_with_other_content_a_conflict()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        var id = Guid.CreateVersion7();
        var body = Given.Event(Ada, occurredAt: Yesterday, with: new JsonObject { ["id"] = id, ["evidence"] = new JsonObject { ["ip"] = "192.0.2.7" } });

        var first = await service.PostAsync("/v1/events", body).ReadAsync(HttpStatusCode.Created);
        service.Clock.Advance(TimeSpan.FromMinutes(1));
        var again = await service.PostAsync("/v1/events", body).ReadAsync(HttpStatusCode.OK);
        again["event"]!.ToJsonString().ShouldBe(first["event"]!.ToJsonString());

        body["evidence"] = new JsonObject { ["ip"] = "192.0.2.8" };
        await service.PostAsync("/v1/events", body).ReadProblemAsync(HttpStatusCode.Conflict, "event-conflict");
        body["evidence"] = new JsonObject { ["ip"] = "192.0.2.7" };
        body["kind"] = "withdrawn";
        await service.PostAsync("/v1/events", body).ReadProblemAsync(HttpStatusCode.Conflict, "event-conflict");
        (await service.SqlAsync("select count(*) from consent_event")).ShouldBe(1L);
    }

    [Fact]
    public async Task An_older_event_is_history_and_the_answer_shows_the_state_that_holds()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, "withdrawn", occurredAt: Yesterday);

        var answer = await service.EventAsync(Ada, occurredAt: Yesterday.AddDays(-1));

        answer["event"]!.Text("kind").ShouldBe("given");
        answer["state"]!.Text("status").ShouldBe("withdrawn");
    }

    [Theory]
    [InlineData("address", """{"address":null}""")]
    [InlineData("address", """{"address":"not an address"}""")]
    [InlineData("address", """{"address":"ada@museum.example\u0000"}""")]
    [InlineData("address", """{"address":"\u202Eada@museum.example"}""")]
    [InlineData("address", """{"address":"\u0430da@museum.example"}""")]
    [InlineData("address", """{"address":"tel:+442079460000"}""")]
    [InlineData("purpose", """{"purpose":null}""")]
    [InlineData("kind", """{"kind":"subscribed"}""")]
    [InlineData("kind", """{"kind":"suppressed"}""")]
    [InlineData("kind", """{"purpose":"*"}""")]
    [InlineData("source", """{"source":null}""")]
    [InlineData("source.kind", """{"source":{}}""")]
    [InlineData("source.kind", """{"source":{"kind":"fax"}}""")]
    [InlineData("source.url", """{"source":{"kind":"api","url":"javascript:alert(1)"}}""")]
    [InlineData("occurredAt", """{"occurredAt":"2026-11-22T09:35:01Z"}""")]
    [InlineData("occurredAt", """{"occurredAt":"2026-11-21T09:30:00"}""")]
    [InlineData("occurredAt", """{"occurredAt":"1969-12-31T23:59:59Z"}""")]
    [InlineData("occurredAt", """{"occurredAt":12}""")]
    [InlineData("expiresAt", """{"expiresAt":"2026-11-20T09:30:00Z"}""")]
    [InlineData("basis", """{"basis":"soft-opt-in"}""")]
    [InlineData("basis", """{"kind":"permitted"}""")]
    [InlineData("notice", """{"notice":null}""")]
    [InlineData("notice.version", """{"notice":{"version":2}}""")]
    [InlineData("notice.version", """{"notice":{}}""")]
    [InlineData("evidence", """{"evidence":[1]}""")]
    [InlineData("evidence", """{"evidence":{"list":[1]}}""")]
    [InlineData("evidence", """{"evidence":{"half":0.5}}""")]
    [InlineData("surprise", """{"surprise":1}""")]
    [InlineData("source.surprise", """{"source":{"kind":"api","surprise":1}}""")]
    [InlineData("id", """{"id":"not-a-uuid"}""")]
    public async Task What_cannot_be_is_refused_at_its_path_and_changes_nothing(string path, string change)
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.NoticeAsync();
        var body = Given.Event(Ada, occurredAt: Yesterday, with: new JsonObject { ["notice"] = new JsonObject { ["version"] = 1 } });
        foreach (var (name, value) in JsonNode.Parse(change)!.AsObject())
        {
            body[name] = value?.DeepClone();
        }

        await service.PostAsync("/v1/events", body).ReadErrorAsync(path);

        (await service.SqlAsync("select (select count(*) from consent_event) + (select count(*) from subscriber) + (select count(*) from evidence)")).ShouldBe(0L);
    }

    [Fact]
    public async Task Evidence_has_at_most_4_KiB_and_an_address_of_a_megabyte_is_refused()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();

        await service.PostAsync("/v1/events", Given.Event(Ada, with: new JsonObject { ["evidence"] = new JsonObject { ["note"] = new string('x', 4096) } })).ReadErrorAsync("evidence");
        await service.PostAsync("/v1/events", Given.Event(new string('a', 900_000) + "@museum.example")).ReadErrorAsync("address");
        await service.PostAsync("/v1/events", Given.Event(new string('a', 1_100_000) + "@museum.example")).ReadProblemAsync(HttpStatusCode.RequestEntityTooLarge, "payload-too-large");
        (await service.SqlAsync("select count(*) from consent_event")).ShouldBe(0L);
    }

    [Fact]
    public async Task The_charitable_soft_opt_in_names_each_condition_that_is_missing()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync("appeals", "charitable-soft-opt-in");
        var body = Given.Event(Ada, "permitted", "appeals", new DateTimeOffset(2026, 2, 4, 23, 59, 59, TimeSpan.Zero));

        var problem = await service.PostAsync("/v1/events", body).ReadProblemAsync(HttpStatusCode.BadRequest, "validation");
        problem["errors"]!.AsObject().Select(error => error.Key)
            .ShouldBe(["evidence.obtainedDirectly", "evidence.optOutOffered", "evidence.context", "occurredAt"]);

        await service.EventAsync(Ada, "permitted", "appeals", new DateTimeOffset(2026, 2, 5, 0, 0, 0, TimeSpan.Zero), new JsonObject
        {
            ["evidence"] = new JsonObject { ["obtainedDirectly"] = true, ["optOutOffered"] = true, ["context"] = "Donated at the open day" },
        });
        (await service.ReasonAsync(Ada, "appeals")).ShouldBe("permitted");
    }

    [Fact]
    public async Task A_consent_to_a_purpose_that_rests_on_something_else_stays_distinguishable()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync("appeals", "charitable-soft-opt-in");

        await service.EventAsync(Ada, "given", "appeals");

        (await service.CheckAsync(Ada, "appeals")).Text("basis").ShouldBe("consent");
    }

    [Fact]
    public async Task A_history_is_read_page_by_page_without_a_gap_or_a_repeat()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        for (var i = 0; i < 7; i++)
        {
            // Two at every instant, so that the page breaks fall between equals.
            await service.EventAsync(Ada, i % 2 == 0 ? "given" : "withdrawn", occurredAt: Yesterday.AddHours(i / 2));
        }

        var seen = new List<string>();
        string? cursor = null;
        do
        {
            var page = await service.PostAsync($"/v1/subscribers/history?limit=2{(cursor is null ? "" : "&cursor=" + cursor)}", new JsonObject { ["address"] = Ada }).ReadAsync();
            seen.AddRange(page["items"]!.AsArray().Select(item => item!.Text("id")));
            cursor = page["nextCursor"]?.GetValue<string>();
        }
        while (cursor is not null);

        seen.Count.ShouldBe(7);
        seen.ShouldBeUnique();
        var whole = await service.PostAsync("/v1/subscribers/history", new JsonObject { ["address"] = Ada }).ReadAsync();
        whole["items"]!.AsArray().Select(item => item!.Text("id")).ShouldBe(seen);
        whole["items"]!.AsArray().Select(item => item!.Text("occurredAt")).ShouldBeInOrder(SortDirection.Descending);
    }

    [Fact]
    public async Task Once_events_name_a_purpose_its_channel_and_basis_are_fixed()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.PurposeAsync(basis: "explicit-consent");
        await service.EventAsync(Ada);

        await service.PutAsync("/v1/purposes/newsletter", new JsonObject { ["name"] = "News", ["channel"] = "email", ["basis"] = "consent" })
            .ReadProblemAsync(HttpStatusCode.Conflict, "purpose-in-use");
        await service.PutAsync("/v1/purposes/newsletter", new JsonObject { ["name"] = "News", ["channel"] = "email", ["basis"] = "explicit-consent" }).ReadAsync();
    }
}
