using System.Net;
using System.Text.RegularExpressions;
using ConsentLedger.Administration;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Unsubscribe;
using Microsoft.Extensions.DependencyInjection;

namespace ConsentLedger.Tests.Administration;

/// <summary>The link by which a new installation is set up.</summary>
public sealed partial class SetupTests(TestDatabase databases)
{
    [Fact]
    public async Task The_link_shows_the_first_key_once_and_never_again()
    {
        await using var service = await NewAsync();
        var link = await LinkAsync(service);

        var prompt = await service.OpenAsync(link);
        prompt.StatusCode.ShouldBe(HttpStatusCode.OK);
        prompt.Headers.CacheControl!.NoStore.ShouldBeTrue();
        (await service.SqlAsync("select count(*) from api_key")).ShouldBe(0L);

        var done = await service.PostFormAsync(link, "confirm=1");
        done.Headers.CacheControl!.NoStore.ShouldBeTrue();
        var key = Key().Match(await done.TextAsync()).Value;
        (await service.GetAsync("/v1/purposes", key)).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await service.PutAsync("/v1/purposes/news", new System.Text.Json.Nodes.JsonObject { ["name"] = "News", ["channel"] = "email", ["basis"] = "consent" }, key))
            .StatusCode.ShouldBe(HttpStatusCode.Created);

        (await service.OpenAsync(link)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        await service.PostFormAsync(link, "confirm=1").ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        (await service.Services.GetRequiredService<SetupLink>().FindUrlAsync(TestContext.Current.CancellationToken)).ShouldBeNull();
    }

    [Fact]
    public async Task Twenty_posts_at_once_make_one_key()
    {
        await using var service = await NewAsync();
        var link = await LinkAsync(service);

        var answers = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => service.PostFormAsync(link, "confirm=1")));

        answers.Count(answer => answer.StatusCode == HttpStatusCode.OK).ShouldBe(1);
        (await service.SqlAsync("select count(*) from api_key")).ShouldBe(1L);
    }

    [Fact]
    public async Task A_wrong_link_and_a_wrong_form_make_nothing()
    {
        await using var service = await NewAsync();
        var link = await LinkAsync(service);

        foreach (var wrong in new[] { link[..^1], link + "A", link[..^1] + (link[^1] == 'A' ? 'E' : 'A'), "/setup/", "/setup/x" })
        {
            (await service.OpenAsync(wrong)).StatusCode.ShouldBe(HttpStatusCode.NotFound);
            (await service.PostFormAsync(wrong, "confirm=1")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }

        await service.PostFormAsync(link, "confirm=2").ReadProblemAsync(HttpStatusCode.BadRequest, "validation");
        await service.PostFormAsync(link, "{}", "application/json").ReadProblemAsync(HttpStatusCode.BadRequest, "validation");
        (await service.SqlAsync("select count(*) from api_key")).ShouldBe(0L);
    }

    /// <summary>A service that nobody has a key for.</summary>
    private async Task<TestService> NewAsync()
    {
        var service = await TestService.StartAsync(databases);
        await service.SqlAsync("delete from api_key");
        return service;
    }

    private static async Task<string> LinkAsync(TestService service) =>
        new Uri((await service.Services.GetRequiredService<SetupLink>().FindUrlAsync(TestContext.Current.CancellationToken))!).AbsolutePath;

    [GeneratedRegex("clk_[A-Za-z0-9_-]{43}")]
    private static partial Regex Key();
}
