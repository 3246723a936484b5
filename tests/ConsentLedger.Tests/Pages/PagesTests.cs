using System.Net;
using System.Text.RegularExpressions;
using ConsentLedger.Http;
using ConsentLedger.Pages;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Unsubscribe;

namespace ConsentLedger.Tests.Pages;

/// <summary>The pages that belong to no feature, and what holds for all of them.</summary>
public sealed partial class PagesTests(TestDatabase databases)
{
    public static TheoryData<string> Problems => [.. ProblemType.All.Select(type => type.Slug)];

    public static TheoryData<string> Languages => [.. PageTexts.All.Keys];

    [Theory, MemberData(nameof(Problems))]
    public async Task Every_problem_has_a_page_in_every_language(string slug)
    {
        await using var service = await TestService.StartAsync(databases);
        var type = ProblemType.All.Single(type => type.Slug == slug);

        var english = await service.OpenAsync($"/problems/{slug}");
        var welsh = await service.OpenAsync($"/problems/{slug}", "cy");

        english.StatusCode.ShouldBe(HttpStatusCode.OK);
        WebUtility.HtmlDecode(await english.TextAsync()).ShouldContain($"<h1>{type.Title}</h1>");
        WebUtility.HtmlDecode(await welsh.TextAsync()).ShouldNotContain($"<h1>{type.Title}</h1>");
    }

    [Fact]
    public async Task The_list_of_problems_leads_to_each_of_them_and_an_unknown_one_is_not_found()
    {
        await using var service = await TestService.StartAsync(databases);

        var list = await service.OpenAsync("/problems").TextAsync();

        ProblemType.All.ShouldAllBe(type => list.Contains($"href=\"/problems/{type.Slug}\"", StringComparison.Ordinal));
        (await service.OpenAsync("/problems/no-such-problem")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task The_language_is_the_one_chosen_then_the_browser_s_then_English()
    {
        await using var service = await TestService.StartAsync(databases);

        foreach (var (path, accepted, expected) in new[]
        {
            ("/", "cy", "cy"), ("/", "cy-GB,en;q=0.5", "cy"), ("/", "en;q=0.5,cy;q=0.8", "cy"), ("/", "fr,cy;q=0.1", "cy"),
            ("/", "cy;q=0,en", "en"), ("/", "fr", "en"), ("/", "*", "en"), ("/", "", "en"), ("/", ";;;q=zz", "en"),
            ("/?lang=cy", "en", "cy"), ("/?lang=en", "cy", "en"), ("/?lang=xx", "cy", "cy"), ("/?lang=cy&lang=en", "en", "en"),
        })
        {
            var response = await service.OpenAsync(path, accepted);
            var page = await response.TextAsync();
            page.ShouldContain($"<html lang=\"{expected}\">", customMessage: $"{path} {accepted}");
            response.Content.Headers.ContentLanguage.ShouldBe([expected]);
        }
    }

    [Theory, MemberData(nameof(Languages))]
    public void Every_language_has_every_text_with_the_same_places_to_fill(string language)
    {
        var english = PageTexts.All["en"];
        var texts = PageTexts.All[language];

        var problems = language == "en" ? [] : ProblemType.All.SelectMany(type => new[] { $"problem.{type.Slug}", $"problem.{type.Slug}.text" });
        texts.Keys.Order(StringComparer.Ordinal).ShouldBe(english.Keys.Concat(problems).Order(StringComparer.Ordinal));
        english.Keys.ShouldAllBe(key => Places(texts[key]).SetEquals(Places(english[key])));
    }

    [Fact]
    public async Task A_browser_gets_a_page_where_a_program_gets_a_problem()
    {
        await using var service = await TestService.StartAsync(databases);

        (await service.OpenAsync("/nowhere")).Content.Headers.ContentType!.MediaType.ShouldBe("text/html");
        (await service.SendBareAsync(HttpMethod.Delete, "/", "text/html")).StatusCode.ShouldBe(HttpStatusCode.MethodNotAllowed);
        (await service.SendBareAsync(HttpMethod.Delete, "/", "text/html")).Content.Headers.ContentType!.MediaType.ShouldBe("text/html");
        foreach (var accepted in new[] { null, "*/*", "application/json", "application/json, text/html;q=0.9", "text/html;q=0" })
        {
            await service.SendBareAsync(HttpMethod.Get, "/nowhere", accepted).ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        }

        await service.OpenAsync("/v1/nowhere").ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        await service.OpenAsync("/v1/purposes").ReadProblemAsync(HttpStatusCode.Unauthorized, "unauthenticated");
    }

    [Fact]
    public async Task The_stylesheet_is_kept_for_ever_under_the_address_of_its_content()
    {
        await using var service = await TestService.StartAsync(databases);
        var page = await service.OpenAsync("/").TextAsync();
        var path = Stylesheet().Match(page).Groups[1].Value;

        var style = await service.SendBareAsync(HttpMethod.Get, path);

        style.StatusCode.ShouldBe(HttpStatusCode.OK);
        style.Content.Headers.ContentType!.ToString().ShouldBe("text/css; charset=utf-8");
        style.Headers.GetValues("Cache-Control").Single().ShouldContain("immutable");
        (await service.SendBareAsync(HttpMethod.Get, "/assets/site.css")).Headers.CacheControl!.NoCache.ShouldBeTrue();
        (await service.SendBareAsync(HttpMethod.Get, "/assets/../consentledger.dll")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await service.SendBareAsync(HttpMethod.Get, "/assets/logo")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task The_organisation_s_name_colour_and_logo_come_from_the_settings()
    {
        using var folder = new TemporaryDataDirectory();
        await File.WriteAllTextAsync(
            Path.Combine(folder.Path, "logo.svg"), "<svg xmlns=\"http://www.w3.org/2000/svg\"><script>1</script></svg>", TestContext.Current.CancellationToken);
        await using var service = await TestService.StartAsync(databases, builder =>
        {
            builder.Configuration["ConsentLedger:DataDirectory"] = folder.Path;
            builder.Configuration["ConsentLedger:Controller:Name"] = "Amgueddfa <Môr> & Museum";
            builder.Configuration["ConsentLedger:Brand:Colour"] = "#8A1538";
            builder.Configuration["ConsentLedger:Brand:Logo"] = "logo.svg";
        });

        var page = WebUtility.HtmlDecode(await service.OpenAsync("/").TextAsync());
        var style = await service.SendBareAsync(HttpMethod.Get, "/assets/site.css").TextAsync();
        var logo = await service.SendBareAsync(HttpMethod.Get, "/assets/logo");

        page.ShouldContain("alt=\"Amgueddfa <Môr> & Museum\"");
        style.ShouldContain("--accent: #8A1538");
        logo.Content.Headers.ContentType!.MediaType.ShouldBe("image/svg+xml");
        logo.Headers.GetValues("Content-Security-Policy").Single().ShouldContain("sandbox");
    }

    [Theory]
    [InlineData("Brand:Colour", "teal")]
    [InlineData("Brand:Colour", "#12345g")]
    [InlineData("Brand:Logo", "missing.png")]
    [InlineData("Brand:Logo", "logo.exe")]
    public async Task A_wrong_setting_of_the_brand_stops_the_start(string setting, string value)
    {
        var wrong = await Should.ThrowAsync<Exception>(() =>
            TestService.StartAsync(databases, builder => builder.Configuration[$"ConsentLedger:{setting}"] = value));

        wrong.Message.ShouldContain($"ConsentLedger:{setting}");
    }

    private static HashSet<string> Places(string text) => [.. Place().Matches(text).Select(match => match.Value)];

    [GeneratedRegex(@"\{\w+\}")]
    private static partial Regex Place();

    [GeneratedRegex("""rel="stylesheet" href="([^"]+)""")]
    private static partial Regex Stylesheet();
}
