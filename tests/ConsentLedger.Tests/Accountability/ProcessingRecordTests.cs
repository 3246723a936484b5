using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Accountability;

public sealed class ProcessingRecordTests(TestDatabase databases)
{
    [Fact]
    public async Task It_says_who_does_what_with_which_data_and_for_how_long()
    {
        await using var service = await StartAsync();

        var record = await service.GetAsync("/v1/processing-record").ReadAsync();

        record["controller"]!.Text("name").ShouldBe("Hafod Museum");
        record["controller"]!.Text("dataProtectionOfficer").ShouldBe("Gwen Rees");
        record.Text("transfers").ShouldBe("None outside the United Kingdom.");
        record.Text("security").ShouldContain("AES-256-GCM");
        var activity = record["activities"]!.AsArray().Single()!;
        activity.Text("purpose").ShouldBe("newsletter");
        activity.Text("basis").ShouldBe("consent");
        activity["dataCategories"]!.ToJsonString().ShouldBe("""["name","e-mail address"]""");
        activity["recipients"]!.ToJsonString().ShouldBe("""["=HYPERLINK(1)"]""");
        activity["retention"]!.Text("lapsed").ShouldBe("P12M");
    }

    [Fact]
    public async Task A_spreadsheet_opens_it_and_runs_nothing()
    {
        await using var service = await StartAsync();

        var response = await service.GetAsync("/v1/processing-record", headers: ("Accept", "text/csv"));

        response.Content.Headers.ContentType!.MediaType.ShouldBe("text/csv");
        var lines = (await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).Split("\r\n");
        lines[0].ShouldContain("\"purpose\"");
        lines[1].ShouldContain("\"Hafod Museum\"");
        lines[1].ShouldContain("\"'=HYPERLINK(1)\"");
    }

    [Fact]
    public async Task It_is_a_page_to_print_in_English_and_Welsh()
    {
        await using var service = await StartAsync();

        var english = await PageAsync("en");
        var welsh = await PageAsync("cy");

        english.ShouldContain("Record of processing");
        english.ShouldContain("Consent (Article 6(1)(a))");
        english.ShouldContain("12 months after a consent ends.");
        english.ShouldContain("Gwen Rees");
        welsh.ShouldContain("Cofnod prosesu");
        welsh.ShouldContain("Cydsyniad (Erthygl 6(1)(a))");

        async Task<string> PageAsync(string language)
        {
            var response = await service.GetAsync("/v1/processing-record", headers: [("Accept", "text/html,application/json;q=0.5"), ("Accept-Language", language)]);
            response.Content.Headers.ContentType!.MediaType.ShouldBe("text/html");
            return WebUtility.HtmlDecode(await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        }
    }

    [Fact]
    public async Task Whoever_reads_it_needs_the_scope_and_a_key_for_all_purposes()
    {
        await using var service = await StartAsync();
        await service.GetAsync("/v1/processing-record", await service.CreateKeyAsync(["audit:read"])).ReadProblemAsync(HttpStatusCode.Forbidden, "insufficient-scope");
        await service.GetAsync("/v1/processing-record", await service.CreateKeyAsync(["records:read"], "newsletter")).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
    }

    private async Task<TestService> StartAsync()
    {
        var service = await TestService.StartAsync(databases, builder =>
        {
            builder.Configuration["ConsentLedger:Controller:Name"] = "Hafod Museum";
            builder.Configuration["ConsentLedger:Controller:DataProtectionOfficer"] = "Gwen Rees";
            builder.Configuration["ConsentLedger:ProcessingRecord:Transfers"] = "None outside the United Kingdom.";
        });
        await service.PurposeAsync(with: new JsonObject
        {
            ["dataCategories"] = new JsonArray("name", "e-mail address"),
            ["recipients"] = new JsonArray("=HYPERLINK(1)"),
            ["retention"] = new JsonObject { ["lapsed"] = "P12M" },
        });
        return service;
    }
}
