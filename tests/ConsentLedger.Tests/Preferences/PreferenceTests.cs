using System.Buffers.Text;
using System.IO.Compression;
using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Ledger;
using ConsentLedger.Preferences;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.SignUps;
using ConsentLedger.Tests.Unsubscribe;

namespace ConsentLedger.Tests.Preferences;

/// <summary>Somebody's choices, as they, their two tabs, a scanner and a stranger use the page.</summary>
public sealed class PreferenceTests(TestDatabase databases)
{
    [Fact]
    public async Task The_page_says_how_each_purpose_stands_and_since_when()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink, new JsonObject { ["consentLifetime"] = "P24M" });
        await service.PurposeAsync("past", with: new JsonObject { ["endsAt"] = "2026-01-01T00:00:00Z" });
        await service.PurposeAsync("texts", with: new JsonObject { ["channel"] = "sms", ["name"] = "Text messages" });

        var page = await service.OpenAsync(await service.PreferencesAsync()).ReadPageAsync();

        page.ShouldContain("a…\u2060@example.org");
        page.ShouldNotContain(PreferenceScene.Ada);
        page.ShouldContain("The newsletter");
        page.ShouldContain("On since 22 November 2025, until 22 November 2027");
        page.ShouldContain("Events & talks");
        page.ShouldContain("What is on, four times a year.");
        page.ShouldNotContain("The past");
        page.ShouldNotContain("Text messages");
        var welsh = await service.OpenAsync(await service.PreferencesAsync() + "?lang=cy").ReadPageAsync();
        welsh.ShouldContain("Ymlaen ers 22 Tachwedd 2025, tan 22 Tachwedd 2027");
        welsh.ShouldContain("lang=\"cy\"");
    }

    [Fact]
    public async Task Fetching_any_of_its_pages_changes_nothing()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var path = await service.PreferencesAsync();

        foreach (var method in new[] { HttpMethod.Get, HttpMethod.Head })
        {
            foreach (var query in new[] { "", "/events", "/newsletter", "?off=newsletter", "?all=off", "?on=events&notice=1" })
            {
                var response = await service.SendBareAsync(method, path + query);
                response.StatusCode.ShouldBe(HttpStatusCode.OK);
                response.Headers.CacheControl!.NoStore.ShouldBeTrue();
                response.Headers.GetValues("Referrer-Policy").ShouldBe(["no-referrer"]);
                response.Headers.Contains("Set-Cookie").ShouldBeFalse();
            }
        }

        (await service.KindsAsync()).ShouldBe("Given");
        (await service.CountMailsAsync("sent")).ShouldBe(0);
    }

    [Fact]
    public async Task Turning_off_takes_effect_at_once_and_says_how_it_came_about()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var path = await service.PreferencesAsync();

        var page = await service.PressAsync(path, ("off", "newsletter")).ReadPageAsync();

        page.ShouldContain("“The newsletter” is turned off.");
        page.ShouldContain("Off since 22 November 2026");
        (await service.ReasonAsync(PreferenceScene.Ada)).ShouldBe("withdrawn");
        var withdrawn = (await service.HistoryAsync())[0];
        withdrawn.Kind.ShouldBe(EventKind.Withdrawn);
        withdrawn.Source.ShouldBe(SourceKind.PreferenceCentre);
        withdrawn.Said().ShouldContain("\"how\":\"preference-centre\"");
        withdrawn.Said().ShouldContain("\"ip\":\"127.0.0.1\"");
        await service.PressAsync(path, ("off", "newsletter")).ReadPageAsync();
        (await service.KindsAsync()).ShouldBe("Withdrawn Given");
    }

    [Fact]
    public async Task Turning_on_counts_once_it_is_confirmed_from_the_mail_with_the_wording_of_the_page()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var path = await service.PreferencesAsync();

        var ask = await service.OpenAsync($"{path}/events").ReadPageAsync();
        ask.ShouldContain("Yes, send me the newsletter once a month.");
        ask.ShouldContain("name=\"notice\" value=\"1\"");
        var page = await service.PressAsync(path, ("on", "events"), ("notice", "1")).ReadPageAsync();
        page.ShouldContain("Check your e-mail");
        page.ShouldContain("Waiting since 22 November 2026 for you to confirm");
        (await service.ReasonAsync(PreferenceScene.Ada, "events")).ShouldBe("pending");

        var mail = await sink.MailAsync();
        mail.To.ToString().ShouldBe(PreferenceScene.Ada);
        mail.TextBody!.ShouldContain("Yes, send me the newsletter once a month.");
        (await service.PostFormAsync(mail.ConfirmPath(), "confirm=1").ReadPageAsync()).ShouldContain("Thank you, that is confirmed");

        (await service.ReasonAsync(PreferenceScene.Ada, "events")).ShouldBe("given");
        var history = await service.HistoryAsync();
        var requested = history.Single(one => one.Kind == EventKind.Requested);
        var given = history.Single(one => one is { Kind: EventKind.Given, Source: SourceKind.PreferenceCentre });
        requested.Source.ShouldBe(SourceKind.PreferenceCentre);
        requested.NoticeVersion.ShouldBe(1);
        requested.Said().ShouldContain("\"noticeDigest\":\"sha256:");
        given.NoticeVersion.ShouldBe(1);
        given.Said().ShouldContain($"\"request\":\"{requested.Id}\"");
        (await service.OpenAsync(path).ReadPageAsync()).ShouldContain("Turn off<span class=\"unseen\">: Events & talks");
    }

    [Fact]
    public async Task What_was_turned_off_a_moment_ago_is_asked_for_again_and_can_be_confirmed()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var path = await service.PreferencesAsync();

        // The clock stands still: what is said later has to be newer all the same.
        await service.PressAsync(path, ("off", "newsletter")).ReadPageAsync();
        await service.PressAsync(path, ("on", "newsletter"), ("notice", "1")).ReadPageAsync();
        (await service.ReasonAsync(PreferenceScene.Ada)).ShouldBe("pending");
        await service.PostFormAsync((await sink.MailAsync()).ConfirmPath(), "confirm=1").ReadPageAsync();

        (await service.ReasonAsync(PreferenceScene.Ada)).ShouldBe("given");
    }

    [Fact]
    public async Task Cancelling_a_request_closes_its_link()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var path = await service.PreferencesAsync();
        await service.PressAsync(path, ("on", "events"), ("notice", "1"));
        var mail = await sink.MailAsync();

        var page = await service.PressAsync(path, ("off", "events")).ReadPageAsync();

        PreferenceScene.UndoOf(page).ShouldBeNull();
        (await service.PostFormAsync(mail.ConfirmPath(), "confirm=1").ReadPageAsync()).ShouldContain("This request is closed");
        (await service.ReasonAsync(PreferenceScene.Ada, "events")).ShouldBe("withdrawn");
    }

    [Fact]
    public async Task Where_the_purpose_asks_for_no_confirmation_it_is_on_at_once_but_not_for_who_said_no_before()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        await service.PurposeAsync("events", with: new JsonObject { ["doubleOptIn"] = false });
        await service.EventAsync("once@example.org", "withdrawn", "events", TestService.Start.AddDays(-1));

        (await service.OpenAsync(await service.PreferencesAsync() + "/events").ReadPageAsync()).ShouldNotContain("a link to confirm");
        (await service.PressAsync(await service.PreferencesAsync(), ("on", "events"), ("notice", "1")).ReadPageAsync()).ShouldContain("“The events” is turned on.");
        (await service.PressAsync(await service.PreferencesAsync("once@example.org"), ("on", "events"), ("notice", "1")).ReadPageAsync()).ShouldContain("Check your e-mail");

        (await service.ReasonAsync(PreferenceScene.Ada, "events")).ShouldBe("given");
        (await service.HistoryAsync())[0].NoticeVersion.ShouldBe(1);
        (await service.HistoryAsync())[0].Source.ShouldBe(SourceKind.PreferenceCentre);
        (await sink.MailAsync()).To.ToString().ShouldBe("once@example.org");
        (await service.ReasonAsync("once@example.org", "events")).ShouldBe("pending");
    }

    [Fact]
    public async Task Confirmation_mails_are_three_a_day_and_the_page_says_so()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var path = await service.PreferencesAsync();

        for (var i = 0; i < 3; i++)
        {
            (await service.PressAsync(path, ("on", "events"), ("notice", "1")).ReadPageAsync()).ShouldContain("Check your e-mail");
        }

        (await service.PressAsync(path, ("on", "events"), ("notice", "1")).ReadPageAsync()).ShouldContain("We have sent you three messages today");
        await sink.MailAsync(3);
        (await service.HistoryAsync()).Count(one => one.Kind == EventKind.Requested).ShouldBe(3);
    }

    [Fact]
    public async Task Stopping_everything_is_an_objection_which_only_a_new_yes_passes()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var path = await service.PreferencesAsync();
        await service.PressAsync(path, ("on", "events"), ("notice", "1"));
        var before = await sink.MailAsync();

        (await service.PressAsync(path, ("all", "off")).ReadPageAsync()).ShouldContain("Everything is stopped.");

        (await service.ReasonAsync(PreferenceScene.Ada)).ShouldBe("objected");
        var objected = (await service.HistoryAsync()).Single(one => one.Kind == EventKind.Objected);
        objected.Purpose.Value.ShouldBe(0);
        objected.Source.ShouldBe(SourceKind.PreferenceCentre);
        (await service.PostFormAsync(before.ConfirmPath(), "confirm=1").ReadPageAsync()).ShouldContain("This request is closed");
        await service.PressAsync(path, ("all", "off")).ReadPageAsync();
        (await service.HistoryAsync()).Count(one => one.Kind == EventKind.Objected).ShouldBe(1);

        await service.PressAsync(path, ("on", "events"), ("notice", "1")).ReadPageAsync();
        await service.PostFormAsync((await sink.MailAsync(2)).ConfirmPath(), "confirm=1").ReadPageAsync();
        (await service.ReasonAsync(PreferenceScene.Ada, "events")).ShouldBe("given");
        (await service.ReasonAsync(PreferenceScene.Ada)).ShouldBe("objected");
        await service.PressAsync(path, ("all", "off")).ReadPageAsync();
        (await service.ReasonAsync(PreferenceScene.Ada, "events")).ShouldBe("objected");
    }

    [Fact]
    public async Task Who_is_not_known_can_still_stop_everything_and_is_offered_nothing_that_can_not_work()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.StartAsync(databases, sink);
        var path = await service.PreferencesAsync("stranger@example.org");

        var page = await service.OpenAsync(path).ReadPageAsync();
        page.ShouldContain("holds nothing about this address");
        page.ShouldNotContain("Turn on");
        (await service.PressAsync(path, ("on", "events"), ("notice", "1")).ReadPageAsync()).ShouldContain("can’t be turned on here");
        await service.PressAsync(path, ("all", "off")).ReadPageAsync();

        (await service.ReasonAsync("stranger@example.org")).ShouldBe("objected");
        (await service.CountMailsAsync("sent")).ShouldBe(0);
    }

    [Theory]
    [InlineData("suppressed", "nothing is sent to this address")]
    [InlineData("restricted", "your data is only kept, and not used")]
    public async Task Who_is_suppressed_or_restricted_is_told_so_and_can_turn_off_but_not_on(string kind, string said)
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        await service.EventAsync(PreferenceScene.Ada, kind, "*");
        var path = await service.PreferencesAsync();

        var page = await service.OpenAsync(path).ReadPageAsync();
        page.ShouldContain(said);
        page.ShouldContain("Turn off");
        page.ShouldNotContain("Turn on");
        (await service.PressAsync(path, ("on", "events"), ("notice", "1")).ReadPageAsync()).ShouldContain("can’t be turned on here");
        await service.PressAsync(path, ("off", "newsletter")).ReadPageAsync();

        (await service.KindsAsync()).ShouldContain("Withdrawn");
        (await service.CountMailsAsync("sent")).ShouldBe(0);
        (await service.ReasonAsync(PreferenceScene.Ada)).ShouldBe(kind);
    }

    [Fact]
    public async Task A_purpose_with_a_minimum_age_is_turned_on_by_who_says_that_they_are_old_enough()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        await service.PurposeAsync("events", with: new JsonObject { ["minimumAge"] = 13 });
        var path = await service.PreferencesAsync();

        (await service.OpenAsync($"{path}/events").ReadPageAsync()).ShouldContain("I am 13 or older");
        (await service.PressAsync(path, ("on", "events"), ("notice", "1")).ReadPageAsync(HttpStatusCode.BadRequest)).ShouldContain("people of 13 or older");
        (await service.KindsAsync()).ShouldBe("Given");
        (await service.PressAsync(path, ("on", "events"), ("notice", "1"), ("age", "over")).ReadPageAsync()).ShouldContain("Check your e-mail");
        await sink.MailAsync();
    }

    [Fact]
    public async Task What_no_button_sends_is_refused_and_changes_nothing()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var path = await service.PreferencesAsync();

        foreach (var body in new[]
        {
            "", "off=", "off=unknown", "off=newsletter&off=newsletter", "off=newsletter&more=1", "all=on", "all=off&off=newsletter", "on=unknown&notice=1",
            "on=events", "on=events&notice=", "on=events&notice=2", "on=events&notice=-1", "on=events&notice=1&notice=1", "confirm=1", "List-Unsubscribe=One-Click",
        })
        {
            (await service.PostFormAsync(path, body)).StatusCode.ShouldBe(HttpStatusCode.BadRequest, body);
        }

        (await service.PostFormAsync(path, "{\"all\":\"off\"}", "application/json")).StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await service.PostFormAsync(path, "undo=x")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await service.OpenAsync($"{path}/unknown")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await service.KindsAsync()).ShouldBe("Given");
    }

    [Fact]
    public async Task No_forged_token_of_any_length_opens_or_changes_anything()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var token = (await service.PreferencesAsync()).Split('/')[^1];
        var bytes = Base64Url.DecodeFromChars(token);
        var forged = Enumerable.Range(1, token.Length - 1).Select(length => token[..length]).ToList();
        forged.AddRange(Enumerable.Range(0, bytes.Length).Select(at =>
        {
            var changed = bytes.ToArray();
            changed[at] ^= 1;
            return Base64Url.EncodeToString(changed);
        }));
        forged.AddRange(
        [
            token + "A", token + token, "x",
            new PreferenceToken(service.IdOf(PreferenceScene.Ada), TestService.Start.AddYears(1)).Sign(new KeyRing(MasterKey.Generate())),
            (await service.LinkAsync()).Split('/')[^1],
        ]);

        foreach (var other in forged)
        {
            (await service.SendBareAsync(HttpMethod.Get, $"/preferences/{other}")).StatusCode.ShouldBe(HttpStatusCode.NotFound, other);
            (await service.PressAsync($"/preferences/{other}", ("all", "off"))).StatusCode.ShouldBe(HttpStatusCode.NotFound, other);
        }

        (await service.PostFormAsync($"/u/{token}")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await service.KindsAsync()).ShouldBe("Given");
    }

    [Fact]
    public async Task Everything_that_is_held_is_downloaded_and_who_asked_is_on_record()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var path = await service.PreferencesAsync();

        var response = await service.PressAsync(path + "?lang=cy", ("download", "all"));

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        response.Content.Headers.ContentType!.MediaType.ShouldBe("application/zip");
        response.Headers.CacheControl!.NoStore.ShouldBeTrue();
        using var zip = new ZipArchive(await response.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
        zip.Entries.Select(entry => entry.FullName).ShouldContain("eich-data.html");
        using var json = new StreamReader(zip.GetEntry("data.json")!.Open());
        (await json.ReadToEndAsync(TestContext.Current.CancellationToken)).ShouldContain(PreferenceScene.Ada);
        (await service.SqlAsync($"select actor::text from audit_entry where action = 'subscriber-exported' and about_subscriber = '{service.IdOf(PreferenceScene.Ada)}'")).ShouldBe("subject");
        (await service.PressAsync(await service.PreferencesAsync("stranger@example.org"), ("download", "all"))).StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await service.KindsAsync()).ShouldBe("Given");
    }

    [Fact]
    public async Task Two_tabs_that_turn_the_same_off_and_on_at_once_do_it_once()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        await service.PurposeAsync("events", with: new JsonObject { ["doubleOptIn"] = false });
        var tabs = new[] { await service.PreferencesAsync(), await service.PreferencesAsync() };

        var pages = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => service.PressAsync(tabs[i % 2], ("off", "newsletter")).ReadPageAsync()));
        await Task.WhenAll(Enumerable.Range(0, 8).Select(i => service.PressAsync(tabs[i % 2], ("on", "events"), ("notice", "1")).ReadPageAsync()));
        await Task.WhenAll(Enumerable.Range(0, 8).Select(i => service.PressAsync(tabs[i % 2], ("all", "off")).ReadPageAsync()));

        pages.Count(page => PreferenceScene.UndoOf(page) is not null).ShouldBeLessThanOrEqualTo(1);
        var history = await service.HistoryAsync();
        history.Count(one => one.Kind == EventKind.Withdrawn).ShouldBe(1);
        history.Count(one => one.Kind == EventKind.Given).ShouldBe(2);
        history.Count(one => one.Kind == EventKind.Objected).ShouldBe(1);
    }

    [Fact]
    public async Task Turning_on_and_unsubscribing_at_once_never_leaves_a_consent_of_the_same_moment()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink, new JsonObject { ["doubleOptIn"] = false });
        for (var i = 0; i < 10; i++)
        {
            var address = $"racer{i}@example.org";
            await service.GiveAsync(address, "events");
            var (path, link) = (await service.PreferencesAsync(address), await service.LinkAsync(address));

            // The clock stands still, so neither is newer; and what forbids wins a tie.
            await Task.WhenAll(service.PressAsync(path, ("on", "newsletter"), ("notice", "1")), service.PostFormAsync(link));

            var history = await service.HistoryAsync(address);
            var withdrawn = history.Single(one => one.Kind == EventKind.Withdrawn);
            history.Where(one => one.Kind == EventKind.Given && one.Purpose == withdrawn.Purpose && one.OccurredAt > withdrawn.OccurredAt).ShouldBeEmpty();
            (await service.ReasonAsync(address)).ShouldBe(history.Any(one => one.Kind == EventKind.Requested) ? "pending" : "withdrawn");
        }
    }
}
