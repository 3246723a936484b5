using System.Diagnostics;
using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.SignUps;
using ConsentLedger.Tests.Unsubscribe;

namespace ConsentLedger.Tests.Preferences;

/// <summary>How people come by the link, and how strangers learn nothing from asking for it.</summary>
public sealed class LinkRequestTests(TestDatabase databases)
{
    [Fact]
    public async Task The_API_makes_a_link_for_a_day_that_holds_no_address()
    {
        await using var service = await TestService.StartAsync(databases);

        var link = await service.PostAsync("/v1/preference-links", new JsonObject { ["address"] = PreferenceScene.Ada }).ReadAsync();

        link.AsObject().Select(member => member.Key).ShouldBe(["url", "expiresAt"]);
        link.Text("url").ShouldMatch(@"^https://consent\.example/preferences/[A-Za-z0-9_-]+$");
        link.Text("expiresAt").ShouldBe("2026-11-23T09:30:00Z");
        (await service.OpenAsync(new Uri(link.Text("url")).AbsolutePath)).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await service.PostAsync("/v1/preference-links", new JsonObject { ["address"] = "nobody" }).ReadErrorAsync("address")).ShouldNotBeEmpty();
        var bound = await service.CreateKeyAsync([Scope.SubscribersRead], "newsletter");
        await service.PostAsync("/v1/preference-links", new JsonObject { ["address"] = PreferenceScene.Ada }, bound).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        var other = await service.CreateKeyAsync([Scope.ChecksRead]);
        (await service.PostAsync("/v1/preference-links", new JsonObject { ["address"] = PreferenceScene.Ada }, other)).StatusCode.ShouldBe(HttpStatusCode.Forbidden);
    }

    [Fact]
    public async Task Who_is_known_is_mailed_a_link_that_works_in_the_language_of_the_page()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);

        (await service.OpenAsync("/preferences").ReadPageAsync()).ShouldContain("See all your choices");
        (await service.AskForLinkAsync("ADA@example.org").ReadPageAsync()).ShouldContain("Check your e-mail");

        var mail = await sink.MailAsync();
        mail.To.ToString().ShouldBe(PreferenceScene.Ada);
        mail.Subject.ShouldBe("Your choices: messages from The Museum");
        mail.Headers.Contains(MimeKit.HeaderId.ListUnsubscribe).ShouldBeFalse();
        (await service.OpenAsync(mail.PreferencesPath()).ReadPageAsync()).ShouldContain("a…\u2060@example.org");
        (await service.KindsAsync()).ShouldBe("Given");
        (await service.SqlAsync("select count(*) from preference_request")).ShouldBe(0L);
    }

    [Fact]
    public async Task Nobody_learns_from_the_answer_who_is_known()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        await service.EventAsync("bounced@example.org", "suppressed", "*");
        await service.EventAsync("held@example.org", "restricted", "*");

        var known = await service.AskForLinkAsync();
        foreach (var address in new[] { "stranger@example.org", "bounced@example.org", "held@example.org" })
        {
            var other = await service.AskForLinkAsync(address);
            other.StatusCode.ShouldBe(known.StatusCode);
            (await other.TextAsync()).ShouldBe(await known.TextAsync());
            other.Headers.Where(header => header.Key != "Date").Select(header => $"{header.Key}: {string.Join(',', header.Value)}")
                .ShouldBe(known.Headers.Where(header => header.Key != "Date").Select(header => $"{header.Key}: {string.Join(',', header.Value)}"));
        }

        await service.LookedIntoAsync();
        (await sink.MailAsync()).To.ToString().ShouldBe(PreferenceScene.Ada);
    }

    [Fact]
    public async Task Nobody_learns_from_the_time_the_answer_takes_who_is_known()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var known = new List<double>();
        var unknown = new List<double>();

        // Turn about, so that whatever else the machine does meanwhile is the same for both.
        for (var i = 0; i < 220; i++)
        {
            var clock = Stopwatch.StartNew();
            (await service.AskForLinkAsync(i % 2 == 0 ? PreferenceScene.Ada : "stranger@example.org")).StatusCode.ShouldBe(HttpStatusCode.OK);
            if (i >= 20)
            {
                (i % 2 == 0 ? known : unknown).Add(clock.Elapsed.TotalMilliseconds);
            }

            await service.LookedIntoAsync();
        }

        var (one, other) = (Median(known), Median(unknown));
        Math.Abs(one - other).ShouldBeLessThan(Math.Max(1.5, 0.25 * Math.Min(one, other)), $"{one:0.00} ms and {other:0.00} ms");
    }

    [Fact]
    public async Task Who_objected_still_gets_the_link_because_it_is_no_marketing_and_was_asked_for()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        await service.EventAsync(PreferenceScene.Ada, "objected", "*");

        await service.AskForLinkAsync();

        var page = await service.OpenAsync((await sink.MailAsync()).PreferencesPath()).ReadPageAsync();
        page.ShouldContain("Off since 22 November 2026, when you stopped everything");
    }

    [Fact]
    public async Task One_address_gets_three_links_a_day_and_sign_ups_do_not_count()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);

        for (var i = 0; i < 6; i++)
        {
            (await service.AskForLinkAsync()).StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        await service.LookedIntoAsync();
        await sink.MailAsync(3);
        service.Later(TimeSpan.FromHours(25));
        await service.AskForLinkAsync();
        await sink.MailAsync(4);
    }

    [Fact]
    public async Task A_network_that_asks_too_much_is_told_to_wait()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.StartAsync(databases, sink, perMinute: 2);
        await service.AskForLinkAsync();
        await service.AskForLinkAsync();

        var refused = await service.AskForLinkAsync();

        refused.StatusCode.ShouldBe(HttpStatusCode.TooManyRequests);
        (await service.OpenAsync("/preferences")).StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task What_is_no_address_is_shown_again_and_what_a_program_fills_in_is_dropped()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);

        var again = await service.AskForLinkAsync("not-an-address").ReadPageAsync(HttpStatusCode.BadRequest);
        again.ShouldContain("Write your e-mail address in full");
        again.ShouldContain("value=\"not-an-address\"");
        (await service.AskForLinkAsync("tel:+442079460000")).StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await service.PostFormAsync("/preferences", "{}", "application/json")).StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await service.AskForLinkAsync(PreferenceScene.Ada, ("comment", "Buy now")).ReadPageAsync()).ShouldContain("Check your e-mail");

        (await service.SqlAsync("select count(*) from preference_request")).ShouldBe(0L);
        (await service.CountMailsAsync("sent")).ShouldBe(0);
    }

    [Fact]
    public async Task An_old_link_changes_nothing_and_has_a_new_one_sent()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var old = await service.PreferencesAsync();
        service.Later(TimeSpan.FromHours(24));

        (await service.OpenAsync(old).ReadPageAsync()).ShouldContain("This link is too old");
        (await service.OpenAsync($"{old}/events").ReadPageAsync()).ShouldContain("This link is too old");
        foreach (var (name, value) in new[] { ("off", "newsletter"), ("all", "off"), ("on", "events") })
        {
            (await service.PressAsync(old, (name, value)).ReadPageAsync()).ShouldContain("This link is too old");
        }

        (await service.KindsAsync()).ShouldBe("Given");
        (await service.PressAsync(old, ("confirm", "1")).ReadPageAsync()).ShouldContain("Check your e-mail");
        var renewed = (await sink.MailAsync()).PreferencesPath();
        renewed.ShouldNotBe(old);
        (await service.OpenAsync(renewed).ReadPageAsync()).ShouldContain("Your choices");
    }

    [Fact]
    public async Task A_request_that_was_answered_outlives_a_failure_and_the_service()
    {
        using var sink = SmtpSink.Start();
        string connection;
        KeyRing keys;
        await using (var first = await PreferenceScene.SubscribedAsync(databases, sink))
        {
            (connection, keys) = (first.ConnectionString, first.Keys);
            await first.SqlAsync("revoke insert on mail_outbox from consentledger_service");
            (await first.AskForLinkAsync()).StatusCode.ShouldBe(HttpStatusCode.OK);
            await MailScene.UntilAsync(async () => (await first.SqlAsync("select max(attempts) from preference_request")) is 1, "put off");
            await first.SqlAsync("grant insert on mail_outbox to consentledger_service");
        }

        await using var second = await TestService.StartAsync(
            connection, keys, new(TestService.Start.AddMinutes(2)), MailScene.To(sink, ("Controller:Name", "The Museum")));
        await second.LookedIntoAsync();
        (await second.OpenAsync((await sink.MailAsync()).PreferencesPath()).ReadPageAsync()).ShouldContain("Your choices");
    }

    private static double Median(List<double> times) => times.Order().ElementAt(times.Count / 2);
}
