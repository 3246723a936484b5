using System.IO.Compression;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.PersonalData;

namespace ConsentLedger.Tests.SubjectRights;

public sealed class ExportTests(TestDatabase databases)
{
    [Fact]
    public async Task Everything_comes_out_with_the_wording_and_the_evidence_opened()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync(with: new() { ["recipients"] = new JsonArray("The printer") });
        await service.NoticeAsync();
        await service.EventAsync("Ada@museum.example", with: new()
        {
            ["notice"] = new JsonObject { ["version"] = 1 },
            ["source"] = new JsonObject { ["kind"] = "paper", ["reference"] = "visitor book" },
            ["evidence"] = new JsonObject { ["ip"] = "192.0.2.7" },
        });

        var export = await service.ExportAsync("ada@MUSEUM.example");

        export["nothingHeld"]!.GetValue<bool>().ShouldBeFalse();
        export["addresses"]![0]!.Text("address").ShouldBe("Ada@museum.example");
        export["purposes"]![0]!["recipients"]![0]!.GetValue<string>().ShouldBe("The printer");
        export["states"]![0]!.Text("status").ShouldBe("given");
        var given = export["events"]!.AsArray().ShouldHaveSingleItem()!;
        given["notice"]!.Text("statement").ShouldBe("Yes, send me the newsletter once a month.");
        given["notice"]!["version"]!.GetValue<int>().ShouldBe(1);
        given["source"]!.Text("reference").ShouldBe("visitor book");
        given["evidence"]!.Text("ip").ShouldBe("192.0.2.7");
    }

    [Fact]
    public async Task Of_an_unknown_address_the_export_says_that_nothing_is_held()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync("ada@museum.example");

        var export = await service.ExportAsync("eve@museum.example");

        export["nothingHeld"]!.GetValue<bool>().ShouldBeTrue();
        export["events"]!.AsArray().ShouldBeEmpty();
        var page = await service.ReadZipAsync("eve@museum.example", "your-data.html");
        page.ShouldContain("holds nothing about this address");
        page.ShouldContain("0303 123 1113");
        (await service.SqlAsync($"select count(*) from audit_entry where action = 'subscriber-exported' and about_subscriber = '{export.Text("subscriberId")}'")).ShouldBe(2L);
    }

    [Fact]
    public async Task A_key_needs_the_scope_and_all_purposes_and_the_request_is_held_to_its_form()
    {
        await using var service = await TestService.StartAsync(databases);
        var body = new JsonObject { ["address"] = "ada@museum.example", ["format"] = "json" };

        await service.PostAsync("/v1/subscribers/export", body, await service.CreateKeyAsync(["subscribers:read"])).ReadProblemAsync(HttpStatusCode.Forbidden, "insufficient-scope");
        await service.PostAsync("/v1/subscribers/export", body, await service.CreateKeyAsync(["subscribers:export"], "newsletter")).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        (await service.PostAsync("/v1/subscribers/export", new JsonObject { ["address"] = "nobody" }).ReadErrorAsync("address")).ShouldNotContain("nobody");
        await service.PostAsync("/v1/subscribers/export", new JsonObject { ["address"] = "ada@museum.example", ["format"] = "pdf" }).ReadProblemAsync(HttpStatusCode.BadRequest, "validation");
        (await service.PostAsync("/v1/subscribers/export", new JsonObject { ["address"] = "ada@museum.example", ["language"] = "tlh" }).ReadErrorAsync("language")).ShouldContain("cy, en");
    }

    [Theory]
    [InlineData("=HYPERLINK(\"http://evil.example\")")]
    [InlineData("+1+1")]
    [InlineData("-1+1|cmd")]
    [InlineData("@SUM(1)")]
    [InlineData("  =1+1")]
    [InlineData("＝1+1")]
    public async Task No_field_of_the_CSV_is_a_formula(string hostile)
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync("ada@museum.example", with: new() { ["source"] = new JsonObject { ["kind"] = "paper", ["reference"] = hostile } });

        var events = await service.ReadZipAsync("ada@museum.example", "csv/events.csv");

        events.ShouldStartWith("\uFEFF\"occurredAt\",\"purpose\",");
        events.ShouldContain($"\"'{hostile.Replace("\"", "\"\"", StringComparison.Ordinal)}\"");
    }

    [Fact]
    public async Task The_page_is_self_contained_and_says_everything_in_English_or_Welsh()
    {
        await using var service = await TestService.StartAsync(databases, builder =>
        {
            builder.Configuration["ConsentLedger:Controller:Name"] = "The Museum";
            builder.Configuration["ConsentLedger:Controller:Email"] = "data@museum.example";
            builder.Configuration["ConsentLedger:Controller:DataProtectionOfficer"] = "Grace Hopper";
        });
        await service.PurposeAsync(with: new() { ["recipients"] = new JsonArray("The printer"), ["retention"] = new JsonObject { ["lapsed"] = "P24M", ["pending"] = "P30D" } });
        await service.NoticeAsync();
        await service.EventAsync("ada@museum.example", with: new()
        {
            ["notice"] = new JsonObject { ["version"] = 1 },
            ["evidence"] = new JsonObject { ["remark"] = "<script>alert(1)</script>" },
        });

        var english = await service.ReadZipAsync("ada@museum.example", "your-data.html");
        var welsh = await service.ReadZipAsync("ada@museum.example", "eich-data.html", "cy-GB,en;q=0.5");

        foreach (var said in new[]
        {
            "What The Museum holds about you", "ada@museum.example", "The newsletter", "your consent", "The printer", "24 months", "30 days",
            "Yes, send me the newsletter once a month.", "version 1", "A form on a web page", "22 November 2026, 09:30 UTC", "Grace Hopper", "data@museum.example",
            "0303 123 1113", "&lt;script&gt;",
        })
        {
            english.ShouldContain(said);
        }

        english.ShouldNotContain("<script");
        english.ShouldNotContain("src=");
        english.ShouldNotContain("<link");
        english.ShouldNotContain("url(");
        welsh.ShouldContain("lang=\"cy\"");
        welsh.ShouldContain("Yr hyn y mae The Museum yn ei gadw amdanoch");
        welsh.ShouldContain("22 Tachwedd 2026");
        welsh.ShouldContain("eich cydsyniad");
    }

    [Fact]
    public async Task While_the_database_is_away_it_is_refused_whole()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.CutDatabaseAsync(databases);

        await service.PostAsync("/v1/subscribers/export", new JsonObject { ["address"] = "ada@museum.example" }).ReadProblemAsync(HttpStatusCode.ServiceUnavailable, "ledger-unavailable");

        await service.JoinDatabaseAsync(databases);
    }

    [Fact]
    public async Task A_zip_has_every_kind_of_record_as_CSV_and_the_same_JSON()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync("ada@museum.example");

        var answer = await service.PostAsync("/v1/subscribers/export", new JsonObject { ["address"] = "ada@museum.example", ["format"] = "zip" });
        answer.StatusCode.ShouldBe(HttpStatusCode.OK);
        answer.Content.Headers.ContentType!.MediaType.ShouldBe("application/zip");
        answer.Headers.CacheControl!.NoStore.ShouldBeTrue();
        using var zip = new ZipArchive(await answer.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
        zip.Entries.Select(entry => entry.FullName).ShouldBeSubsetOf(
            [.. service.Kinds().Select(kind => $"csv/{kind.Name}.csv"), "data.json", "your-data.html"]);
        zip.Entries.Count.ShouldBe(service.Kinds().Count + 2);
        using var data = new StreamReader(zip.GetEntry("data.json")!.Open(), Encoding.UTF8);
        JsonNode.Parse(await data.ReadToEndAsync(TestContext.Current.CancellationToken))!["events"]!.ToJsonString()
            .ShouldBe((await service.ExportAsync("ada@museum.example"))["events"]!.ToJsonString());
    }
}
