using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Ledger;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.PersonalData;
using ConsentLedger.Tests.Preferences;
using ConsentLedger.Tests.SignUps;
using ConsentLedger.Tests.Unsubscribe;

namespace ConsentLedger.Tests.Renewals;

/// <summary>The link in a reminder, as people, scanners and those who have changed their mind use it.</summary>
public sealed class RenewalTests(TestDatabase databases)
{
    private const string Ada = RenewalScene.Ada;

    [Fact]
    public async Task Pressing_the_button_renews_for_another_lifetime_and_shows_how_that_came_about()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink);
        var given = (await service.HistoryAsync())[0];
        var path = await RemindedAsync(service, sink);
        service.Clock.Advance(TimeSpan.FromDays(5));

        var page = await service.OpenAsync(path).ReadPageAsync();
        page.ShouldContain("Go on getting “The newsletter”?");
        page.ShouldContain("runs out on 12 December 2026");
        page.ShouldContain("Yes, send me the newsletter once a month.");
        page.ShouldNotContain("have changed");
        var done = await service.PressAsync(path, ("confirm", "1"), ("notice", "1")).ReadPageAsync();

        done.ShouldContain("Thank you, that is renewed");
        done.ShouldContain("27 November 2027");
        (await service.ReasonAsync(Ada)).ShouldBe("renewed");
        var renewed = (await service.HistoryAsync())[0];
        renewed.Kind.ShouldBe(EventKind.Renewed);
        renewed.NoticeVersion.ShouldBe(1);
        renewed.OccurredAt.ShouldBe(TestService.Start.AddDays(5));
        renewed.ExpiresAt.ShouldBe(TestService.Start.AddDays(5).AddYears(1));
        renewed.Said().ShouldContain($"\"renews\":\"{given.Id}\"");
        renewed.Said().ShouldContain("\"how\":\"renewal-link\"");
        renewed.Said().ShouldContain("\"noticeDigest\":\"sha256:");
        renewed.Said().ShouldContain("\"ip\":\"127.0.0.1\"");
        service.Clock.SetUtcNow(RenewalScene.RunsOut);
        (await service.ReasonAsync(Ada)).ShouldBe("renewed");
    }

    [Theory, InlineData("GET"), InlineData("HEAD")]
    public async Task Fetching_the_link_changes_nothing_and_nothing_but_its_button_does(string method)
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink);
        var path = await RemindedAsync(service, sink);

        for (var i = 0; i < 3; i++)
        {
            (await service.SendBareAsync(new HttpMethod(method), path)).StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        foreach (var body in new[] { "", "confirm=2&notice=1", "notice=1", "confirm=1&notice=1&more=1", "confirm=1&confirm=1&notice=1", "List-Unsubscribe=One-Click", "confirm=1", "confirm=1&notice=2", "confirm=1&notice=x" })
        {
            (await service.PostFormAsync(path, body)).StatusCode.ShouldBe(HttpStatusCode.BadRequest, body);
        }

        (await service.PostFormAsync(path[..20] + (path[20] == 'x' ? "y" : "x") + path[21..], "confirm=1&notice=1")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await service.PostFormAsync($"/confirm/{path["/renew/".Length..]}", "confirm=1")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await service.KindsAsync()).ShouldBe("Given");
    }

    [Fact]
    public async Task Pressing_it_many_times_at_once_and_again_renews_once()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink);
        var path = await RemindedAsync(service, sink);

        var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => service.PressAsync(path, ("confirm", "1"), ("notice", "1"))));

        answers.ShouldAllBe(answer => answer.StatusCode == HttpStatusCode.OK);
        (await Task.WhenAll(answers.Select(answer => answer.TextAsync()))).Count(page => page.Contains("Thank you, that is renewed", StringComparison.Ordinal)).ShouldBe(1);
        service.Clock.Advance(TimeSpan.FromDays(1));
        (await service.PressAsync(path, ("confirm", "1"), ("notice", "1")).ReadPageAsync()).ShouldContain("You have renewed this already");
        (await service.OpenAsync(path).ReadPageAsync()).ShouldContain("You have renewed this already");
        (await service.KindsAsync()).ShouldBe("Renewed Given");
    }

    [Theory]
    [InlineData("withdrawn", "newsletter")]
    [InlineData("objected", "*")]
    [InlineData("suppressed", "*")]
    [InlineData("restricted", "*")]
    public async Task It_brings_nobody_back_who_has_said_no_since(string kind, string purpose)
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink);
        var path = await RemindedAsync(service, sink);
        service.Clock.Advance(TimeSpan.FromDays(1));
        await service.EventAsync(Ada, kind, purpose);
        var before = await service.HistoryAsync();

        (await service.OpenAsync(path).ReadPageAsync()).ShouldContain("This can’t be renewed any more");
        (await service.PressAsync(path, ("confirm", "1"), ("notice", "1")).ReadPageAsync()).ShouldContain("This can’t be renewed any more");

        (await service.HistoryAsync()).Count.ShouldBe(before.Count);
        (await service.ReasonAsync(Ada)).ShouldBe(kind);
    }

    [Fact]
    public async Task It_brings_nobody_back_who_was_erased_or_has_moved_or_whose_purpose_is_over()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink);
        await service.AgreeAsync("ben@example.org");
        await service.AgreeAsync("cy@example.org");
        await service.RemindAsync();
        await service.UntilMailsAsync(3);
        var paths = sink.Mails.ToDictionary(mail => mail.Recipient, mail => mail.Message.RenewalPath());
        await service.EraseAsync(Ada);
        await service.RectifyAsync("ben@example.org", "ben.evans@example.org");
        await service.RenewedPurposeAsync(more: new() { ["endsAt"] = "2026-11-23T00:00:00Z" });
        service.Clock.Advance(TimeSpan.FromDays(1));

        foreach (var path in paths.Values)
        {
            (await service.PressAsync(path, ("confirm", "1"), ("notice", "1")).ReadPageAsync()).ShouldContain("This can’t be renewed any more");
        }

        (await service.SqlAsync("select count(*) from consent_event where kind = 'renewed'")).ShouldBe(0L);
    }

    [Fact]
    public async Task It_works_until_the_consent_runs_out_and_says_so_from_then_on()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink, more: new() { ["retention"] = new JsonObject { ["lapsed"] = "P1D" } });
        var path = await RemindedAsync(service, sink);

        service.Clock.SetUtcNow(RenewalScene.RunsOut);
        await LateAsync();
        await service.PurgeNowAsync();
        (await service.KindsAsync()).ShouldBe("Expired Given");
        await LateAsync();
        service.Clock.Advance(TimeSpan.FromDays(2));
        await service.PurgeNowAsync();
        (await service.KindsAsync()).ShouldBe("");
        await LateAsync();

        (await service.SqlAsync("select count(*) from consent_event where kind = 'renewed'")).ShouldBe(0L);

        async Task LateAsync()
        {
            (await service.OpenAsync(path).ReadPageAsync()).ShouldContain("This has run out");
            (await service.PressAsync(path, ("confirm", "1"), ("notice", "1")).ReadPageAsync()).ShouldContain("This has run out");
        }
    }

    [Fact]
    public async Task Where_the_words_have_changed_the_new_ones_are_shown_and_are_what_is_on_record()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink);
        await service.PostAsync("/v1/purposes/newsletter/notices", new JsonObject { ["language"] = "en", ["statement"] = "Yes, send me the newsletter twice a month." }).ReadAsync(HttpStatusCode.Created);
        await service.PostAsync("/v1/purposes/newsletter/notices", new JsonObject { ["language"] = "cy", ["statement"] = "Ie, anfonwch y cylchlythyr." }).ReadAsync(HttpStatusCode.Created);

        var path = await RemindedAsync(service, sink);
        var page = await service.OpenAsync(path).ReadPageAsync();

        sink.Mails.Single().Message.TextBody!.ShouldContain("The words have changed since you agreed");
        sink.Mails.Single().Message.TextBody!.ShouldContain("once a month");
        page.ShouldContain("The words have changed since you agreed");
        page.ShouldContain("twice a month");
        page.ShouldContain("name=\"notice\" value=\"2\"");
        var welsh = await service.OpenAsync(path.Replace("lang=en", "lang=cy", StringComparison.Ordinal)).ReadPageAsync();
        welsh.ShouldContain("name=\"notice\" value=\"3\"");
        welsh.ShouldNotContain("wedi newid");
        await service.PressAsync(path, ("confirm", "1"), ("notice", "2")).ReadPageAsync();
        (await service.HistoryAsync())[0].NoticeVersion.ShouldBe(2);
    }

    [Fact]
    public async Task A_wording_published_while_somebody_reads_is_not_what_they_agree_to()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink);
        var path = await RemindedAsync(service, sink);
        (await service.OpenAsync(path).ReadPageAsync()).ShouldContain("name=\"notice\" value=\"1\"");
        await service.NoticeAsync();

        await service.PressAsync(path, ("confirm", "1"), ("notice", "1")).ReadPageAsync();

        (await service.HistoryAsync())[0].NoticeVersion.ShouldBe(1);
    }

    [Fact]
    public async Task A_purpose_without_words_is_renewed_without_any()
    {
        using var sink = SmtpSink.Start();
        await using var service = await TestService.StartAsync(databases, MailScene.To(sink));
        await service.RenewedPurposeAsync();
        await service.AgreeAsync(notice: null);
        var path = await RemindedAsync(service, sink);

        (await service.PostFormAsync(path, "confirm=1&notice=1")).StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await service.PostFormAsync(path, "confirm=1").ReadPageAsync()).ShouldContain("Thank you, that is renewed");
    }

    [Fact]
    public async Task What_was_renewed_is_reminded_of_again_before_it_runs_out_and_the_old_link_stays_used()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink);
        var first = await RemindedAsync(service, sink);
        await service.PressAsync(first, ("confirm", "1"), ("notice", "1")).ReadPageAsync();
        await service.RemindAsync();
        (await service.RemindersAsync()).ShouldBe(1);

        service.Clock.SetUtcNow(TestService.Start.AddYears(1).AddDays(-30));
        var second = await RemindedAsync(service, sink, 2);
        (await service.OpenAsync(first).ReadPageAsync()).ShouldContain("You have renewed this already");
        await service.PressAsync(second, ("confirm", "1"), ("notice", "1")).ReadPageAsync();

        (await service.KindsAsync()).ShouldBe("Renewed Renewed Given");
        (await service.HistoryAsync())[0].ExpiresAt.ShouldBe(TestService.Start.AddYears(2).AddDays(-30));
    }

    private static async Task<string> RemindedAsync(TestService service, SmtpSink sink, int count = 1)
    {
        await service.RemindAsync();
        return (await sink.MailAsync(count)).RenewalPath();
    }
}
