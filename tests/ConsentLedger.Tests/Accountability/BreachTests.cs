using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Accountability;

public sealed class BreachTests(TestDatabase databases)
{
    private const string Ada = "ada@museum.example";

    [Fact]
    public async Task A_breach_is_logged_sealed_and_due_in_72_hours()
    {
        await using var service = await TestService.StartAsync(databases);

        var answer = await service.PostAsync("/v1/breaches", new JsonObject
        {
            ["awareAt"] = "2026-11-20T16:00:00Z",
            ["causes"] = "A laptop was left on a train",
            ["events"] = "The laptop was lost",
            ["data"] = "400 addresses",
            ["impact"] = "Unwanted mail",
        });

        var breach = await answer.ReadAsync(HttpStatusCode.Created);
        answer.Headers.Location!.ToString().ShouldBe($"/v1/breaches/{breach.Text("id")}");
        breach.Text("reportDueAt").ShouldBe("2026-11-23T16:00:00Z");
        breach["overdue"]!.GetValue<bool>().ShouldBeFalse();
        breach["reportable"].ShouldBeNull();
        (await service.GetAsync($"/v1/breaches/{breach.Text("id")}").ReadAsync()).ToJsonString().ShouldBe(breach.ToJsonString());
        (await service.SqlAsync("select count(*) from breach where position('laptop'::bytea in account) > 0")).ShouldBe(0L);
        service.Clock.SetUtcNow(new DateTimeOffset(2026, 11, 23, 16, 0, 1, TimeSpan.Zero));
        (await service.GetAsync($"/v1/breaches/{breach.Text("id")}").ReadAsync())["overdue"]!.GetValue<bool>().ShouldBeTrue();
    }

    [Fact]
    public async Task What_is_learnt_and_decided_is_added_and_the_reasons_are_on_record()
    {
        await using var service = await TestService.StartAsync(databases);
        var id = (await LogAsync(service)).Text("id");

        await ChangeAsync(service, id, new JsonObject { ["reportable"] = false }).ReadErrorAsync("reasons");
        await ChangeAsync(service, id, new JsonObject { ["reportedAt"] = "2026-11-22T09:00:00Z" }).ReadErrorAsync("reportedAt");
        await ChangeAsync(service, id, new JsonObject { ["awareAt"] = "2026-11-23T09:00:00Z" }).ReadErrorAsync("awareAt");
        await ChangeAsync(service, id, new JsonObject { ["remedy"] = "Wiped from afar" }).ReadAsync();
        service.Clock.Advance(TimeSpan.FromMinutes(1));
        var changed = await ChangeAsync(service, id, new JsonObject { ["reportable"] = true, ["reasons"] = "Not encrypted", ["reportedAt"] = "2026-11-22T09:00:00Z" }).ReadAsync();

        changed.Text("remedy").ShouldBe("Wiped from afar");
        changed.Text("events").ShouldBe("A list was sent to the wrong printer");
        changed.Text("reportedAt").ShouldBe("2026-11-22T09:00:00Z");
        (await service.SqlAsync("select details->>'members' from audit_entry where action = 'breach-changed' order by audit_id desc limit 1")).ShouldBe("reportable reasons reportedAt");
        await ChangeAsync(service, $"{Guid.NewGuid()}", new JsonObject()).ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        await service.PostAsync("/v1/breaches", new JsonObject { ["causes"] = "Wind" }).ReadErrorAsync("events");
        await service.PostAsync("/v1/breaches", new JsonObject { ["events"] = "x" }, await service.CreateKeyAsync(["breaches:read"])).ReadProblemAsync(HttpStatusCode.Forbidden, "insufficient-scope");
    }

    [Fact]
    public async Task The_register_lists_the_last_noticed_first_in_pages()
    {
        await using var service = await TestService.StartAsync(databases);
        var ids = new List<string>();
        foreach (var day in new[] { "2026-11-10", "2026-11-19", "2026-11-01" })
        {
            ids.Add((await LogAsync(service, $"{day}T12:00:00Z")).Text("id"));
        }

        var first = await service.GetAsync("/v1/breaches?limit=2").ReadAsync();
        var rest = await service.GetAsync($"/v1/breaches?limit=2&cursor={first.Text("nextCursor")}").ReadAsync();

        first["items"]!.AsArray().Concat(rest["items"]!.AsArray()).Select(breach => breach!.Text("id")).ShouldBe([ids[1], ids[0], ids[2]]);
        rest["nextCursor"].ShouldBeNull();
        await service.GetAsync("/v1/breaches?cursor=x").ReadErrorAsync("cursor");
    }

    [Fact]
    public async Task Whose_records_it_touched_is_listed_by_purpose_and_time_and_that_is_on_record()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.PurposeAsync("trips");
        await service.EventAsync(Ada);
        await service.EventAsync(Ada, "withdrawn", occurredAt: TestService.Start.AddMinutes(1));
        await service.EventAsync("ben@museum.example", purpose: "trips");
        service.Clock.Advance(TimeSpan.FromDays(1));
        await service.EventAsync("cat@museum.example");
        var id = (await LogAsync(service)).Text("id");

        var lines = await LinesAsync($"/v1/breaches/{id}/affected");
        lines.Count.ShouldBe(4);
        lines[^1].ShouldBe("""{"summary":{"affected":3}}""");
        var early = await LinesAsync($"/v1/breaches/{id}/affected?purpose=newsletter&to=2026-11-23T00:00:00Z");
        early.Count.ShouldBe(2);
        JsonNode.Parse(early[0])!.Text("address").ShouldBe(Ada);
        var csv = await LinesAsync($"/v1/breaches/{id}/affected?from=2026-11-23T00:00:00Z", "text/csv");
        csv[1].ShouldEndWith(",\"cat@museum.example\"\r");
        (await service.SqlAsync("select count(*) from audit_entry where action = 'breach-affected-listed'")).ShouldBe(3L);
        await service.GetAsync($"/v1/breaches/{id}/affected", await service.CreateKeyAsync(["breaches:read"])).ReadProblemAsync(HttpStatusCode.Forbidden, "insufficient-scope");
        await service.GetAsync($"/v1/breaches/{Guid.NewGuid()}/affected").ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        await service.GetAsync($"/v1/breaches/{id}/affected?from=monday").ReadErrorAsync("from");

        async Task<List<string>> LinesAsync(string path, string accept = "application/x-ndjson")
        {
            var response = await service.GetAsync(path, headers: ("Accept", accept));
            response.StatusCode.ShouldBe(HttpStatusCode.OK);
            response.Content.Headers.ContentType!.MediaType.ShouldBe(accept);
            return [.. (await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).Split('\n', StringSplitOptions.RemoveEmptyEntries)];
        }
    }

    private static Task<JsonNode> LogAsync(TestService service, string awareAt = "2026-11-22T08:00:00Z") =>
        service.PostAsync("/v1/breaches", new JsonObject { ["awareAt"] = awareAt, ["events"] = "A list was sent to the wrong printer" }).ReadAsync(HttpStatusCode.Created);

    private static Task<HttpResponseMessage> ChangeAsync(TestService service, string id, JsonObject change) =>
        service.SendAsync(HttpMethod.Patch, $"/v1/breaches/{id}", change);
}
