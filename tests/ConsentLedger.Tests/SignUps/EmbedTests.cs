using System.IO.Compression;
using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.Unsubscribe;

namespace ConsentLedger.Tests.SignUps;

/// <summary>What a form on another site is made from: the script, and the description of the form.</summary>
public sealed class EmbedTests(TestDatabase databases)
{
    [Fact]
    public async Task The_script_is_the_file_of_the_repository_and_less_than_six_kilobytes()
    {
        await using var service = await TestService.StartAsync(databases);

        var plain = await service.SendBareAsync(HttpMethod.Get, "/embed/signup.js");
        var source = await File.ReadAllTextAsync(Repository.PathOf("clients", "web", "signup.js"), TestContext.Current.CancellationToken);
        (await plain.TextAsync()).ShouldBe(source);
        plain.Content.Headers.ContentType!.ToString().ShouldBe("text/javascript; charset=utf-8");
        plain.Headers.GetValues("Access-Control-Allow-Origin").ShouldBe(["*"]);
        plain.Headers.GetValues("Cross-Origin-Resource-Policy").ShouldBe(["cross-origin"]);
        plain.Headers.CacheControl!.MaxAge.ShouldBe(TimeSpan.FromDays(1));

        using var asked = new HttpRequestMessage(HttpMethod.Get, "/embed/signup.js");
        asked.Headers.Add("Accept-Encoding", "gzip, br");
        var gzipped = await service.Client.SendAsync(asked, TestContext.Current.CancellationToken);
        gzipped.Content.Headers.ContentEncoding.ShouldBe(["gzip"]);
        var bytes = await gzipped.Content.ReadAsByteArrayAsync(TestContext.Current.CancellationToken);
        bytes.Length.ShouldBeLessThan(6 * 1000);
        await using var unpacked = new GZipStream(new MemoryStream(bytes), CompressionMode.Decompress);
        (await new StreamReader(unpacked).ReadToEndAsync(TestContext.Current.CancellationToken)).ShouldBe(source);
        gzipped.Headers.ETag.ShouldNotBe(plain.Headers.ETag);

        using var again = new HttpRequestMessage(HttpMethod.Get, "/embed/signup.js");
        again.Headers.IfNoneMatch.Add(plain.Headers.ETag!);
        (await service.Client.SendAsync(again, TestContext.Current.CancellationToken)).StatusCode.ShouldBe(HttpStatusCode.NotModified);
    }

    [Fact]
    public async Task A_form_is_described_in_each_language_with_the_wording_it_shows_now()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink, new JsonObject { ["minimumAge"] = 13, ["description"] = "Once a month." });
        await service.PostAsync("/v1/purposes/newsletter/notices", new JsonObject { ["language"] = "cy", ["statement"] = "Ie, anfonwch y cylchlythyr ataf." }).ReadAsync(HttpStatusCode.Created);

        var english = await DescribeAsync(service).ReadAsync();
        english.Text("form").ShouldBe("website");
        english.Text("language").ShouldBe("en");
        english.Text("organisation").ShouldBe("The Museum");
        english.Text("url").ShouldBe("https://consent.example/signup/website");
        english["challenge"]!.GetValue<bool>().ShouldBeFalse();
        english["minimumAge"]!.GetValue<int>().ShouldBe(13);
        english["fields"]!.ToJsonString().ShouldBe("""[{"name":"firstName","label":"First name","autocomplete":"given-name"}]""");
        var offered = english["purposes"]!.AsArray().ShouldHaveSingleItem()!;
        offered.Text("description").ShouldBe("Once a month.");
        offered["notice"]!["version"]!.GetValue<int>().ShouldBe(1);
        english["texts"]!.Text("over").ShouldBe("I am 13 or older");

        var welsh = await DescribeAsync(service, "?lang=cy").ReadAsync();
        welsh.Text("language").ShouldBe("cy");
        welsh["purposes"]![0]!["notice"]!["version"]!.GetValue<int>().ShouldBe(2);
        welsh["purposes"]![0]!["notice"]!.Text("statement").ShouldBe("Ie, anfonwch y cylchlythyr ataf.");
        welsh["texts"]!.AsObject().Count(text => text.Value!.GetValue<string>() == english["texts"]!.Text(text.Key)).ShouldBe(0);
        (await DescribeAsync(service, "?lang=fr").ReadAsync()).Text("language").ShouldBe("en");
    }

    [Fact]
    public async Task The_description_may_be_kept_for_a_minute_and_is_read_by_the_form_s_sites_alone()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);

        var first = await DescribeAsync(service, origin: SignUpScene.Site);
        first.Headers.GetValues("Access-Control-Allow-Origin").ShouldBe([SignUpScene.Site]);
        first.Headers.CacheControl!.ToString().ShouldBe("public, max-age=60");
        first.Headers.Vary.ShouldBe(["Accept", "Origin"], ignoreOrder: true);
        (await DescribeAsync(service, origin: SignUpScene.Site, etag: first.Headers.ETag!.ToString())).StatusCode.ShouldBe(HttpStatusCode.NotModified);
        await service.NoticeAsync();
        (await DescribeAsync(service, origin: SignUpScene.Site, etag: first.Headers.ETag!.ToString())).StatusCode.ShouldBe(HttpStatusCode.OK);

        await (await DescribeAsync(service, origin: "https://evil.example")).ReadProblemAsync(HttpStatusCode.Forbidden, "origin-not-allowed");
        (await service.OpenAsync("/signup/website")).Content.Headers.ContentType!.MediaType.ShouldBe("text/html");
        (await service.SendBareAsync(HttpMethod.Get, "/signup/website", "*/*")).Content.Headers.ContentType!.MediaType.ShouldBe("text/html");
        (await service.SendBareAsync(HttpMethod.Get, "/signup/nowhere", "application/json")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task The_evidence_names_the_wording_that_was_shown_even_if_there_is_a_newer_one()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        var shown = (await DescribeAsync(service).ReadAsync())["purposes"]![0]!["notice"]!["version"]!.GetValue<int>();
        await service.NoticeAsync();

        await service.SignUpFromAsync(SignUpScene.Site, new JsonObject { ["address"] = SignUpScene.Ada, ["notice-newsletter"] = $"{shown}" });

        await service.PostFormAsync((await sink.MailAsync()).ConfirmPath(), "confirm=1");
        (await service.HistoryAsync()).ShouldAllBe(one => one.NoticeVersion == shown);
    }

    [Fact]
    public async Task Only_a_page_whose_form_asks_for_work_may_run_a_script_and_only_ours()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        Policy(await service.OpenAsync("/signup/website")).ShouldNotContain("script-src");

        await service.ChallengingFormAsync();

        var page = await service.OpenAsync("/signup/website");
        Policy(page).ShouldContain("script-src 'self'; connect-src 'self'");
        var script = System.Text.RegularExpressions.Regex.Match(await page.TextAsync(), "<script src=\"([^\"]+)\" defer></script>").Groups[1].Value;
        var served = await service.SendBareAsync(HttpMethod.Get, WebUtility.HtmlDecode(script));
        served.StatusCode.ShouldBe(HttpStatusCode.OK);
        served.Headers.CacheControl!.ToString().ShouldContain("immutable");
    }

    private static string Policy(HttpResponseMessage response) => response.Headers.GetValues("Content-Security-Policy").Single();

    private static async Task<HttpResponseMessage> DescribeAsync(TestService service, string query = "", string? origin = null, string? etag = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/signup/website" + query);
        foreach (var (name, value) in new[] { ("Accept", "application/json"), ("Origin", origin), ("If-None-Match", etag) })
        {
            if (value is not null)
            {
                request.Headers.TryAddWithoutValidation(name, value);
            }
        }

        return await service.Client.SendAsync(request);
    }
}
