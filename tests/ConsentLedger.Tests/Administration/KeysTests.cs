using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Administration;

public sealed class KeysTests(TestDatabase databases)
{
    [Fact]
    public async Task A_key_is_shown_once_and_works_at_once()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();

        var answer = await service.PostAsync("/v1/keys", Key(["purposes:read"], ["newsletter"], "2027-01-01T00:00:00Z"));

        var created = await answer.ReadAsync(HttpStatusCode.Created);
        created.Text("key").ShouldStartWith("clk_");
        created.Text("name").ShouldBe("Website");
        created["scopes"]!.ToJsonString().ShouldBe("""["purposes:read"]""");
        created["purposes"]!.ToJsonString().ShouldBe("""["newsletter"]""");
        created.Text("createdAt").ShouldBe("2026-11-22T09:30:00Z");
        created.Text("expiresAt").ShouldBe("2027-01-01T00:00:00Z");
        answer.Headers.Location!.ToString().ShouldBe($"/v1/keys/{created.Text("id")}");
        (await service.GetAsync("/v1/purposes/newsletter", created.Text("key"))).StatusCode.ShouldBe(HttpStatusCode.OK);
        var listed = await service.GetAsync("/v1/keys").ReadAsync();
        listed.ToJsonString().ShouldNotContain("clk_");
        listed["items"]![0]!.AsObject().Select(member => member.Key).ShouldBe(["id", "name", "scopes", "purposes", "createdAt", "expiresAt", "revokedAt"]);
        var stored = (string)(await service.SqlAsync("select string_agg(k::text || encode(hash, 'escape'), '') from api_key k"))!;
        stored.ShouldNotContain(created.Text("key")["clk_".Length..]);
    }

    [Fact]
    public async Task A_revoked_key_stops_at_once_where_it_was_revoked_and_within_seconds_elsewhere()
    {
        await using var service = await TestService.StartAsync(databases);
        await using var other = await TestService.StartAsync(service.ConnectionString, service.Keys, service.Clock);
        var created = await service.PostAsync("/v1/keys", Key(["purposes:read"])).ReadAsync(HttpStatusCode.Created);
        var (key, id) = (created.Text("key"), created.Text("id"));
        (await service.GetAsync("/v1/purposes", key)).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await other.GetAsync("/v1/purposes", key)).StatusCode.ShouldBe(HttpStatusCode.OK);

        (await service.SendAsync(HttpMethod.Delete, $"/v1/keys/{id}")).StatusCode.ShouldBe(HttpStatusCode.NoContent);

        await service.GetAsync("/v1/purposes", key).ReadProblemAsync(HttpStatusCode.Unauthorized, "unauthenticated");
        service.Clock.Advance(ApiKeyCatalogue.Remembered);
        await other.GetAsync("/v1/purposes", key).ReadProblemAsync(HttpStatusCode.Unauthorized, "unauthenticated");
        (await service.SendAsync(HttpMethod.Delete, $"/v1/keys/{id}")).StatusCode.ShouldBe(HttpStatusCode.NoContent);
        await service.SendAsync(HttpMethod.Delete, $"/v1/keys/{Guid.NewGuid()}").ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        (await service.GetAsync("/v1/keys").ReadAsync())["items"]!.AsArray().Single(item => item!.Text("id") == id)!.Text("revokedAt").ShouldBe("2026-11-22T09:30:00Z");
    }

    [Fact]
    public async Task What_is_wrong_with_a_key_is_said_by_member()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();

        await service.PostAsync("/v1/keys", new JsonObject { ["scopes"] = new JsonArray("checks:read") }).ReadErrorAsync("name");
        await service.PostAsync("/v1/keys", new JsonObject { ["name"] = "N" }).ReadErrorAsync("scopes");
        await service.PostAsync("/v1/keys", Key([])).ReadErrorAsync("scopes");
        await service.PostAsync("/v1/keys", Key(["checks:read", "ada@example.org"])).ReadErrorAsync("scopes[1]");
        await service.PostAsync("/v1/keys", Key(["Checks:Read"])).ReadErrorAsync("scopes[0]");
        await service.PostAsync("/v1/keys", Key([null])).ReadErrorAsync("scopes[0]");
        await service.PostAsync("/v1/keys", Key(["checks:read"], ["newsletter", "none"])).ReadErrorAsync("purposes[1]");
        await service.PostAsync("/v1/keys", Key(["checks:read"], [])).ReadErrorAsync("purposes");
        await service.PostAsync("/v1/keys", Key(["checks:read"], null, "2026-11-22T09:30:00Z")).ReadErrorAsync("expiresAt");
        await service.PostAsync("/v1/keys", Key(["checks:read"], null, "tomorrow")).ReadErrorAsync("expiresAt");
    }

    [Fact]
    public async Task A_key_can_not_make_one_that_may_do_more()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.PurposeAsync("events");
        var some = await service.CreateKeyAsync(["keys:write", "checks:read"]);
        var bound = await service.CreateKeyAsync(["keys:write", "checks:read"], "newsletter");

        (await service.PostAsync("/v1/keys", Key(["checks:read", "events:write"]), some).ReadProblemAsync(HttpStatusCode.Forbidden, "insufficient-scope")).Text("scope").ShouldBe("events:write");
        await service.PostAsync("/v1/keys", Key(["checks:read"]), bound).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        await service.PostAsync("/v1/keys", Key(["checks:read"], ["newsletter", "events"]), bound).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        (await service.PostAsync("/v1/keys", Key(["checks:read"], ["newsletter"]), bound)).StatusCode.ShouldBe(HttpStatusCode.Created);
        (await service.PostAsync("/v1/keys", Key(["checks:read"]), some)).StatusCode.ShouldBe(HttpStatusCode.Created);
    }

    [Fact]
    public async Task A_key_whose_answer_was_lost_is_shown_again_and_not_made_again()
    {
        await using var service = await TestService.StartAsync(databases);

        var first = await service.PostAsync("/v1/keys", Key(["checks:read"]), headers: ("Idempotency-Key", "lost")).ReadAsync(HttpStatusCode.Created);
        var again = await service.PostAsync("/v1/keys", Key(["checks:read"]), headers: ("Idempotency-Key", "lost")).ReadAsync(HttpStatusCode.Created);

        again.ToJsonString().ShouldBe(first.ToJsonString());
        ((long)(await service.SqlAsync("select count(*) from api_key where name = 'Website'"))!).ShouldBe(1);
    }

    private static JsonObject Key(string?[] scopes, string[]? purposes = null, string? expiresAt = null)
    {
        var key = new JsonObject { ["name"] = "Website", ["scopes"] = new JsonArray([.. scopes.Select(scope => JsonValue.Create(scope))]) };
        if (purposes is not null)
        {
            key["purposes"] = new JsonArray([.. purposes.Select(purpose => JsonValue.Create(purpose))]);
        }

        if (expiresAt is not null)
        {
            key["expiresAt"] = expiresAt;
        }

        return key;
    }
}
