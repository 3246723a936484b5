using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Http;

public sealed class AuthenticationTests(TestDatabase databases)
{
    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("Bearer")]
    [InlineData("Bearer ")]
    [InlineData("Bearer clk_")]
    [InlineData("Bearer clk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")]
    [InlineData("Bearer eyJhbGciOiJub25lIn0.e30.")]
    [InlineData("Basic YWRhQGV4YW1wbGUub3JnOng=")]
    [InlineData("clk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")]
    public async Task Whoever_shows_no_key_of_ours_is_asked_for_one(string? authorization)
    {
        await using var service = await TestService.StartAsync(databases);
        service.Client.DefaultRequestHeaders.Authorization = null;

        var answer = await service.GetAsync("/v1/purposes", headers: authorization is null ? [] : [("Authorization", authorization)]);

        await answer.ReadProblemAsync(HttpStatusCode.Unauthorized, "unauthenticated");
        answer.Headers.WwwAuthenticate.Single().Scheme.ShouldBe("Bearer");
    }

    [Fact]
    public async Task Two_keys_are_none()
    {
        await using var service = await TestService.StartAsync(databases);
        var key = await service.CreateKeyAsync([Scope.PurposesRead]);
        service.Client.DefaultRequestHeaders.Authorization = null;

        await service.GetAsync("/v1/purposes", null, ("Authorization", $"Bearer {key}"), ("Authorization", $"Bearer {key}")).ReadProblemAsync(HttpStatusCode.Unauthorized, "unauthenticated");
    }

    [Fact]
    public async Task The_scheme_may_be_written_in_any_case()
    {
        await using var service = await TestService.StartAsync(databases);
        var key = await service.CreateKeyAsync([Scope.PurposesRead]);
        service.Client.DefaultRequestHeaders.Authorization = null;

        (await service.GetAsync("/v1/purposes", headers: ("Authorization", $"bEARER  {key}"))).StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task A_key_of_another_installation_is_not_known_here()
    {
        await using var service = await TestService.StartAsync(databases);
        await using var other = await TestService.StartAsync(databases);

        await service.GetAsync("/v1/purposes", await other.CreateKeyAsync([.. Scope.All])).ReadProblemAsync(HttpStatusCode.Unauthorized, "unauthenticated");
    }

    [Fact]
    public async Task A_key_is_not_known_under_another_master_key_on_the_same_database()
    {
        await using var service = await TestService.StartAsync(databases);
        await using var other = await TestService.StartAsync(service.ConnectionString, new KeyRing(MasterKey.Generate()), service.Clock);

        await service.GetAsync("/v1/purposes", await other.CreateKeyAsync([.. Scope.All])).ReadProblemAsync(HttpStatusCode.Unauthorized, "unauthenticated");
    }

    [Fact]
    public async Task A_key_stops_the_moment_it_expires()
    {
        await using var service = await TestService.StartAsync(databases);
        var key = (await service.PostAsync("/v1/keys", new JsonObject
        {
            ["name"] = "Short",
            ["scopes"] = new JsonArray("purposes:read"),
            ["expiresAt"] = "2026-11-22T09:30:03Z",
        }).ReadAsync(HttpStatusCode.Created)).Text("key");

        (await service.GetAsync("/v1/purposes", key)).StatusCode.ShouldBe(HttpStatusCode.OK);
        service.Clock.Advance(TimeSpan.FromSeconds(3));

        await service.GetAsync("/v1/purposes", key).ReadProblemAsync(HttpStatusCode.Unauthorized, "unauthenticated");
    }

    [Fact]
    public async Task Whoever_lacks_a_scope_is_told_which()
    {
        await using var service = await TestService.StartAsync(databases);
        var key = await service.CreateKeyAsync([Scope.PurposesRead]);

        var refusal = await service.PutAsync("/v1/purposes/newsletter", new JsonObject { ["ada@example.org"] = 1 }, key).ReadProblemAsync(HttpStatusCode.Forbidden, "insufficient-scope");

        refusal.Text("scope").ShouldBe("purposes:write");
    }

    [Fact]
    public async Task A_key_bound_to_a_purpose_sees_and_changes_no_other()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.PurposeAsync("events");
        var key = await service.CreateKeyAsync([Scope.PurposesRead, Scope.PurposesWrite], "newsletter");
        var wording = new JsonObject { ["language"] = "en", ["statement"] = "Yes." };

        (await service.GetAsync("/v1/purposes", key).ReadAsync())["items"]!.AsArray().Select(purpose => purpose!.Text("key")).ShouldBe(["newsletter"]);
        (await service.GetAsync("/v1/purposes/newsletter", key)).StatusCode.ShouldBe(HttpStatusCode.OK);
        await service.GetAsync("/v1/purposes/events", key).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        await service.PutAsync("/v1/purposes/events", new JsonObject { ["name"] = "N", ["channel"] = "sms", ["basis"] = "consent" }, key).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        await service.PutAsync("/v1/purposes/new", new JsonObject { ["name"] = "N", ["channel"] = "sms", ["basis"] = "consent" }, key).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        await service.GetAsync("/v1/purposes/events/notices", key).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        await service.PostAsync("/v1/purposes/events/notices", wording, key).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        (await service.PostAsync("/v1/purposes/newsletter/notices", wording, key)).StatusCode.ShouldBe(HttpStatusCode.Created);
    }

    [Fact]
    public async Task What_is_public_takes_no_notice_of_a_key()
    {
        await using var service = await TestService.StartAsync(databases);

        (await service.GetAsync("/health/ready", "clk_nonsense")).StatusCode.ShouldBe(HttpStatusCode.OK);
        await service.GetAsync("/nowhere", "clk_nonsense").ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
    }
}
