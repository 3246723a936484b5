using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using ConsentLedger.Administration;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.Preferences;
using ConsentLedger.Tests.SignUps;
using ConsentLedger.Tests.Unsubscribe;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Playwright;

namespace ConsentLedger.BrowserTests;

/// <summary>
/// What the programs do that look through mails before people do (FACTS 65): they fetch every link, by GET and by HEAD,
/// follow what they find, and run the pages' scripts. They press nothing, and so nothing may change.
/// </summary>
public sealed partial class ScannerTests(TestDatabase databases, Chromium chromium)
{
    [Fact]
    public async Task Fetching_every_link_of_every_page_and_mail_and_running_its_scripts_changes_nothing_until_a_button_is_pressed()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        await service.ChallengingFormAsync();
        await service.PostAsync("/v1/signups", new JsonObject { ["form"] = "website", ["address"] = "expired@example.org" });
        await sink.MailAsync();
        service.Later(TimeSpan.FromDays(8));
        await service.ConsentAsync(TestService.Start.AddYears(-1), "subscribed@example.org");
        foreach (var address in new[] { "subscribed@example.org", SignUpScene.Ada })
        {
            await service.PostAsync("/v1/signups", new JsonObject { ["form"] = "website", ["address"] = address });
        }

        await service.SettledAsync();
        await sink.MailAsync(3);
        await service.AskForLinkAsync("subscribed@example.org");
        await service.LookedIntoAsync();
        await service.UntilMailsAsync(4);
        var setup = await service.Services.GetRequiredService<SetupLink>().FindUrlAsync(TestContext.Current.CancellationToken);
        var before = await StandAsync(service);
        var links = new Queue<string>(
            sink.Mails.SelectMany(mail => LinksOf(mail.Message.TextBody!).Concat(LinksOf(WebUtility.HtmlDecode(mail.Message.HtmlBody!))))
                .Concat(["/", "/signup/website", "/preferences", await service.PreferencesAsync(), await service.LinkAsync("subscribed@example.org"), setup is null ? "/" : new Uri(setup).AbsolutePath]));
        await using var context = await chromium.OpenAsync(Look.Light, "en", javaScript: true);
        var page = await context.NewPageAsync();
        var seen = new HashSet<string>();
        while (links.TryDequeue(out var link))
        {
            if (!seen.Add(link))
            {
                continue;
            }

            foreach (var method in new[] { HttpMethod.Head, HttpMethod.Get })
            {
                var status = (await service.SendBareAsync(method, link, "text/html")).StatusCode;
                status.ShouldBeOneOf(link.StartsWith("/health", StringComparison.Ordinal) ? [HttpStatusCode.OK, HttpStatusCode.MethodNotAllowed] : [HttpStatusCode.OK], $"{method} {link}");
            }

            foreach (var found in await ScanAsync(page, new Uri(service.Url, link)))
            {
                links.Enqueue(found);
            }
        }

        seen.Count(link => link.StartsWith("/confirm/", StringComparison.Ordinal)).ShouldBeGreaterThanOrEqualTo(4, "both links, in both languages");
        seen.ShouldContain(link => link.StartsWith("/preferences/", StringComparison.Ordinal) && link.Contains("/newsletter", StringComparison.Ordinal), "the page that turns something on");
        seen.Count(link => link.StartsWith("/u/", StringComparison.Ordinal)).ShouldBeGreaterThanOrEqualTo(4);
        await Task.Delay(200, TestContext.Current.CancellationToken);
        (await StandAsync(service)).ShouldBe(before);

        // The same browser, the same page, and a hand.
        await page.GotoAsync(new Uri(service.Url, sink.Mails.Single(mail => mail.Recipient == SignUpScene.Ada).Message.ConfirmPath()).AbsoluteUri);
        await page.Locator("button.button").ClickAsync();
        await page.WaitForLoadStateAsync();
        (await StandAsync(service)).ShouldNotBe(before);
    }

    /// <summary>Opens a page as a scanner does, has it do all that it does by itself, and says where it leads.</summary>
    private static async Task<IEnumerable<string>> ScanAsync(IPage page, Uri url)
    {
        var answer = await page.GotoAsync(url.AbsoluteUri, new PageGotoOptions { WaitUntil = WaitUntilState.NetworkIdle });
        if (answer?.Headers.GetValueOrDefault("content-type")?.StartsWith("text/html", StringComparison.Ordinal) != true)
        {
            return [];
        }

        // Events such as scripts wait for, though none of them is a person's.
        await page.EvaluateAsync("""
            () => {
              for (const name of ['mousemove', 'mouseover', 'scroll', 'focus', 'touchstart', 'visibilitychange', 'pageshow', 'keydown']) {
                document.dispatchEvent(new Event(name, { bubbles: true }));
                document.querySelectorAll('button, a, form').forEach((element) => element.dispatchEvent(new Event(name, { bubbles: true })));
              }
            }
            """);
        page.Url.ShouldBe(url.AbsoluteUri, "The page went somewhere by itself.");

        // Where people decide, there is nothing that could press the button, and nothing could get there.
        if (DecisionPage().IsMatch(url.AbsolutePath))
        {
            answer.Headers["content-security-policy"].ShouldStartWith("default-src 'none'");
            answer.Headers["content-security-policy"].ShouldNotContain("script-src");
            (await page.EvaluateAsync<int>("document.scripts.length + document.querySelectorAll('meta[http-equiv=refresh], iframe, object, embed, link[rel=prefetch], link[rel=prerender]').length"))
                .ShouldBe(0, url.AbsolutePath);
            (await page.EvaluateAsync<int>("[...document.querySelectorAll('*')].filter((element) => [...element.attributes].some(({ name }) => name.startsWith('on'))).length"))
                .ShouldBe(0, url.AbsolutePath);
        }

        var found = await page.EvaluateAsync<string[]>("[...document.querySelectorAll('a[href]')].map((link) => link.href)");
        return found.Select(link => new Uri(link)).Where(link => link.Authority == url.Authority).Select(link => link.PathAndQuery)
            .Where(path => !path.StartsWith("/swagger", StringComparison.Ordinal));
    }

    /// <summary>Everything that a link could have changed.</summary>
    private static async Task<object?> StandAsync(TestService service) => await service.SqlAsync("""
        select concat_ws(' ',
            (select count(*) from consent_event), (select count(*) from outbox) + (select count(*) from log_entry),
            (select string_agg(concat(subscriber_id, purpose_id, kind, occurred_at), ',' order by subscriber_id, purpose_id) from consent_state),
            (select string_agg(concat(sign_up_id, status), ',' order by sign_up_id) from sign_up),
            (select count(*) from mail_outbox), (select count(*) from preference_request), (select count(*) from api_key), (select count(*) from used_challenge))
        """);

    private static IEnumerable<string> LinksOf(string text) => OwnLink().Matches(text).Select(match => new Uri(match.Value).PathAndQuery);

    [GeneratedRegex("""https://consent\.example/[^\s"<>]+""")]
    private static partial Regex OwnLink();

    [GeneratedRegex("^/(confirm|u|undo|preferences)(/|$)")]
    private static partial Regex DecisionPage();
}
