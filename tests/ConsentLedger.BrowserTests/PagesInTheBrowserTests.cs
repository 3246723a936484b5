using ConsentLedger.Administration;
using ConsentLedger.Ledger;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Unsubscribe;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace ConsentLedger.BrowserTests;

/// <summary>The pages as people meet them: without JavaScript, by keyboard, light and dark, on a phone, in both languages.</summary>
public sealed class PagesInTheBrowserTests(TestDatabase databases, Chromium chromium)
{
    [Theory, MemberData(nameof(Visits.Looks), MemberType = typeof(Visits))]
    public async Task Somebody_unsubscribes_by_keyboard_and_without_JavaScript(Look look, string language)
    {
        await using var service = await StartAsync();
        var link = await service.LinkAsync();
        await using var visitor = await Visitor.ComeAsync(chromium, service.Url, look, language);
        var (question, button, done) = language == "cy"
            ? ("Dad-danysgrifio o", "Dad-danysgrifio", "Rydych wedi dad-danysgrifio")
            : ("Unsubscribe from", "Unsubscribe", "You are unsubscribed");

        await visitor.GoAsync(link);
        (await visitor.Page.Locator("h1").InnerTextAsync()).ShouldStartWith(question);
        (await visitor.Page.Locator("html").GetAttributeAsync("lang")).ShouldBe(language);
        await visitor.PictureAsync($"unsubscribe-{look}-{language}");
        (await service.StateAsync())!.Value.Kind.ShouldBe(EventKind.Given);

        // The button is the first thing that takes the focus.
        await visitor.Page.Keyboard.PressAsync("Tab");
        (await visitor.FocusedTextAsync()).ShouldBe(button);
        await visitor.PictureAsync($"unsubscribe-focus-{look}-{language}");
        await visitor.SubmitAsync(() => visitor.Page.Keyboard.PressAsync("Enter"));

        (await visitor.Page.Locator("h1").InnerTextAsync()).ShouldBe(done);
        await visitor.PictureAsync($"unsubscribed-{look}-{language}");
        (await service.StateAsync())!.Value.Kind.ShouldBe(EventKind.Withdrawn);

        // The other language shows the same page again, and does nothing again.
        await visitor.SubmitAsync(() => visitor.Page.Locator(".languages button").ClickAsync());
        (await visitor.Page.Locator("html").GetAttributeAsync("lang")).ShouldBe(language == "cy" ? "en" : "cy");
        (await visitor.Page.Locator("h1").InnerTextAsync()).ShouldNotBe(done);
        (await service.HistoryAsync()).Count.ShouldBe(2);
    }

    [Theory, MemberData(nameof(Visits.Looks), MemberType = typeof(Visits))]
    public async Task Axe_finds_nothing_on_any_page(Look look, string language)
    {
        await using var service = await StartAsync();
        await service.PurposeAsync(with: new() { ["name"] = "What’s on at Llandudno and Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogogoch" });
        var link = await service.LinkAsync();

        // Axe is JavaScript; the pages still have none, and their policy lets none in but what the test injects.
        await using var visitor = await Visitor.ComeAsync(chromium, service.Url, look, language, javaScript: true);
        foreach (var (name, path) in new[] { ("home", "/"), ("problems", "/problems"), ("problem", "/problems/validation"), ("missing", "/u/broken"), ("unsubscribe-long", link) })
        {
            await visitor.GoAsync(path);
            await visitor.PictureAsync($"{name}-{look}-{language}");
            await visitor.ShouldBeAccessibleAsync();
        }

        await visitor.SubmitAsync(() => visitor.Page.Locator("button.button").ClickAsync());
        await visitor.PictureAsync($"unsubscribed-long-{look}-{language}");
        await visitor.ShouldBeAccessibleAsync();

        await service.SqlAsync("delete from api_key");
        var setup = await service.Services.GetRequiredService<SetupLink>().FindUrlAsync(TestContext.Current.CancellationToken);
        await visitor.GoAsync(new Uri(setup!).AbsolutePath);
        await visitor.PictureAsync($"setup-{look}-{language}");
        await visitor.ShouldBeAccessibleAsync();
        await visitor.SubmitAsync(() => visitor.Page.Locator("button.button").ClickAsync());
        await visitor.PictureAsync($"setup-done-{look}-{language}");
        await visitor.ShouldBeAccessibleAsync();
    }

    [Theory]
    [InlineData("#ffee00")]
    [InlineData("#000000")]
    [InlineData("#ffffff")]
    [InlineData("#e4003b")]
    public async Task Any_colour_is_legible(string colour)
    {
        foreach (var look in new[] { Look.Light, Look.Dark })
        {
            await using var service = await StartAsync(builder => builder.Configuration["ConsentLedger:Brand:Colour"] = colour);
            await using var visitor = await Visitor.ComeAsync(chromium, service.Url, look, "en", javaScript: true);

            await visitor.GoAsync(await service.LinkAsync());
            await visitor.PictureAsync($"colour-{colour[1..]}-{look}");
            await visitor.ShouldBeAccessibleAsync();
            await visitor.Page.Locator("button.button").HoverAsync();
            await visitor.ShouldBeAccessibleAsync();
        }
    }

    [Fact]
    public async Task The_focus_can_be_seen_wherever_it_is()
    {
        await using var service = await StartAsync();
        var link = await service.LinkAsync();
        foreach (var look in Enum.GetValues<Look>())
        {
            await using var visitor = await Visitor.ComeAsync(chromium, service.Url, look, "en", javaScript: true);
            foreach (var path in new[] { "/", "/problems", "/u/broken", link })
            {
                await visitor.GoAsync(path);
                var stops = await visitor.Page.Locator("a, button").CountAsync();
                for (var stop = 0; stop < stops; stop++)
                {
                    await visitor.Page.Keyboard.PressAsync("Tab");
                    var outline = await visitor.Page.EvaluateAsync<string>(
                        "(() => { const style = getComputedStyle(document.activeElement); return document.activeElement.tagName + ' ' + style.outlineStyle + ' ' + parseFloat(style.outlineWidth); })()");
                    outline.ShouldMatch("^(A|BUTTON) solid [3-9]", $"{path}, stop {stop}");
                }
            }
        }
    }

    private async Task<TestService> StartAsync(Action<WebApplicationBuilder>? configure = null)
    {
        var service = await TestService.StartAsync(databases, builder =>
        {
            builder.Configuration["ConsentLedger:Controller:Name"] = "Amgueddfa’r Glannau · Harbour Museum";
            configure?.Invoke(builder);
        });
        await service.PurposeAsync(with: new() { ["name"] = "The Friday letter" });
        await service.ConsentAsync(TestService.Start.AddYears(-1));
        return service;
    }
}
