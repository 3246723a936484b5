using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.SignUps;

public sealed class FormsTests(TestDatabase databases, SharedService shared) : IClassFixture<SharedService>
{
    [Fact]
    public async Task A_form_is_made_shown_listed_and_changed()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.NoticeAsync();

        var made = await service.PutAsync("/v1/forms/website", SignUpScene.Form()).ReadAsync(HttpStatusCode.Created);
        service.Clock.Advance(TimeSpan.FromMinutes(1));
        var changed = await service.PutAsync("/v1/forms/website", SignUpScene.Form("cy")).ReadAsync();

        made.Text("url").ShouldBe("https://consent.example/signup/website");
        made["notices"]![0]!["version"]!.GetValue<int>().ShouldBe(1);
        changed.Text("language").ShouldBe("cy");
        changed.Text("createdAt").ShouldBe(made.Text("createdAt"));
        (await service.GetAsync("/v1/forms/website").ReadAsync()).ToJsonString().ShouldBe(changed.ToJsonString());
        (await service.GetAsync("/v1/forms").ReadAsync())["items"]!.AsArray().ShouldHaveSingleItem();
        (await service.GetAsync("/v1/forms/other")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await service.GetAsync("/v1/forms", await service.CreateKeyAsync([Scope.SignUpsWrite]))).StatusCode.ShouldBe(HttpStatusCode.Forbidden);
    }

    [Theory]
    [InlineData("purposes", "[]", "purposes")]
    [InlineData("purposes", "[\"unknown\"]", "purposes[0]")]
    [InlineData("purposes", "[\"letters\"]", "purposes[0]")]
    [InlineData("origins", "[\"https://museum.example/page\"]", "origins[0]")]
    [InlineData("origins", "[\"*\"]", "origins[0]")]
    [InlineData("returnUrls", "[\"javascript:alert(1)\"]", "returnUrls[0]")]
    [InlineData("language", "\"fr\"", "language")]
    [InlineData("fields", "[\"address\"]", "fields[0]")]
    [InlineData("fields", "[\"first name\"]", "fields[0]")]
    public async Task A_form_that_can_not_be_is_refused_by_the_member_that_is_wrong(string member, string value, string path)
    {
        var service = shared.Service;
        await service.PurposeAsync();
        await service.PurposeAsync("letters", with: new JsonObject { ["channel"] = "post" });
        var form = SignUpScene.Form();
        form[member] = JsonNode.Parse(value);

        (await service.PutAsync("/v1/forms/website", form).ReadErrorAsync(path)).ShouldNotBeEmpty();
    }
}
