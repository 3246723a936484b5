using System.Text.Json.Nodes;
using ConsentLedger.Ledger;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.Preferences;
using ConsentLedger.Tests.SignUps;
using ConsentLedger.Tests.Unsubscribe;
using Microsoft.Playwright;

namespace ConsentLedger.BrowserTests;

/// <summary>
/// The whole way, as people go it: from a form on a museum's own site, which is another origin, to the mail, the
/// confirmation and out again. The form asks for work, so that all of that is in play.
/// </summary>
public sealed class SignUpInTheBrowserTests(TestDatabase databases, Chromium chromium)
{
    /// <summary>How a site has its form.</summary>
    public enum Way
    {
        /// <summary>The element of the embedded script.</summary>
        Element,

        /// <summary>A plain form, with the script to do the work.</summary>
        PlainForm,

        /// <summary>A script of the site's own.</summary>
        Fetch,
    }

    public static TheoryData<Way, Look, string> Ways =>
        [.. from way in Enum.GetValues<Way>() from visit in new[] { (Look: Look.Light, Language: "en"), (Look: Look.Phone, Language: "cy") } select (way, visit.Look, visit.Language)];

    [Theory, MemberData(nameof(Ways))]
    public async Task Somebody_signs_up_on_a_museum_s_site_confirms_and_leaves_again(Way way, Look look, string language)
    {
        await using var scene = await Scene.StartAsync(databases, language, Content(way, language));
        await using var visitor = await scene.ComeAsync(chromium, look, language, javaScript: true);

        await visitor.GoAsync("/news?from=poster");
        await FillInAsync(visitor.Page, way);
        await visitor.ShouldBeAccessibleAsync();
        await visitor.PictureAsync($"site-{way}-{look}-{language}");
        await SendAsync(visitor, way);
        await visitor.ShouldBeAccessibleAsync();
        await visitor.PictureAsync($"site-sent-{way}-{look}-{language}");

        await ConfirmAndLeaveAsync(scene, look, language, javaScript: true);
        var requested = (await scene.Service.HistoryAsync()).Single(one => one.Kind == EventKind.Requested);
        requested.NoticeVersion.ShouldBe(language == "cy" ? 2 : 1);
        requested.Said().ShouldContain("\"firstName\":\"Ada\"");

        // A form's post and a script's fetch tell where they stand as far as the browser lets them; the element tells the page.
        requested.Said().ShouldContain(way == Way.Element ? $"{scene.Site.Origin}/news\"" : scene.Site.Origin);
        requested.Said().ShouldNotContain("poster");
    }

    [Theory, InlineData(Look.Phone, "en"), InlineData(Look.Phone, "cy")]
    public async Task Somebody_without_JavaScript_signs_up_from_a_plain_form_in_one_more_step(Look look, string language)
    {
        await using var scene = await Scene.StartAsync(databases, language, Content(Way.PlainForm, language));
        await using var visitor = await scene.ComeAsync(chromium, look, language);

        await visitor.GoAsync("/news");
        await FillInAsync(visitor.Page, Way.PlainForm);
        await visitor.SubmitAsync(() => visitor.Page.Locator("button").ClickAsync());
        await visitor.PictureAsync($"signup-step-{look}-{language}");
        (await visitor.Page.Locator("[role=alert] h2").InnerTextAsync()).ShouldBe(language == "cy" ? "Un cam arall" : "One more step");
        (await visitor.Page.Locator("#address").InputValueAsync()).ShouldBe(SignUpScene.Ada);
        (await visitor.Page.Locator("#field-firstName").InputValueAsync()).ShouldBe("Ada");
        scene.Sink.Mails.ShouldBeEmpty();
        await visitor.SubmitAsync(() => visitor.Page.Locator("button.button").ClickAsync());
        await visitor.Page.WaitForURLAsync("**/thank-you");

        await ConfirmAndLeaveAsync(scene, look, language, javaScript: false);
    }

    [Theory, InlineData(Look.Light, "en"), InlineData(Look.Dark, "cy"), InlineData(Look.Phone, "cy")]
    public async Task Somebody_signs_up_on_the_hosted_page_by_keyboard_while_the_script_works(Look look, string language)
    {
        await using var scene = await Scene.StartAsync(databases, language, "");
        await using var visitor = await Visitor.ComeAsync(chromium, scene.Service.Url, look, language, javaScript: true);

        await visitor.GoAsync("/signup/website");
        await visitor.ShouldBeAccessibleAsync();
        await visitor.PictureAsync($"signup-{look}-{language}");
        await visitor.Page.Locator("#address").FocusAsync();
        await visitor.Page.Keyboard.TypeAsync("nobody");
        await visitor.SubmitAsync(() => visitor.Page.Keyboard.PressAsync("Enter"));
        await visitor.ShouldBeAccessibleAsync();
        await visitor.PictureAsync($"signup-wrong-{look}-{language}");
        await visitor.Page.Locator("#address").FillAsync(SignUpScene.Ada);
        await visitor.SubmitAsync(() => visitor.Page.Keyboard.PressAsync("Enter"));
        (await visitor.Page.Locator("h1").InnerTextAsync()).ShouldBe(language == "cy" ? "Edrychwch yn eich e-bost" : "Check your e-mail");
        await visitor.ShouldBeAccessibleAsync();
        await visitor.PictureAsync($"signup-sent-{look}-{language}");

        await ConfirmAndLeaveAsync(scene, look, language, javaScript: true);
    }

    [Theory, MemberData(nameof(Visits.Looks), MemberType = typeof(Visits))]
    public async Task The_element_says_what_is_wrong_where_it_is_wrong_and_can_be_used_by_keyboard(Look look, string language)
    {
        await using var scene = await Scene.StartAsync(databases, language, Content(Way.Element, language));
        await scene.Service.PurposeAsync("events", with: new JsonObject { ["minimumAge"] = 13 });
        await scene.Service.NoticeAsync("events");
        var form = SignUpScene.Form(language, "newsletter", "events");
        form["origins"] = new JsonArray(scene.Site.Origin);
        await scene.Service.PutAsync("/v1/forms/website", form);
        await using var visitor = await scene.ComeAsync(chromium, look, language, javaScript: true);
        await visitor.GoAsync("/news");
        var element = visitor.Page.Locator("consent-signup");
        await element.Locator("[part=button]").FocusAsync();

        await visitor.Page.Keyboard.PressAsync("Enter");
        (await FocusedAsync(visitor)).ShouldBe("purposes");
        (await element.Locator("#address").GetAttributeAsync("aria-invalid")).ShouldBe("true");
        (await element.Locator("#error-address").InnerTextAsync()).ShouldContain(language == "cy" ? "enw@enghraifft.cymru" : "name@example.org");
        (await element.Locator("#error-firstName").InnerTextAsync()).ShouldBeEmpty();
        await visitor.ShouldBeAccessibleAsync();
        await visitor.PictureAsync($"element-wrong-{look}-{language}");

        // What is asked of the young is asked once something is chosen that has an age.
        (await element.Locator("#error-age").InnerTextAsync()).ShouldBeEmpty();
        await element.Locator("[value=events]").FocusAsync();
        await visitor.Page.Keyboard.PressAsync("Space");
        await visitor.Page.Keyboard.PressAsync("Enter");
        (await element.Locator("#error-age").InnerTextAsync()).ShouldNotBeEmpty();
        await element.Locator("#address").FillAsync("child@example.org");
        await element.Locator("#firstName").FillAsync("Ada\u0001");
        await element.Locator("input[value=under]").CheckAsync();
        await element.Locator("#guardian").FillAsync("parent@example.org");
        await visitor.Page.Keyboard.PressAsync("Enter");
        await Assertions.Expect(element.Locator("#firstName")).ToBeFocusedAsync();
        (await element.Locator("#error-firstName").InnerTextAsync()).ShouldNotBeEmpty();
        (await element.Locator("#error-address").InnerTextAsync()).ShouldBeEmpty();
        await element.Locator("#firstName").FillAsync("Ada");
        await visitor.Page.Keyboard.PressAsync("Enter");

        await Assertions.Expect(element.Locator("[part=done]")).ToBeFocusedAsync();
        (await scene.Sink.MailAsync()).To.ToString().ShouldBe("parent@example.org");
    }

    [Fact]
    public async Task The_element_takes_the_page_s_style_by_properties_and_parts_without_a_style_that_a_policy_forbids()
    {
        await using var scene = await Scene.StartAsync(databases, "en", Content(Way.Element, "en"));
        await using var visitor = await scene.ComeAsync(chromium, Look.Light, "en", javaScript: true);
        await visitor.GoAsync("/news");
        await visitor.Page.Locator("consent-signup [part=button]").WaitForAsync();

        // As the page's own stylesheet would; the policy forbids an inline one, and this is not one.
        await visitor.Page.EvaluateAsync("""
            () => {
              const sheet = new CSSStyleSheet();
              sheet.replaceSync('consent-signup { --consent-accent: rgb(120, 0, 60) } consent-signup::part(label) { text-transform: uppercase }');
              document.adoptedStyleSheets = [sheet];
            }
            """);

        (await StyleAsync(visitor, "[part=button]", "backgroundColor")).ShouldBe("rgb(120, 0, 60)");
        (await StyleAsync(visitor, "[part=label]", "textTransform")).ShouldBe("uppercase");
        await visitor.ShouldBeAccessibleAsync();
    }

    [Theory]
    [InlineData("<a href=\"/elsewhere\">Write to us</a>", "Write to us", "/elsewhere")]
    [InlineData("", "Sign up", "/signup/website")]
    public async Task A_service_that_can_not_be_reached_leaves_a_link(string inside, string words, string leadsTo)
    {
        await using var site = await Website.StartAsync();
        site.Scripts["/embed/signup.js"] = await File.ReadAllTextAsync(Repository.PathOf("clients", "web", "signup.js"), TestContext.Current.CancellationToken);
        site.Trusted = "'self' http://127.0.0.1:9";
        site.Pages["/news"] = $"<h1>News</h1><consent-signup form=\"website\" service=\"http://127.0.0.1:9\">{inside}</consent-signup><script src=\"/embed/signup.js\" defer></script>";
        var context = await chromium.OpenAsync(Look.Light, "en", javaScript: true);
        await using var closing = context;
        var page = await context.NewPageAsync();

        await page.GotoAsync(new Uri(site.Url, "/news").AbsoluteUri);

        var link = page.Locator("consent-signup a");
        await link.WaitForAsync();
        (await link.InnerTextAsync()).ShouldBe(words);
        (await link.GetAttributeAsync("href"))!.ShouldEndWith(leadsTo);
    }

    /// <summary>From the mail to the confirmation, to all of one's choices, and by the link in every message out again.</summary>
    private async Task ConfirmAndLeaveAsync(Scene scene, Look look, string language, bool javaScript)
    {
        var mail = await scene.Sink.MailAsync();
        mail.Subject.ShouldStartWith(language == "cy" ? "Cadarnhewch" : "Please confirm");
        (await scene.Service.ReasonAsync(SignUpScene.Ada)).ShouldBe("pending");
        await using var visitor = await Visitor.ComeAsync(chromium, scene.Service.Url, look, language, javaScript);
        await PressAsync(mail.ConfirmPath(), "given", "confirm");
        await visitor.GoAsync(await scene.Service.PreferencesAsync());
        await LookAsync("choices");
        await PressAsync(await scene.Service.LinkAsync(), "withdrawn", "leave");

        async Task PressAsync(string path, string status, string name)
        {
            await visitor.GoAsync(path);
            await LookAsync(name);
            await visitor.SubmitAsync(() => visitor.Page.Locator("button.button").ClickAsync());
            await LookAsync($"{name}-done");
            (await scene.Service.ReasonAsync(SignUpScene.Ada)).ShouldBe(status);
            scene.Service.Clock.Advance(TimeSpan.FromMinutes(1));
        }

        async Task LookAsync(string name)
        {
            (await visitor.Page.Locator("html").GetAttributeAsync("lang")).ShouldBe(language);
            await visitor.PictureAsync($"way-{name}-{look}-{language}");
            if (javaScript)
            {
                await visitor.ShouldBeAccessibleAsync();
            }
        }
    }

    private static Func<Uri, string> Content(Way way, string language) => service => way switch
    {
        Way.Element => $"""
            <h1>News</h1>
            <consent-signup form="website"><a href="{service}signup/website">Sign up</a></consent-signup>
            <script src="{service}embed/signup.js" defer></script>
            """,
        Way.PlainForm => $"""
            <h1>News</h1>
            <form method="post" action="{service}signup/website" data-challenge>
              <input type="hidden" name="returnUrl" value="RETURN">
              <input type="hidden" name="notice-newsletter" value="{(language == "cy" ? 2 : 1)}">
              <p><label>Address <input type="email" name="address" autocomplete="email" required></label></p>
              <p><label>First name <input name="firstName" autocomplete="given-name"></label></p>
              <button>Send</button>
            </form>
            <script src="{service}embed/signup.js" defer></script>
            """,
        _ => $"""
            <h1>News</h1>
            <p><label>Address <input type="email" id="address" autocomplete="email"></label></p>
            <p><label>First name <input id="firstName" autocomplete="given-name"></label></p>
            <button>Send</button>
            <p role="status" id="status"></p>
            <script src="/own.js" defer></script>
            """,
    };

    private static async Task FillInAsync(IPage page, Way way)
    {
        var form = page.Locator(way == Way.Element ? "consent-signup" : "main");
        await form.Locator("input[type=email]").FillAsync(SignUpScene.Ada);
        await form.Locator(way == Way.PlainForm ? "[name=firstName]" : "#firstName").FillAsync("Ada");
    }

    private static async Task SendAsync(Visitor visitor, Way way)
    {
        await visitor.Page.Locator(way == Way.Element ? "consent-signup [part=button]" : "button").ClickAsync();
        switch (way)
        {
            case Way.Element:
                await visitor.Page.Locator("consent-signup [part=done]").WaitForAsync();
                break;
            case Way.PlainForm:
                await visitor.Page.WaitForURLAsync("**/thank-you");
                break;
            default:
                await Assertions.Expect(visitor.Page.Locator("#status")).ToHaveTextAsync("202");
                break;
        }
    }

    private static Task<string> FocusedAsync(Visitor visitor) =>
        visitor.Page.EvaluateAsync<string>("() => document.activeElement.shadowRoot.activeElement.name");

    private static Task<string> StyleAsync(Visitor visitor, string selector, string property) =>
        visitor.Page.Locator($"consent-signup {selector}").First.EvaluateAsync<string>($"element => getComputedStyle(element).{property}");

    /// <summary>A service, its mail, and the site its form stands on.</summary>
    private sealed class Scene(SmtpSink sink, TestService service, Website site) : IAsyncDisposable
    {
        public SmtpSink Sink => sink;

        public TestService Service => service;

        public Website Site => site;

        public static async Task<Scene> StartAsync(TestDatabase databases, string language, Func<Uri, string> content)
        {
            var sink = SmtpSink.Start();
            var site = await Website.StartAsync();
            var service = await SignUpScene.StartAsync(databases, sink, language: language);
            await service.PostAsync("/v1/purposes/newsletter/notices", new JsonObject { ["language"] = "cy", ["statement"] = "Ie, anfonwch y cylchlythyr ataf." }).ReadAsync(System.Net.HttpStatusCode.Created);
            await service.ChallengingFormAsync("website", site.Origin, language);
            site.Language = language;
            site.Trusted = $"'self' {service.Url.GetLeftPart(UriPartial.Authority)}";
            site.Pages["/news"] = content(service.Url).Replace("RETURN", $"{site.Origin}/thank-you", StringComparison.Ordinal);
            site.Scripts["/own.js"] = OwnScript.Replace("SERVICE", service.Url.AbsoluteUri, StringComparison.Ordinal).Replace("LANGUAGE", language, StringComparison.Ordinal);
            return new Scene(sink, service, site);
        }

        public static Task<Scene> StartAsync(TestDatabase databases, string language, string content) => StartAsync(databases, language, _ => content);

        public Task<Visitor> ComeAsync(Chromium chromium, Look look, string language, bool javaScript = false) =>
            Visitor.ComeAsync(chromium, site.Url, look, language, javaScript, service.Url);

        public async ValueTask DisposeAsync()
        {
            await service.DisposeAsync();
            await site.DisposeAsync();
            sink.Dispose();
        }

        /// <summary>What a site's own programmer writes by the README, with the browser's own SHA-256.</summary>
        private const string OwnScript = """
            document.querySelector('button').addEventListener('click', async () => {
              const form = await (await fetch('SERVICEsignup/website?lang=LANGUAGE', { headers: { accept: 'application/json' } })).json();
              const { challenge, bits } = await (await fetch('SERVICEsignup/website/challenge')).json();
              let solution = 0;
              for (; ; solution++) {
                const hash = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(challenge + '.' + solution));
                if (Math.clz32(new DataView(hash).getUint32(0)) >= bits) break;
              }
              const body = {
                address: document.querySelector('#address').value, firstName: document.querySelector('#firstName').value, challenge,
                solution: String(solution), language: form.language, purposes: [form.purposes[0].key],
              };
              body['notice-' + form.purposes[0].key] = String(form.purposes[0].notice.version);
              const answer = await fetch('SERVICEsignup/website', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
              document.querySelector('#status').textContent = answer.status;
            });
            """;
    }
}
