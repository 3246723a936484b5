using System.Net;
using System.Net.Http.Headers;
using System.Text.Json.Nodes;
using ConsentLedger.Ledger;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.Unsubscribe;
using MimeKit;
using Npgsql;

namespace ConsentLedger.Tests.SignUps;

/// <summary>From the form to the consent, as people, websites, scanners and strangers use it.</summary>
public sealed class SignUpTests(TestDatabase databases)
{
    [Fact]
    public async Task A_sign_up_counts_once_it_is_confirmed_from_the_mail_and_both_steps_are_on_record()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);

        var page = await service.OpenAsync("/signup/website").TextAsync();
        WebUtility.HtmlDecode(page).ShouldContain("Yes, send me the newsletter once a month.");
        page.ShouldContain("name=\"notice-newsletter\" value=\"1\"");
        var answer = await service.SignUpAsync(SignUpScene.Ada, ("firstName", "Ada"), ("colour", "blue"));
        answer.StatusCode.ShouldBe(HttpStatusCode.OK);
        (await answer.TextAsync()).ShouldContain("Check your e-mail");

        var mail = await sink.MailAsync();
        (await service.ReasonAsync(SignUpScene.Ada)).ShouldBe("pending");
        mail.TextBody!.ShouldContain("Yes, send me the newsletter once a month.");
        WebUtility.HtmlDecode(mail.HtmlBody!).ShouldContain("Yes, send me the newsletter once a month.");
        mail.Subject.ShouldBe("Please confirm: messages from The Museum");
        mail.ToString().ShouldNotContain("blue");
        (await service.OpenAsync(mail.ConfirmPath()).TextAsync()).ShouldContain("Yes, confirm");
        var confirmed = await service.PostFormAsync(mail.ConfirmPath(), "confirm=1");

        (await confirmed.TextAsync()).ShouldContain("Thank you, that is confirmed");
        (await service.ReasonAsync(SignUpScene.Ada)).ShouldBe("given");
        var history = await service.HistoryAsync();
        history.Select(one => one.Kind).ShouldBe([EventKind.Given, EventKind.Requested], ignoreOrder: true);
        var requested = history.Single(one => one.Kind == EventKind.Requested);
        requested.NoticeVersion.ShouldBe(1);
        requested.Said().ShouldContain("\"firstName\":\"Ada\"");
        requested.Said().ShouldContain("\"ip\":\"127.0.0.1\"");
        requested.Said().ShouldContain("\"userAgent\":\"Browser/1.0\"");
        requested.Said().ShouldContain("\"noticeDigest\":\"sha256:");
        requested.Said().ShouldNotContain("blue");
        var given = history.Single(one => one.Kind == EventKind.Given);
        given.NoticeVersion.ShouldBe(1);
        given.Said().ShouldContain($"\"request\":\"{requested.Id}\"");
    }

    [Theory, InlineData("GET"), InlineData("HEAD")]
    public async Task Fetching_the_link_changes_nothing(string method)
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        await service.SignUpAsync();
        var path = (await sink.MailAsync()).ConfirmPath();

        for (var i = 0; i < 3; i++)
        {
            (await service.SendBareAsync(new HttpMethod(method), path)).StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        (await service.KindsAsync()).ShouldBe("Requested");
        (await service.PostFormAsync(path, "confirm=2")).StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await service.PostFormAsync(path[..20] + (path[20] == 'x' ? "y" : "x") + path[21..], "confirm=1")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await service.KindsAsync()).ShouldBe("Requested");
    }

    [Fact]
    public async Task Confirmations_at_once_make_one_consent_and_pressing_again_is_answered_kindly()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        await service.SignUpAsync();
        var path = (await sink.MailAsync()).ConfirmPath();

        var answers = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => service.PostFormAsync(path, "confirm=1")));

        answers.ShouldAllBe(answer => answer.StatusCode == HttpStatusCode.OK);
        (await service.HistoryAsync()).Count(one => one.Kind == EventKind.Given).ShouldBe(1);
        (await service.PostFormAsync(path, "confirm=1").TextAsync()).ShouldContain("You have confirmed already");
        (await service.OpenAsync(path).TextAsync()).ShouldContain("You have confirmed already");
        (await service.HistoryAsync()).Count(one => one.Kind == EventKind.Given).ShouldBe(1);
    }

    [Fact]
    public async Task A_link_that_is_too_old_offers_a_new_one_which_works()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        await service.SignUpAsync();
        var old = (await sink.MailAsync()).ConfirmPath();
        service.Later(TimeSpan.FromDays(7));

        (await service.OpenAsync(old).TextAsync()).ShouldContain("This link is too old");
        (await service.PostFormAsync(old, "confirm=1").TextAsync()).ShouldContain("Check your e-mail");

        (await service.KindsAsync()).ShouldBe("Requested");
        var renewed = (await sink.MailAsync(2)).ConfirmPath();
        renewed.ShouldNotBe(old);
        await service.PostFormAsync(renewed, "confirm=1");
        (await service.ReasonAsync(SignUpScene.Ada)).ShouldBe("given");
    }

    [Fact]
    public async Task The_way_out_of_the_confirmation_mail_cancels_the_request_for_good()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        await service.SignUpAsync();
        var mail = await sink.MailAsync();
        mail.Headers[HeaderId.ListUnsubscribePost].ShouldBe("List-Unsubscribe=One-Click");
        var wayOut = new Uri(mail.Headers[HeaderId.ListUnsubscribe]!.Trim('<', '>')).AbsolutePath;

        (await service.PostFormAsync(wayOut)).StatusCode.ShouldBe(HttpStatusCode.OK);

        (await service.PostFormAsync(mail.ConfirmPath(), "confirm=1").TextAsync()).ShouldContain("This request is closed");
        (await service.ReasonAsync(SignUpScene.Ada)).ShouldBe("withdrawn");
    }

    [Fact]
    public async Task Confirming_and_unsubscribing_at_once_never_leaves_a_consent_of_the_same_moment()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        for (var i = 0; i < 10; i++)
        {
            var address = $"racer{i}@example.org";
            await service.SignUpAsync(address);
            var mail = await sink.MailAsync(i + 1);
            var wayOut = await service.LinkAsync(address);

            // The clock stands still, so neither is newer; and what forbids wins a tie.
            await Task.WhenAll(service.PostFormAsync(mail.ConfirmPath(), "confirm=1"), service.PostFormAsync(wayOut));

            (await service.ReasonAsync(address)).ShouldBe("withdrawn");
        }
    }

    [Fact]
    public async Task Known_and_unknown_addresses_get_the_same_answer_and_a_subscriber_a_mail_that_says_so()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        await service.ConsentAsync(TestService.Start.AddYears(-1));

        var known = await service.SignUpAsync();
        var unknown = await service.SignUpAsync("stranger@example.org");

        (await known.TextAsync()).ShouldBe(await unknown.TextAsync());
        known.Headers.Where(header => header.Key != "Date").Select(header => $"{header.Key}: {string.Join(',', header.Value)}")
            .ShouldBe(unknown.Headers.Where(header => header.Key != "Date").Select(header => $"{header.Key}: {string.Join(',', header.Value)}"));
        await sink.MailAsync(2);
        var mail = sink.Mails.Single(taken => taken.Recipient == SignUpScene.Ada).Message;
        mail.Subject.ShouldBe("You are subscribed already: The Museum");
        mail.Headers.Contains(HeaderId.ListUnsubscribe).ShouldBeFalse();
        (await service.KindsAsync()).ShouldBe("Given");
        (await service.ReasonAsync(SignUpScene.Ada)).ShouldBe("given");
    }

    [Theory, InlineData("suppressed"), InlineData("objected")]
    public async Task Who_is_suppressed_or_has_objected_gets_no_mail_and_the_same_answer(string kind)
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        await service.EventAsync(SignUpScene.Ada, kind, "*");

        (await service.SignUpAsync()).StatusCode.ShouldBe(HttpStatusCode.OK);
        await service.SettledAsync();
        await service.SignUpAsync("other@example.org");

        (await sink.MailAsync()).To.ToString().ShouldBe("other@example.org");
        (await service.ReasonAsync(SignUpScene.Ada)).ShouldBe(kind);
    }

    [Fact]
    public async Task One_address_gets_three_mails_a_day_at_most_and_no_request_without_a_mail()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);

        for (var i = 0; i < 6; i++)
        {
            (await service.SignUpAsync(i % 2 == 0 ? SignUpScene.Ada : "ADA@Example.org")).StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        await service.SettledAsync();
        await service.UntilMailsAsync(3);
        await sink.MailAsync(3);
        (await service.HistoryAsync()).Count.ShouldBe(3);
        service.Later(TimeSpan.FromHours(25));
        await service.SignUpAsync();
        await sink.MailAsync(4);
    }

    [Fact]
    public async Task What_a_program_fills_in_is_answered_like_all_else_and_dropped()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);

        var trapped = await service.SignUpAsync(SignUpScene.Ada, ("comment", "Buy now"));

        (await trapped.TextAsync()).ShouldContain("Check your e-mail");
        (await service.SqlAsync("select count(*) from sign_up")).ShouldBe(0L);
    }

    [Fact]
    public async Task Nothing_a_stranger_writes_is_in_the_mail_and_no_header_can_be_added()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);

        (await service.SignUpAsync("ada@example.org\r\nBcc: all@example.org")).StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await service.SignUpAsync("ada@example.org", ("firstName", "Ada\r\nBcc: all@example.org"))).StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await service.SignUpAsync("ada@example.org", ("firstName", "Win https://spam.example"))).StatusCode.ShouldBe(HttpStatusCode.OK);

        var mail = await sink.MailAsync();
        mail.ToString().ShouldNotContain("spam");
        mail.Headers.Contains(HeaderId.Bcc).ShouldBeFalse();
    }

    [Fact]
    public async Task A_site_that_is_listed_may_send_JSON_and_read_the_answer_and_another_may_not()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        var body = new JsonObject { ["address"] = SignUpScene.Ada, ["purposes"] = new JsonArray("newsletter") };

        var asked = await service.SignUpFromAsync(SignUpScene.Site, body, HttpMethod.Options);
        asked.StatusCode.ShouldBe(HttpStatusCode.NoContent);
        asked.Headers.GetValues("Access-Control-Allow-Origin").ShouldBe([SignUpScene.Site]);
        asked.Headers.GetValues("Access-Control-Allow-Headers").ShouldBe(["content-type"]);
        var answer = await service.SignUpFromAsync(SignUpScene.Site, body);
        answer.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        (await answer.TextAsync()).ShouldBe("{}");
        answer.Headers.GetValues("Access-Control-Allow-Origin").ShouldBe([SignUpScene.Site]);

        var elsewhere = await service.SignUpFromAsync("https://evil.example", body);
        await elsewhere.ReadProblemAsync(HttpStatusCode.Forbidden, "origin-not-allowed");
        elsewhere.Headers.Contains("Access-Control-Allow-Origin").ShouldBeFalse();
        (await service.SignUpFromAsync("https://evil.example", body, HttpMethod.Options)).StatusCode.ShouldBe(HttpStatusCode.Forbidden);
        await sink.MailAsync();
    }

    [Fact]
    public async Task People_are_sent_back_only_to_where_the_form_says()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);

        var back = await service.SignUpAsync(SignUpScene.Ada, ("returnUrl", $"{SignUpScene.Site}/thank-you"));
        back.StatusCode.ShouldBe(HttpStatusCode.SeeOther);
        back.Headers.Location!.ToString().ShouldBe($"{SignUpScene.Site}/thank-you");

        var elsewhere = await service.SignUpAsync(SignUpScene.Ada, ("returnUrl", "https://evil.example/"));
        elsewhere.StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        elsewhere.Headers.Location.ShouldBeNull();
    }

    [Fact]
    public async Task A_Welsh_form_has_a_Welsh_page_a_Welsh_mail_and_a_Welsh_confirmation()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink, language: "cy");
        await service.PostAsync("/v1/purposes/newsletter/notices", new JsonObject { ["language"] = "cy", ["statement"] = "Ie, anfonwch y cylchlythyr ataf." }).ReadAsync(HttpStatusCode.Created);
        await service.NoticeAsync();

        var page = WebUtility.HtmlDecode(await service.OpenAsync("/signup/website").TextAsync());
        page.ShouldContain("<html lang=\"cy\">");
        page.ShouldContain("Ie, anfonwch y cylchlythyr ataf.");
        (await service.OpenAsync("/signup/website?lang=en").TextAsync()).ShouldContain("<html lang=\"en\">");
        (await service.SignUpAsync().TextAsync()).ShouldContain("<html lang=\"cy\">");

        var mail = await sink.MailAsync();
        mail.Subject.ShouldStartWith("Cadarnhewch");
        mail.TextBody!.ShouldContain("Ie, anfonwch y cylchlythyr ataf.");
        (await service.OpenAsync(mail.ConfirmPath()).TextAsync()).ShouldContain("Ai chi oedd hyn?");
        await service.PostFormAsync(mail.ConfirmPath(), "confirm=1");
        (await service.HistoryAsync()).ShouldAllBe(one => one.NoticeVersion == 2);
    }

    [Fact]
    public async Task Below_the_minimum_age_the_guardian_confirms_and_both_are_on_record()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink, new JsonObject { ["minimumAge"] = 13 });

        (await service.SignUpAsync("child@example.org")).StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await service.SignUpAsync("child@example.org", ("age", "under"), ("guardian", "child@example.org"))).StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await service.SignUpAsync("child@example.org", ("age", "under"), ("guardian", "parent@example.org"))).StatusCode.ShouldBe(HttpStatusCode.OK);

        var mail = await sink.MailAsync();
        mail.To.ToString().ShouldBe("parent@example.org");
        mail.TextBody!.ShouldContain("parent or guardian");
        await service.PostFormAsync(mail.ConfirmPath(), "confirm=1");
        (await service.ReasonAsync("child@example.org")).ShouldBe("given");
        (await service.HistoryAsync("child@example.org")).ShouldAllBe(one => one.Said().Contains("parent@example.org", StringComparison.Ordinal));
        (await service.HistoryAsync("parent@example.org")).ShouldBeEmpty();
    }

    [Fact]
    public async Task Where_the_purpose_asks_for_no_confirmation_a_sign_up_counts_at_once_but_not_for_who_said_no()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink, new JsonObject { ["doubleOptIn"] = false });
        await service.EventAsync("once@example.org", "withdrawn", occurredAt: TestService.Start.AddDays(-1));

        await service.SignUpAsync();
        await service.SignUpAsync("once@example.org");
        await service.SettledAsync();

        (await service.ReasonAsync(SignUpScene.Ada)).ShouldBe("given");
        (await sink.MailAsync()).To.ToString().ShouldBe("once@example.org");
        (await service.ReasonAsync("once@example.org")).ShouldBe("pending");
    }

    [Fact]
    public async Task A_form_that_is_filled_in_wrongly_is_shown_again_with_what_to_put_right()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        await service.PurposeAsync("events");
        await service.FormAsync("en", "newsletter", "events");

        var again = await service.SignUpAsync("not-an-address", ("purposes", "events"));

        again.StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        var page = await again.TextAsync();
        page.ShouldContain("Write your e-mail address in full");
        page.ShouldContain("value=\"not-an-address\"");
        page.ShouldContain("value=\"events\" checked");
        (await service.SignUpAsync(SignUpScene.Ada).TextAsync()).ShouldContain("Choose at least one thing");
        (await service.SignUpAsync(SignUpScene.Ada, ("purposes", "secret"))).StatusCode.ShouldBe(HttpStatusCode.BadRequest);
    }

    [Fact]
    public async Task A_stranger_who_signs_up_somebody_who_left_opens_no_way_back()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink, new JsonObject { ["doubleOptIn"] = false });
        await service.EventAsync(SignUpScene.Ada, "withdrawn", occurredAt: TestService.Start.AddDays(-1));

        for (var i = 0; i < 2; i++)
        {
            await service.SignUpAsync();
            await service.SettledAsync();
            service.Clock.Advance(TimeSpan.FromMinutes(1));
        }

        (await service.KindsAsync()).ShouldBe("Requested Requested Withdrawn");
        (await service.ReasonAsync(SignUpScene.Ada)).ShouldBe("pending");
        var list = $"address,purpose,kind,occurredAt,noticeVersion\n{SignUpScene.Ada},newsletter,given,{service.Clock.GetUtcNow():O},1\n";
        using var content = new StringContent(list, MediaTypeHeaderValue.Parse("text/csv"));
        var report = await (await service.Client.PostAsync("/v1/events/import", content, TestContext.Current.CancellationToken)).ReadAsync();
        report["heldBack"]!.GetValue<long>().ShouldBe(1);

        // Whoever reads the mail is the one who left, and may come back.
        await service.PostFormAsync((await sink.MailAsync(2)).ConfirmPath(), "confirm=1");
        (await service.ReasonAsync(SignUpScene.Ada)).ShouldBe("given");
    }

    [Fact]
    public async Task A_website_s_own_server_signs_people_up_and_says_it_twice_without_harm()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        var body = new JsonObject
        {
            ["form"] = "website",
            ["address"] = SignUpScene.Ada,
            ["fields"] = new JsonObject { ["firstName"] = "Ada", ["colour"] = "blue" },
            ["evidence"] = new JsonObject { ["ip"] = "203.0.113.7", ["userAgent"] = "Phone/2", ["url"] = "https://museum.example/news" },
        };

        for (var i = 0; i < 2; i++)
        {
            (await service.PostAsync("/v1/signups", body, null, ("Idempotency-Key", "\"once\""))).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        }

        await sink.MailAsync();
        var requested = (await service.HistoryAsync()).ShouldHaveSingleItem();
        requested.Said().ShouldContain("203.0.113.7");
        requested.Said().ShouldContain("https://museum.example/news");
        requested.Said().ShouldNotContain("blue");
        body["evidence"]!["ip"] = "here";
        (await service.PostAsync("/v1/signups", body).ReadErrorAsync("evidence.ip")).ShouldNotBeEmpty();
    }

    [Fact]
    public async Task A_network_that_sends_too_much_is_told_to_wait()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink, perMinute: 2);
        await service.SignUpAsync("one@example.org");
        await service.SignUpAsync("two@example.org");

        var refused = await service.SignUpAsync("three@example.org");

        refused.StatusCode.ShouldBe(HttpStatusCode.TooManyRequests);
        refused.Headers.RetryAfter!.Delta!.Value.TotalSeconds.ShouldBeInRange(1, 60);
        refused.Headers.GetValues("RateLimit-Policy").ShouldBe(["\"network\";q=2;w=60"]);
    }

    [Fact]
    public async Task Those_of_one_address_are_looked_into_in_their_order_and_nobody_else_waits_for_them()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        await using var holder = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(service.ConnectionString) { Pooling = false }.ConnectionString);
        await holder.OpenAsync(TestContext.Current.CancellationToken);
        await using var hold = new NpgsqlCommand($"select pg_advisory_lock({BitConverter.ToInt64(service.IdOf(SignUpScene.Ada).Value.ToByteArray())})", holder);
        await hold.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        for (var i = 0; i < 5; i++)
        {
            await service.SignUpAsync();
            service.Clock.Advance(TimeSpan.FromSeconds(1));
        }

        await service.SignUpAsync("other@example.org");
        (await sink.MailAsync()).To.ToString().ShouldBe("other@example.org");
        (await service.KindsAsync()).ShouldBeEmpty();
        await holder.CloseAsync();

        // Three get a mail: those that came first.
        await service.SettledAsync();
        (await service.HistoryAsync()).Select(one => one.OccurredAt).ShouldBe([TestService.Start.AddSeconds(2), TestService.Start.AddSeconds(1), TestService.Start]);
    }

    [Fact]
    public async Task Ten_thousand_sign_ups_while_the_mail_server_is_away_get_one_mail_each_once_it_is_back()
    {
        const int Count = 10_000;
        var away = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, away);
        await using var other = await TestService.StartAsync(
            service.ConnectionString, service.Keys, service.Clock, MailScene.To(away, ("SignUps:PerNetworkPerMinute", "100000")));
        away.Dispose();
        await Parallel.ForAsync(0, Count, new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (i, _) =>
        {
            var answer = await (i % 2 == 0 ? service : other).SignUpFromAsync(SignUpScene.Site, new JsonObject { ["address"] = $"reader{i}@example.org" });
            answer.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        });
        await MailScene.UntilAsync(async () => (long)(await service.SqlAsync("select count(*) from sign_up where status = 'asked'"))! == Count, "all asked", TimeSpan.FromMinutes(5));
        (await service.CountMailsAsync("waiting")).ShouldBe(Count);
        using var back = SmtpSink.Start(away.Port);
        await MailScene.UntilAsync(
            async () =>
            {
                service.Later(TimeSpan.FromSeconds(10));
                await Task.Delay(100);
                return back.Connections > 0;
            },
            "the server is asked again");
        await MailScene.UntilAsync(async () => await service.CountMailsAsync("sent") == Count, "all sent", TimeSpan.FromMinutes(5));

        back.Mails.Count.ShouldBe(Count);
        back.Mails.Select(mail => mail.Recipient).Distinct().Count().ShouldBe(Count);
    }

    [Fact]
    public async Task Neither_forms_nor_mails_leave_an_address_readable_in_the_database()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        await service.SignUpAsync("sealed-away@example.org");
        await sink.MailAsync();

        var stored = (string)(await service.SqlAsync("select string_agg(encode(details, 'escape'), '') from sign_up"))!;

        stored.ShouldNotContain("sealed-away");
        (await service.PostFormAsync(sink.Mails.Single().Message.ConfirmPath(), "confirm=1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await service.SqlAsync("select bool_and(details is null) from sign_up")).ShouldBe(true);
    }
}
