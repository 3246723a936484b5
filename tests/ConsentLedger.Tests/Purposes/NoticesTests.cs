using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;
using Npgsql;

namespace ConsentLedger.Tests.Purposes;

/// <summary>The exact wording that people are shown: versioned, hashed, and never changed.</summary>
public sealed class NoticesTests(TestDatabase databases)
{
    private const string Path = "/v1/purposes/newsletter/notices";

    [Fact]
    public async Task Versions_count_from_one_within_each_purpose_and_each_is_shown_as_it_was_published()
    {
        await using var service = await StartAsync();
        await service.PurposeAsync("events");

        using var response = await service.PostAsync(Path, Wording("Yes, send me the newsletter."));
        var first = await response.ReadAsync(HttpStatusCode.Created);
        service.Clock.Advance(TimeSpan.FromDays(1));
        var second = await service.PostAsync(Path, Wording("Ie, anfonwch y cylchlythyr ataf.", "cy")).ReadAsync(HttpStatusCode.Created);
        var other = await service.NoticeAsync("events");

        response.Headers.Location!.ToString().ShouldBe($"{Path}/1");
        new[] { first, second, other }.Select(notice => notice["version"]!.GetValue<int>()).ShouldBe([1, 2, 1]);
        first.Text("publishedAt").ShouldBe("2026-11-22T09:30:00Z");
        second.Text("publishedAt").ShouldBe("2026-11-23T09:30:00Z");
        (await service.GetAsync($"{Path}/1").ReadAsync()).ToJsonString().ShouldBe(first.ToJsonString());
        (await service.GetAsync($"{Path}/2").ReadAsync()).ToJsonString().ShouldBe(second.ToJsonString());
        (await service.GetAsync(Path).ReadAsync())["items"]!.AsArray().Select(notice => notice!.ToJsonString()).ShouldBe([first.ToJsonString(), second.ToJsonString()]);
    }

    [Fact]
    public async Task Publishers_at_once_get_a_version_each_without_a_gap()
    {
        await using var service = await StartAsync();

        var published = await Task.WhenAll(Enumerable.Range(0, 12).Select(n => service.PostAsync(Path, Wording($"Wording {n}.")).ReadAsync(HttpStatusCode.Created)));

        published.Select(notice => notice["version"]!.GetValue<int>()).Order().ShouldBe(Enumerable.Range(1, 12));
    }

    [Fact]
    public async Task The_digest_is_what_anybody_can_compute_from_what_is_shown()
    {
        await using var service = await StartAsync();

        var notice = await service.PostAsync(Path, Wording("Ie, anfonwch:\r\n\"y cylchlythyr\" – bob mis.", "cy-GB", "https://museum.example/preifatrwydd")).ReadAsync(HttpStatusCode.Created);
        var without = await service.PostAsync(Path, Wording("Yes.")).ReadAsync(HttpStatusCode.Created);

        // RFC 8785: members by name, no space between, and escapes only where JSON needs them.
        notice.Text("statement").ShouldBe("Ie, anfonwch:\r\n\"y cylchlythyr\" – bob mis.");
        notice.Text("digest").ShouldBe(Sha256("""{"language":"cy-GB","privacyNoticeUrl":"https://museum.example/preifatrwydd","statement":"Ie, anfonwch:\r\n\"y cylchlythyr\" – bob mis."}"""));
        without.Text("digest").ShouldBe(Sha256("""{"language":"en","privacyNoticeUrl":null,"statement":"Yes."}"""));
    }

    [Theory]
    [InlineData("PUT")]
    [InlineData("PATCH")]
    [InlineData("DELETE")]
    public async Task What_was_published_can_not_be_changed_by_anybody(string method)
    {
        await using var service = await StartAsync();
        var published = await service.PostAsync(Path, Wording("Yes.")).ReadAsync(HttpStatusCode.Created);

        (await service.SendAsync(new HttpMethod(method), $"{Path}/1", Wording("No."))).StatusCode.ShouldBe(HttpStatusCode.MethodNotAllowed);
        foreach (var statement in new[] { "update notice set statement = 'No.'", "delete from notice", "truncate notice cascade" })
        {
            await using var command = service.Database.Service.CreateCommand(statement);
            (await Should.ThrowAsync<PostgresException>(() => command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken)))
                .SqlState.ShouldBe(PostgresErrorCodes.InsufficientPrivilege, statement);
        }

        (await service.GetAsync($"{Path}/1").ReadAsync()).ToJsonString().ShouldBe(published.ToJsonString());
    }

    [Fact]
    public async Task What_is_not_there_is_not_found()
    {
        await using var service = await StartAsync();
        await service.NoticeAsync();

        foreach (var path in new[] { $"{Path}/2", $"{Path}/0", "/v1/purposes/events/notices", "/v1/purposes/events/notices/1" })
        {
            await service.GetAsync(path).ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        }

        await service.PostAsync("/v1/purposes/events/notices", Wording("Yes.")).ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
    }

    private async Task<TestService> StartAsync()
    {
        var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        return service;
    }

    internal static JsonObject Wording(string statement, string language = "en", string? privacyNoticeUrl = null) => new()
    {
        ["language"] = language,
        ["statement"] = statement,
        ["privacyNoticeUrl"] = privacyNoticeUrl,
    };

    private static string Sha256(string canonical) => "sha256:" + Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(canonical)));
}
