using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Http;

/// <summary>What holds for every route: unknown paths, methods, versions, pages, and a database that is away.</summary>
public sealed class ConventionsTests(TestDatabase databases)
{
    private static readonly JsonObject Newsletter = new() { ["name"] = "Newsletter", ["channel"] = "email", ["basis"] = "consent" };

    [Theory]
    [InlineData("/v1")]
    [InlineData("/v1/nothing")]
    [InlineData("/v1/purposes/newsletter/notices/first")]
    [InlineData("/v1/purposes/newsletter/notices/99999999999")]
    [InlineData("/v1/keys/not-an-id")]
    [InlineData("/v1/purposes/../../etc/passwd")]
    [InlineData("/v1/purposes/%00")]
    [InlineData("/v1/purposes/Not%20a%20key")]
    public async Task An_unknown_path_is_not_found(string path)
    {
        await using var service = await TestService.StartAsync(databases);

        var answer = await service.GetAsync(path);

        answer.StatusCode.ShouldBeOneOf(HttpStatusCode.NotFound, HttpStatusCode.BadRequest, HttpStatusCode.MethodNotAllowed);
        (await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).ShouldNotContain("Not a key");
        if (answer.StatusCode == HttpStatusCode.NotFound)
        {
            await answer.ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        }
    }

    [Theory]
    [InlineData("DELETE", "/v1/purposes", "GET")]
    [InlineData("POST", "/v1/purposes/newsletter", "GET, PUT")]
    [InlineData("PATCH", "/v1/keys", "GET, POST")]
    public async Task Another_method_is_refused_with_those_there_are(string method, string path, string allowed)
    {
        await using var service = await TestService.StartAsync(databases);

        var answer = await service.SendAsync(new HttpMethod(method), path, new JsonObject());

        await answer.ReadProblemAsync(HttpStatusCode.MethodNotAllowed, "method-not-allowed");
        answer.Content.Headers.Allow.Order().ShouldBe(allowed.Split(", "));
    }

    [Fact]
    public async Task HEAD_has_no_body()
    {
        await using var service = await TestService.StartAsync(databases);

        foreach (var path in new[] { "/v1/purposes", "/v1/purposes/none", "/health/live", "/nowhere" })
        {
            var answer = await service.SendAsync(HttpMethod.Head, path);
            ((int)answer.StatusCode).ShouldBeLessThan(500);
            (await answer.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken)).ShouldBeEmpty();
        }
    }

    [Fact]
    public async Task A_version_that_was_seen_is_the_only_one_that_is_replaced()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PutAsync("/v1/purposes/newsletter", Newsletter, headers: ("If-Match", "*")).ReadProblemAsync(HttpStatusCode.PreconditionFailed, "precondition-failed");
        var created = await service.PutAsync("/v1/purposes/newsletter", Newsletter, headers: ("If-None-Match", "*"));
        created.StatusCode.ShouldBe(HttpStatusCode.Created);
        var first = created.Headers.ETag!.ToString();

        await service.PutAsync("/v1/purposes/newsletter", Newsletter, headers: ("If-None-Match", "*")).ReadProblemAsync(HttpStatusCode.PreconditionFailed, "precondition-failed");
        var changed = await service.PutAsync("/v1/purposes/newsletter", Newsletter, headers: ("If-Match", $"\"other\", {first}"));

        changed.StatusCode.ShouldBe(HttpStatusCode.OK);
        changed.Headers.ETag!.ToString().ShouldNotBe(first);
        await service.PutAsync("/v1/purposes/newsletter", Newsletter, headers: ("If-Match", first)).ReadProblemAsync(HttpStatusCode.PreconditionFailed, "precondition-failed");
        (await service.PutAsync("/v1/purposes/newsletter", Newsletter, headers: ("If-Match", "*"))).StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task What_a_reader_has_is_not_sent_again()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        var first = (await service.GetAsync("/v1/purposes/newsletter")).Headers.ETag!.ToString();

        foreach (var seen in new[] { first, $"\"other\", {first}", $"W/{first}", "*" })
        {
            var again = await service.GetAsync("/v1/purposes/newsletter", headers: ("If-None-Match", seen));
            again.StatusCode.ShouldBe(HttpStatusCode.NotModified, seen);
            again.Headers.ETag!.ToString().ShouldBe(first);
            (await again.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken)).ShouldBeEmpty();
        }

        (await service.GetAsync("/v1/purposes/newsletter", headers: ("If-None-Match", "\"other\""))).StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Theory]
    [InlineData("/v1/purposes")]
    [InlineData("/v1/purposes/newsletter/notices")]
    [InlineData("/v1/keys")]
    public async Task A_list_is_read_page_by_page(string path)
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        foreach (var number in Enumerable.Range(1, 4))
        {
            await service.PurposeAsync($"purpose-{number}");
            await service.NoticeAsync();
            await service.CreateKeyAsync(["checks:read"]);
        }

        var whole = (await service.GetAsync(path).ReadAsync())["items"]!.AsArray().Select(item => item!.ToJsonString()).ToList();
        var pages = new List<string>();
        string? cursor = null;
        do
        {
            var page = await service.GetAsync($"{path}?limit=2{(cursor is null ? "" : $"&cursor={Uri.EscapeDataString(cursor)}")}").ReadAsync();
            page["items"]!.AsArray().Count.ShouldBeLessThanOrEqualTo(2);
            pages.AddRange(page["items"]!.AsArray().Select(item => item!.ToJsonString()));
            cursor = page["nextCursor"]?.GetValue<string>();
        }
        while (cursor is not null);

        whole.Count.ShouldBeGreaterThanOrEqualTo(4);
        pages.ShouldBe(whole);
        (await service.GetAsync($"{path}?limit=1000")).StatusCode.ShouldBe(HttpStatusCode.OK);
        await service.GetAsync($"{path}?limit=0").ReadErrorAsync("limit");
        await service.GetAsync($"{path}?limit=1001").ReadErrorAsync("limit");
        await service.GetAsync($"{path}?limit=-1").ReadErrorAsync("limit");
        await service.GetAsync($"{path}?limit=many").ReadErrorAsync("limit");
        await service.GetAsync($"{path}?limit=99999999999").ReadErrorAsync("limit");
        await service.GetAsync($"{path}?limit=").ReadErrorAsync("limit");
        await service.GetAsync($"{path}?cursor=Not%20a%20cursor").ReadErrorAsync("cursor");
        await service.GetAsync($"{path}?cursor=%00").ReadErrorAsync("cursor");
        await service.GetAsync($"{path}?cursor=").ReadErrorAsync("cursor");
    }

    [Fact]
    public async Task While_the_database_is_away_the_caller_is_told_when_to_try_again_and_that_works()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        var unknown = await service.CreateKeyAsync(["purposes:read"]);
        await service.CutDatabaseAsync(databases);

        var answers = new[]
        {
            await service.GetAsync("/v1/purposes"),
            await service.GetAsync("/v1/purposes", unknown),
            await service.PutAsync("/v1/purposes/newsletter", Newsletter),
            await service.PostAsync("/v1/purposes/newsletter/notices", new JsonObject { ["language"] = "en", ["statement"] = "Yes." }, headers: ("Idempotency-Key", "k")),
        };

        foreach (var answer in answers)
        {
            var problem = await answer.ReadProblemAsync(HttpStatusCode.ServiceUnavailable, "ledger-unavailable");
            problem.ToJsonString().ShouldNotContain("test_");
            answer.Headers.RetryAfter!.Delta!.Value.ShouldBeGreaterThan(TimeSpan.Zero);
        }

        await service.JoinDatabaseAsync(databases);

        // Who comes back at once may still be refused: for half a second after a failure the database is not asked.
        for (var tries = 0; (await service.GetAsync("/v1/purposes", unknown)).StatusCode != HttpStatusCode.OK; tries++)
        {
            tries.ShouldBeLessThan(50, "It does not recover by itself.");
            await Task.Delay(100, TestContext.Current.CancellationToken);
        }

        (await service.PutAsync("/v1/purposes/newsletter", Newsletter)).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await service.PostAsync("/v1/purposes/newsletter/notices", new JsonObject { ["language"] = "en", ["statement"] = "Yes." }, headers: ("Idempotency-Key", "k"))).StatusCode.ShouldBe(HttpStatusCode.Created);
    }

    [Fact]
    public async Task Connections_that_died_with_the_server_are_not_noticed()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.CutDatabaseAsync(databases);
        await service.JoinDatabaseAsync(databases);

        (await service.GetAsync("/v1/purposes")).StatusCode.ShouldBe(HttpStatusCode.OK);
    }
}
