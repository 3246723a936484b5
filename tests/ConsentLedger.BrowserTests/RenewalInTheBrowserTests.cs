using System.Text.Json.Nodes;
using ConsentLedger.Ledger;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.Renewals;
using ConsentLedger.Tests.SignUps;
using ConsentLedger.Tests.Unsubscribe;

namespace ConsentLedger.BrowserTests;

/// <summary>From the reminder to the renewed consent, as people see it.</summary>
public sealed class RenewalInTheBrowserTests(TestDatabase databases, Chromium chromium)
{
    [Theory, MemberData(nameof(Visits.Looks), MemberType = typeof(Visits))]
    public async Task Somebody_reads_the_reminder_and_renews(Look look, string language)
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink, language, new() { ["name"] = "The Friday letter", ["description"] = "What is on at the museum, once a week." });
        await service.PostAsync("/v1/purposes/newsletter/notices", new JsonObject { ["language"] = language, ["statement"] = "Yes, send me the Friday letter.\nI can stop it at any time." });
        await service.RemindAsync();
        var mail = await sink.MailAsync();
        await using var visitor = await Visitor.ComeAsync(chromium, service.Url, look, language, javaScript: true);

        await visitor.Page.SetContentAsync(mail.HtmlBody!);
        await visitor.PictureAsync($"renewal-mail-{look}-{language}");
        await visitor.GoAsync(mail.RenewalPath());
        await visitor.ShouldBeAccessibleAsync();
        await visitor.PictureAsync($"renew-{look}-{language}");
        (await service.KindsAsync()).ShouldBe("Given");

        await visitor.SubmitAsync(() => visitor.Page.Locator("button.button").ClickAsync());
        await visitor.ShouldBeAccessibleAsync();
        await visitor.PictureAsync($"renewed-{look}-{language}");
        (await service.HistoryAsync())[0].Kind.ShouldBe(EventKind.Renewed);
        (await service.HistoryAsync())[0].NoticeVersion.ShouldBe(2);

        // The other language shows how it stands, and does nothing again.
        await visitor.FollowAsync(() => visitor.Page.Locator(".languages a").ClickAsync());
        await visitor.ShouldBeAccessibleAsync();
        await visitor.PictureAsync($"renewed-again-{look}-{language}");
        (await service.KindsAsync()).ShouldBe("Renewed Given");

        service.Clock.SetUtcNow(TestService.Start.AddYears(2));
        await visitor.GoAsync(mail.RenewalPath());
        await visitor.PictureAsync($"renewal-ran-out-{look}-{language}");
        await service.EventAsync(RenewalScene.Ada, "withdrawn");
        await visitor.GoAsync(mail.RenewalPath());
        await visitor.ShouldBeAccessibleAsync();
        await visitor.PictureAsync($"renewal-closed-{look}-{language}");
    }
}
