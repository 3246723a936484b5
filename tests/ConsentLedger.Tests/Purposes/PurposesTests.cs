using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Purposes;

public sealed class PurposesTests(TestDatabase databases)
{
    [Fact]
    public async Task A_purpose_takes_its_defaults_and_is_shown_as_it_was_put()
    {
        await using var service = await TestService.StartAsync(databases);

        var created = await service.PutAsync("/v1/purposes/newsletter", new JsonObject { ["name"] = "Newsletter", ["channel"] = "email", ["basis"] = "consent" }).ReadAsync(HttpStatusCode.Created);

        created["doubleOptIn"]!.GetValue<bool>().ShouldBeTrue();
        created["retention"]!.ToJsonString().ShouldBe("""{"pending":"P30D","lapsed":"P24M","evidence":null}""");
        created["status"]!.GetValue<string>().ShouldBe("active");
        created["createdAt"]!.GetValue<string>().ShouldBe("2026-11-22T09:30:00Z");
        var shown = await service.GetAsync("/v1/purposes/newsletter").ReadAsync();
        shown.ToJsonString().ShouldBe(created.ToJsonString());
    }
}
