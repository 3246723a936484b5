using System.Net;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Accountability;

public sealed class AuditTests(TestDatabase databases)
{
    private const string Ada = "ada@museum.example";

    [Fact]
    public async Task Whoever_acts_is_named_with_what_they_did_to_whom_and_when()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.PurposeAsync();
        await service.NoticeAsync(language: "cy");
        await service.PutAsync("/v1/forms/website", new JsonObject { ["purposes"] = new JsonArray("newsletter") }).ReadAsync(HttpStatusCode.Created);
        var id = (await service.EventAsync(Ada, "withdrawn")).Text("subscriberId");
        await service.PostAsync("/v1/subscribers/lookup", new JsonObject { ["address"] = Ada }).ReadAsync();
        await service.PostAsync("/v1/subscribers/history", new JsonObject { ["address"] = Ada }).ReadAsync();
        await service.PutAsync($"/v1/subscribers/{id}/hold", new JsonObject { ["reason"] = "A claim" }).ReadAsync();
        await service.SendAsync(HttpMethod.Delete, $"/v1/subscribers/{id}/hold");
        var key = await service.PostAsync("/v1/keys", new JsonObject { ["name"] = "Desk", ["scopes"] = new JsonArray("subscribers:read") }).ReadAsync(HttpStatusCode.Created);
        service.Clock.Advance(TimeSpan.FromMinutes(5));
        await service.GetAsync($"/v1/subscribers/{id}/events", key.Text("key")).ReadAsync();
        await service.SendAsync(HttpMethod.Delete, $"/v1/keys/{key.Text("id")}");
        await service.SendAsync(HttpMethod.Delete, $"/v1/keys/{key.Text("id")}");
        await service.PostAsync("/v1/retention/runs", new JsonObject { ["dryRun"] = true }).ReadAsync(HttpStatusCode.Accepted);

        var entries = (await service.GetAsync("/v1/audit").ReadAsync())["items"]!.AsArray();

        entries.Select(entry => entry!.Text("action")).Order(StringComparer.Ordinal).ShouldBe(
        [
            "form-created", "history-read", "history-read", "hold-lifted", "hold-placed", "key-created", "key-created", "key-revoked",
            "notice-published", "purge-requested", "purpose-changed", "purpose-created", "subscriber-looked-up",
        ]);
        var desk = entries.Single(entry => entry!["actor"]!["name"]?.GetValue<string>() == "Desk")!;
        desk.Text("action").ShouldBe("history-read");
        desk.Text("at").ShouldBe("2026-11-22T09:35:00Z");
        desk.Text("subscriberId").ShouldBe(id);
        desk["actor"]!.ToJsonString().ShouldBe($$"""{"kind":"key","keyId":"{{key.Text("id")}}","name":"Desk"}""");
        desk.Text("requestId").Length.ShouldBe(32);
        Entry("key-revoked").Text("target").ShouldBe(key.Text("id"));
        Entry("form-created").Text("target").ShouldBe("website");
        Entry("notice-published").Text("purpose").ShouldBe("newsletter");
        Entry("notice-published")["details"]!.ToJsonString().ShouldBe("""{"version":"1","language":"cy"}""");
        Entry("purge-requested")["details"]!.Text("dryRun").ShouldBe("true");
        entries.ToJsonString().ShouldNotContain("ada@");

        JsonNode Entry(string action) => entries.Single(entry => entry!.Text("action") == action)!;
    }

    [Fact]
    public async Task An_import_is_there_before_it_starts_and_with_what_came_of_it()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        using var list = new StringContent($"address,purpose,kind,occurredAt\n{Ada},newsletter,given,2026-01-01T00:00:00Z\nnobody,newsletter,given,2026-01-01T00:00:00Z\n");
        list.Headers.ContentType = new MediaTypeHeaderValue("text/csv");
        (await service.Client.PostAsync(new Uri("/v1/events/import", UriKind.Relative), list, TestContext.Current.CancellationToken)).StatusCode.ShouldBe(HttpStatusCode.OK);

        var started = await Only("import-started");
        var finished = await Only("import-finished");

        started["details"]!.ToJsonString().ShouldBe("""{"dryRun":"false","allowResubscribe":"false"}""");
        finished["details"]!.ToJsonString().ShouldBe("""{"received":"2","appended":"1","unchanged":"0","heldBack":"0","rejected":"1"}""");
        finished.Text("requestId").ShouldBe(started.Text("requestId"));

        async Task<JsonNode> Only(string action) => (await service.GetAsync($"/v1/audit?action={action}").ReadAsync())["items"]!.AsArray().Single()!;
    }

    [Fact]
    public async Task It_is_read_in_pages_and_by_action_time_and_subscriber()
    {
        await using var service = await TestService.StartAsync(databases);
        for (var i = 0; i < 3; i++)
        {
            service.Clock.Advance(TimeSpan.FromMinutes(1));
            await service.PostAsync("/v1/subscribers/lookup", new JsonObject { ["address"] = $"person{i}@museum.example" });
        }

        var first = await service.GetAsync("/v1/audit?action=subscriber-looked-up&limit=2").ReadAsync();
        var rest = await service.GetAsync($"/v1/audit?action=subscriber-looked-up&limit=2&cursor={first.Text("nextCursor")}").ReadAsync();

        Times(first).ShouldBe(["2026-11-22T09:33:00Z", "2026-11-22T09:32:00Z"]);
        Times(rest).ShouldBe(["2026-11-22T09:31:00Z"]);
        rest["nextCursor"].ShouldBeNull();
        Times(await service.GetAsync("/v1/audit?since=2026-11-22T09:32:00Z").ReadAsync()).ShouldBe(["2026-11-22T09:33:00Z", "2026-11-22T09:32:00Z"]);
        var subscriber = first["items"]![1]!.Text("subscriberId");
        Times(await service.GetAsync($"/v1/audit?subscriberId={subscriber}").ReadAsync()).ShouldBe(["2026-11-22T09:32:00Z"]);
        foreach (var (query, member) in new[] { ("action=Key%20made", "action"), ("since=yesterday", "since"), ("cursor=x", "cursor"), ("limit=0", "limit") })
        {
            await service.GetAsync($"/v1/audit?{query}").ReadErrorAsync(member);
        }

        static IEnumerable<string> Times(JsonNode page) => page["items"]!.AsArray().Select(entry => entry!.Text("at"));
    }

    [Fact]
    public async Task Whoever_reads_it_needs_the_scope_and_a_key_for_all_purposes()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.GetAsync("/v1/audit", await service.CreateKeyAsync(["records:read"])).ReadProblemAsync(HttpStatusCode.Forbidden, "insufficient-scope");
        await service.GetAsync("/v1/audit", await service.CreateKeyAsync(["audit:read"], "newsletter")).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
    }

    [Fact]
    public async Task What_was_refused_or_failed_left_no_entry_and_what_can_not_be_recorded_is_not_done()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PutAsync("/v1/purposes/newsletter", new JsonObject { ["name"] = " " }).ReadProblemAsync(HttpStatusCode.BadRequest, "validation");
        await service.SendAsync(HttpMethod.Delete, $"/v1/subscribers/{Guid.NewGuid()}/hold").ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        await service.SendAsync(HttpMethod.Delete, $"/v1/keys/{Guid.NewGuid()}").ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        (await service.SqlAsync("select count(*) from audit_entry where action <> 'key-created'")).ShouldBe(0L);

        // Any write that the trail refuses takes the act with it.
        await service.SqlAsync("alter table audit_entry add constraint audit_entry_full check (happened_at is null) not valid");
        var refused = await service.PutAsync("/v1/purposes/newsletter", new JsonObject { ["name"] = "Newsletter", ["channel"] = "email", ["basis"] = "consent" });
        var looked = await service.PostAsync("/v1/subscribers/lookup", new JsonObject { ["address"] = Ada });
        var made = await service.PostAsync("/v1/keys", new JsonObject { ["name"] = "Desk", ["scopes"] = new JsonArray("checks:read") });

        foreach (var response in new[] { refused, looked, made })
        {
            response.StatusCode.ShouldBe(HttpStatusCode.InternalServerError);
        }

        (await service.SqlAsync("select count(*) from purpose where key = 'newsletter'")).ShouldBe(0L);
        (await service.SqlAsync("select count(*) from api_key where name = 'Desk'")).ShouldBe(0L);
    }
}
