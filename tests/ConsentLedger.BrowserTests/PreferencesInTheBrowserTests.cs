using System.Text.Json.Nodes;
using ConsentLedger.Ledger;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.Preferences;
using ConsentLedger.Tests.SignUps;
using ConsentLedger.Tests.Unsubscribe;

namespace ConsentLedger.BrowserTests;

/// <summary>The preference centre as people meet it: by keyboard, without JavaScript, light and dark, on a phone, in both languages.</summary>
public sealed class PreferencesInTheBrowserTests(TestDatabase databases, Chromium chromium)
{
    [Theory, MemberData(nameof(Visits.Looks), MemberType = typeof(Visits))]
    public async Task Axe_finds_nothing_on_any_of_its_pages(Look look, string language)
    {
        using var sink = SmtpSink.Start();
        await using var service = await StartAsync(sink);
        await using var visitor = await Visitor.ComeAsync(chromium, service.Url, look, language, javaScript: true);
        var path = await service.PreferencesAsync();

        await LookAsync("link", () => visitor.GoAsync("/preferences"));
        await visitor.Page.Locator("#address").FillAsync("not-an-address");
        await LookAsync("link-wrong", () => visitor.SubmitAsync(() => visitor.Page.Locator("button.button").ClickAsync()));
        await visitor.Page.Locator("#address").FillAsync(PreferenceScene.Ada);
        await LookAsync("link-sent", () => visitor.SubmitAsync(() => visitor.Page.Locator("button.button").ClickAsync()));
        await LookAsync("choices", () => visitor.GoAsync(path));
        await visitor.Page.Locator("summary").ClickAsync();
        await LookAsync("choices-stop", () => Task.CompletedTask);
        await LookAsync("turned-off", () => visitor.SubmitAsync(() => visitor.Page.Locator("button[value=newsletter]").ClickAsync()));
        await LookAsync("turn-on", () => visitor.GoAsync($"{path}/events"));
        await LookAsync("turn-on-young", () => visitor.SubmitAsync(() => visitor.Page.Locator("button.button").ClickAsync()));
        await visitor.Page.Locator("input[name=age]").CheckAsync();
        await LookAsync("asked", () => visitor.SubmitAsync(() => visitor.Page.Locator("button.button").ClickAsync()));
        await service.EventAsync(PreferenceScene.Ada, "suppressed", "*");
        await LookAsync("suppressed", () => visitor.GoAsync(path));
        await LookAsync("unknown", async () => await visitor.GoAsync(await service.PreferencesAsync("stranger@example.org")));
        await service.GiveAsync("undo@example.org");
        await visitor.GoAsync(await service.LinkAsync("undo@example.org"));
        await LookAsync("unsubscribed-undo", () => visitor.SubmitAsync(() => visitor.Page.Locator("button.button").ClickAsync()));
        await LookAsync("undone", () => visitor.SubmitAsync(() => visitor.Page.Locator("form.act button").ClickAsync()));
        var undo = new Uri(visitor.Page.Url).AbsolutePath;
        var own = await service.PreferencesAsync("undo@example.org") + "/data";
        await LookAsync("address", () => visitor.GoAsync($"{own}/address"));
        await LookAsync("address-wrong", () => visitor.SubmitAsync(() => visitor.Page.Locator("button.button").ClickAsync()));
        await visitor.Page.Locator("#address").FillAsync("moved@example.org");
        await LookAsync("address-sent", () => visitor.SubmitAsync(() => visitor.Page.Locator("button.button").ClickAsync()));
        await MailScene.UntilAsync(() => sink.Mails.Any(mail => mail.Recipient == "moved@example.org"), "the mail to the new address");
        await LookAsync("move", () => visitor.GoAsync(sink.Mails.Single(mail => mail.Recipient == "moved@example.org").Message.MovePath()));
        await LookAsync("moved", () => visitor.SubmitAsync(() => visitor.Page.Locator("button.button").ClickAsync()));
        await LookAsync("erase", () => visitor.GoAsync($"{own}/erase"));
        await LookAsync("erased", () => visitor.SubmitAsync(() => visitor.Page.Locator("button.button").ClickAsync()));
        service.Later(TimeSpan.FromHours(24));
        await LookAsync("undo-late", () => visitor.GoAsync(undo));
        await LookAsync("link-expired", () => visitor.GoAsync(path));

        async Task LookAsync(string name, Func<Task> act)
        {
            await act();
            (await visitor.Page.Locator("html").GetAttributeAsync("lang")).ShouldBe(language);
            await visitor.PictureAsync($"preferences-{name}-{look}-{language}");
            await visitor.ShouldBeAccessibleAsync();
        }
    }

    [Theory, MemberData(nameof(Visits.Looks), MemberType = typeof(Visits))]
    public async Task Somebody_turns_one_off_undoes_it_and_turns_another_on_by_keyboard_and_without_JavaScript(Look look, string language)
    {
        using var sink = SmtpSink.Start();
        await using var service = await StartAsync(sink);
        await using var visitor = await Visitor.ComeAsync(chromium, service.Url, look, language);

        await visitor.GoAsync("/preferences");
        await TabToAsync(visitor, "#address");
        await visitor.Page.Keyboard.TypeAsync(PreferenceScene.Ada);
        await visitor.SubmitAsync(() => visitor.Page.Keyboard.PressAsync("Enter"));
        await visitor.GoAsync((await sink.MailAsync()).PreferencesPath());

        await TabToAsync(visitor, "button[value=newsletter]");
        await visitor.SubmitAsync(() => visitor.Page.Keyboard.PressAsync("Enter"));
        (await service.ReasonAsync(PreferenceScene.Ada)).ShouldBe("withdrawn");
        await TabToAsync(visitor, "button[name=undo]");
        await visitor.SubmitAsync(() => visitor.Page.Keyboard.PressAsync("Enter"));
        (await service.ReasonAsync(PreferenceScene.Ada)).ShouldBe("renewed");

        await TabToAsync(visitor, "a[href*='/talks']");
        await visitor.FollowAsync(() => visitor.Page.Keyboard.PressAsync("Enter"));
        await TabToAsync(visitor, "button.button");
        await visitor.SubmitAsync(() => visitor.Page.Keyboard.PressAsync("Enter"));
        (await service.ReasonAsync(PreferenceScene.Ada, "talks")).ShouldBe("pending");
        await visitor.GoAsync((await sink.MailAsync(2)).ConfirmPath());
        await TabToAsync(visitor, "button.button");
        await visitor.SubmitAsync(() => visitor.Page.Keyboard.PressAsync("Enter"));
        (await service.ReasonAsync(PreferenceScene.Ada, "talks")).ShouldBe("given");

        await visitor.GoAsync(await service.PreferencesAsync());
        await TabToAsync(visitor, "summary");
        await visitor.Page.Keyboard.PressAsync("Enter");
        await TabToAsync(visitor, "button[name=all]");
        await visitor.SubmitAsync(() => visitor.Page.Keyboard.PressAsync("Enter"));
        (await service.ReasonAsync(PreferenceScene.Ada, "talks")).ShouldBe("objected");

        // The other language shows the same page again, and does nothing.
        var events = (await service.HistoryAsync()).Count;
        await visitor.FollowAsync(() => visitor.Page.Locator(".languages a").ClickAsync());
        (await visitor.Page.Locator("html").GetAttributeAsync("lang")).ShouldBe(language == "cy" ? "en" : "cy");
        (await service.HistoryAsync()).Count.ShouldBe(events);
    }

    [Fact]
    public async Task The_page_that_says_unsubscribed_leads_to_the_choices_and_an_undo_restores()
    {
        using var sink = SmtpSink.Start();
        await using var service = await StartAsync(sink);
        await using var visitor = await Visitor.ComeAsync(chromium, service.Url, Look.Phone, "en");

        await visitor.GoAsync(await service.LinkAsync());
        await visitor.SubmitAsync(() => visitor.Page.Locator("button.button").ClickAsync());
        await visitor.SubmitAsync(() => visitor.Page.Locator("form.act button").ClickAsync());
        (await visitor.Page.Locator("h1").InnerTextAsync()).ShouldBe("That is undone");
        (await service.HistoryAsync())[0].Kind.ShouldBe(EventKind.Renewed);
        await visitor.FollowAsync(() => visitor.Page.Locator("a.button").ClickAsync());
        (await visitor.Page.Locator("h1").InnerTextAsync()).ShouldBe("See all your choices");
    }

    [Fact]
    public async Task The_focus_can_be_seen_wherever_it_is()
    {
        using var sink = SmtpSink.Start();
        await using var service = await StartAsync(sink);
        foreach (var look in Enum.GetValues<Look>())
        {
            await using var visitor = await Visitor.ComeAsync(chromium, service.Url, look, "en", javaScript: true);
            var path = await service.PreferencesAsync();
            foreach (var page in new[] { "/preferences", path, $"{path}/events" })
            {
                await visitor.GoAsync(page);
                var stops = await visitor.Page.Locator("a, button:visible, input:visible:not(.trap input), summary").CountAsync();
                for (var stop = 0; stop < stops; stop++)
                {
                    await visitor.Page.Keyboard.PressAsync("Tab");
                    var outline = await visitor.Page.EvaluateAsync<string>(
                        "(() => { const style = getComputedStyle(document.activeElement); return document.activeElement.tagName + ' ' + style.outlineStyle + ' ' + parseFloat(style.outlineWidth); })()");
                    outline.ShouldMatch("^(A|BUTTON|INPUT|SUMMARY) solid [3-9]", $"{page}, stop {stop}");
                }
            }
        }
    }

    private static async Task TabToAsync(Visitor visitor, string selector)
    {
        for (var stop = 0; stop < 30; stop++)
        {
            await visitor.Page.Keyboard.PressAsync("Tab");
            if (await visitor.Page.Locator($"{selector}:focus").CountAsync() == 1)
            {
                return;
            }
        }

        Assert.Fail($"The keyboard does not reach {selector}.");
    }

    private async Task<TestService> StartAsync(SmtpSink sink)
    {
        var service = await TestService.StartAsync(databases, MailScene.To(sink, ("SignUps:PerNetworkPerMinute", "1000"), ("Controller:Name", "Amgueddfa’r Glannau · Harbour Museum")));
        await service.PurposeAsync(with: new JsonObject { ["name"] = "The Friday letter", ["description"] = "What our curators found this week: one short letter, with pictures.", ["consentLifetime"] = "P24M" });
        await service.NoticeAsync();
        await service.PurposeAsync("events", with: new JsonObject { ["name"] = "Events for families", ["description"] = "Workshops, trails and sleepovers in the school holidays.", ["minimumAge"] = 13 });
        await service.NoticeAsync("events");
        await service.PurposeAsync("talks", with: new JsonObject { ["name"] = "Evening talks", ["description"] = "Four times a year." });
        await service.NoticeAsync("talks");
        await service.PurposeAsync("appeal", "charitable-soft-opt-in", new JsonObject { ["name"] = "Appeals and fundraising", ["description"] = "How you can help us keep the harbour’s boats afloat." });
        await service.PurposeAsync("bookings", "service", new JsonObject { ["name"] = "Your bookings" });
        await service.GiveAsync();
        await service.EventAsync(PreferenceScene.Ada, "withdrawn", "appeal", TestService.Start.AddMonths(-2));
        return service;
    }
}
