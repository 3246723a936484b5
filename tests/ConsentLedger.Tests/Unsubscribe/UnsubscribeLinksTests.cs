using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Unsubscribe;

public sealed class UnsubscribeLinksTests(TestDatabase databases)
{
    private static readonly JsonObject Request = new() { ["address"] = UnsubscribeScene.Ada, ["purpose"] = "newsletter" };

    [Fact]
    public async Task A_link_comes_with_the_header_fields_of_RFC_8058_and_holds_no_address()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();

        var link = await service.PostAsync("/v1/unsubscribe-links", Request.DeepClone()).ReadAsync();

        var url = link.Text("url");
        url.ShouldStartWith("https://consent.example/u/");
        url.Length.ShouldBe("https://consent.example/u/".Length + 51);
        url.ShouldNotContain("ada@", Case.Insensitive);
        link["headers"]!.Text("List-Unsubscribe").ShouldBe($"<{url}>");
        link["headers"]!.Text("List-Unsubscribe-Post").ShouldBe("List-Unsubscribe=One-Click");
        link["headers"]!.Text("List-Id").ShouldBe("<newsletter.consent.example>");
    }

    [Fact]
    public async Task The_link_of_two_spellings_of_an_address_is_one()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();

        (await service.LinkAsync("Ada@EXAMPLE.org")).ShouldBe(await service.LinkAsync("ada@example.org"));
        (await service.LinkAsync("bob@example.org")).ShouldNotBe(await service.LinkAsync("ada@example.org"));
    }

    [Fact]
    public async Task What_can_t_be_is_refused()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();

        async Task<HttpResponseMessage> AskAsync(string? address, string? purpose, string? key = null) =>
            await service.PostAsync("/v1/unsubscribe-links", new JsonObject { ["address"] = address, ["purpose"] = purpose }, key);

        await AskAsync(UnsubscribeScene.Ada, "no-such-purpose").ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        await AskAsync(UnsubscribeScene.Ada, "*").ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        await AskAsync("tel:+442079460000", "newsletter").ReadErrorAsync("address");
        await AskAsync("not an address", "newsletter").ReadErrorAsync("address");
        await AskAsync(null, "newsletter").ReadErrorAsync("address");
        await AskAsync(UnsubscribeScene.Ada, null).ReadErrorAsync("purpose");
        await AskAsync(UnsubscribeScene.Ada, "newsletter", await service.CreateKeyAsync([Scope.ChecksRead], "open-days"))
            .ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        await AskAsync(UnsubscribeScene.Ada, "newsletter", await service.CreateKeyAsync([Scope.EventsWrite]))
            .ReadProblemAsync(HttpStatusCode.Forbidden, "insufficient-scope");
        await AskAsync(UnsubscribeScene.Ada, "newsletter", "clk_wrong").ReadProblemAsync(HttpStatusCode.Unauthorized, "unauthenticated");
        (await AskAsync(UnsubscribeScene.Ada, "newsletter", await service.CreateKeyAsync([Scope.ChecksRead], "newsletter"))).StatusCode.ShouldBe(HttpStatusCode.OK);
    }
}
