using System.Net;
using System.Net.Http.Headers;
using System.Text;
using ConsentLedger.Ledger;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Unsubscribe;

/// <summary>The link, as mail programs, scanners and people use it (RFC 8058, FACTS 1-7 and 65).</summary>
public sealed class UnsubscribeTests(TestDatabase databases)
{
    private static readonly DateTimeOffset LastYear = TestService.Start.AddYears(-1);

    public static TheoryData<string, string> OneClickBodies => new()
    {
        { "application/x-www-form-urlencoded", UnsubscribeScene.OneClick },
        { "application/x-www-form-urlencoded; charset=utf-8", UnsubscribeScene.OneClick },
        { "multipart/form-data; boundary=xyz", "--xyz\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--xyz--\r\n" },
        { "multipart/form-data; boundary=\"---FormBoundaryjWmhtjORrn\"", "-----FormBoundaryjWmhtjORrn\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n-----FormBoundaryjWmhtjORrn--\r\n" },
    };

    [Theory, MemberData(nameof(OneClickBodies))]
    public async Task A_one_click_post_withdraws_and_is_answered_200_without_cookie_or_redirect(string type, string body)
    {
        await using var service = await SubscribedAsync();

        var response = await service.PostFormAsync(await service.LinkAsync(), body, type);

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        response.Headers.Contains("Set-Cookie").ShouldBeFalse();
        response.Headers.Location.ShouldBeNull();
        response.Content.Headers.ContentType!.MediaType.ShouldBe("text/plain");
        var state = await service.StateAsync();
        state!.Value.Kind.ShouldBe(EventKind.Withdrawn);
        state.Value.Since.ShouldBe(TestService.Start);
    }

    [Fact]
    public async Task The_withdrawal_says_how_it_came_about()
    {
        await using var service = await SubscribedAsync();
        var link = await service.LinkAsync();

        using var form = new StringContent(UnsubscribeScene.OneClick, MediaTypeHeaderValue.Parse("application/x-www-form-urlencoded"));
        await service.SendBareAsync(HttpMethod.Post, link, content: form, userAgent: "Mail\u200bProgram/1.0 " + new string('x', 400));

        var withdrawn = (await service.HistoryAsync())[0];
        withdrawn.Kind.ShouldBe(EventKind.Withdrawn);
        withdrawn.Source.ShouldBe(SourceKind.UnsubscribeLink);
        var evidence = Encoding.UTF8.GetString(withdrawn.Evidence!.Canonical);
        evidence.ShouldContain("\"how\":\"one-click\"");
        evidence.ShouldContain("\"ip\":\"127.0.0.1\"");
        evidence.ShouldContain("Program/1.0 x");
        evidence.ShouldNotContain(new string('x', 300));
        evidence.ShouldNotContain("\u200b");
    }

    [Fact]
    public async Task The_page_s_button_withdraws_and_shows_what_was_done_and_the_way_to_the_preferences()
    {
        await using var service = await SubscribedAsync();

        var response = await service.PostFormAsync(await service.LinkAsync(), "confirm=1");

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        response.Content.Headers.ContentType!.ToString().ShouldBe("text/html; charset=utf-8");
        response.Headers.Contains("Set-Cookie").ShouldBeFalse();
        var page = await response.TextAsync();
        page.ShouldContain("You are unsubscribed");
        page.ShouldContain("The newsletter");
        page.ShouldContain("href=\"/preferences\"");
        Encoding.UTF8.GetString((await service.HistoryAsync())[0].Evidence!.Canonical).ShouldContain("\"how\":\"page\"");
    }

    [Theory, InlineData("GET"), InlineData("HEAD")]
    public async Task Fetching_the_link_shows_a_page_and_changes_nothing(string method)
    {
        await using var service = await SubscribedAsync();
        var link = await service.LinkAsync();

        for (var time = 0; time < 5; time++)
        {
            var response = await service.SendBareAsync(HttpMethod.Parse(method), link);

            response.StatusCode.ShouldBe(HttpStatusCode.OK);
            response.Content.Headers.ContentType!.MediaType.ShouldBe("text/html");
            response.Headers.Contains("Set-Cookie").ShouldBeFalse();
            response.Headers.CacheControl!.NoStore.ShouldBeTrue();
            response.Headers.GetValues("Referrer-Policy").ShouldBe(["no-referrer"]);
            response.Headers.GetValues("X-Robots-Tag").ShouldBe(["noindex"]);
            response.Headers.GetValues("X-Content-Type-Options").ShouldBe(["nosniff"]);
            response.Headers.GetValues("Content-Security-Policy").ShouldBe(
                ["default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"]);
        }

        (await service.HistoryAsync()).Count.ShouldBe(1);
        (await service.StateAsync())!.Value.Kind.ShouldBe(EventKind.Given);
    }

    [Fact]
    public async Task The_page_has_one_button_and_no_script_and_nothing_from_elsewhere()
    {
        await using var service = await SubscribedAsync();

        var page = await service.OpenAsync(await service.LinkAsync()).TextAsync();

        page.Split("<button").Length.ShouldBe(2);
        page.ShouldContain("<form method=\"post\"");
        page.ShouldNotContain("<script");
        page.ShouldNotContain("://");
        page.ShouldNotContain("style=");
        page.ShouldNotContain(UnsubscribeScene.Ada);
    }

    public static TheoryData<string, string> OtherBodies => new()
    {
        { "application/x-www-form-urlencoded", "" },
        { "application/x-www-form-urlencoded", "List-Unsubscribe=" },
        { "application/x-www-form-urlencoded", "List-Unsubscribe=one-click" },
        { "application/x-www-form-urlencoded", "list-unsubscribe=One-Click" },
        { "application/x-www-form-urlencoded", "List-Unsubscribe=One-Click&more=1" },
        { "application/x-www-form-urlencoded", "List-Unsubscribe=One-Click&List-Unsubscribe=One-Click" },
        { "application/x-www-form-urlencoded", "List-Unsubscribe=One-Click&confirm=1" },
        { "application/x-www-form-urlencoded", "confirm=2" },
        { "application/x-www-form-urlencoded", "confirm=1&confirm=1" },
        { "application/json", "{\"List-Unsubscribe\":\"One-Click\"}" },
        { "application/json", UnsubscribeScene.OneClick },
        { "text/plain", UnsubscribeScene.OneClick },
        { "multipart/form-data; boundary=xyz", "--xyz--\r\n" },
        { "multipart/form-data; boundary=xyz", "--xyz\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-" },
        { "multipart/form-data; boundary=xyz", "--xyz\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"; filename=\"a\"\r\n\r\nOne-Click\r\n--xyz--\r\n" },
        { "multipart/form-data", UnsubscribeScene.OneClick },
    };

    [Theory, MemberData(nameof(OtherBodies))]
    public async Task Any_other_body_is_refused_and_changes_nothing(string type, string body)
    {
        await using var service = await SubscribedAsync();

        var response = await service.PostFormAsync(await service.LinkAsync(), body, type);

        await response.ReadProblemAsync(HttpStatusCode.BadRequest, "validation");
        (await service.StateAsync())!.Value.Kind.ShouldBe(EventKind.Given);
    }

    [Fact]
    public async Task A_post_without_a_body_is_refused()
    {
        await using var service = await SubscribedAsync();

        await service.PostBareAsync(await service.LinkAsync(), content: null).ReadProblemAsync(HttpStatusCode.BadRequest, "validation");
    }

    [Theory, InlineData(true), InlineData(false)]
    public async Task A_body_that_is_too_long_is_refused(bool chunked)
    {
        await using var service = await SubscribedAsync();
        var link = await service.LinkAsync();
        using var content = new StringContent(UnsubscribeScene.OneClick + "&x=" + new string('x', 10_000), MediaTypeHeaderValue.Parse("application/x-www-form-urlencoded"));
        if (chunked)
        {
            content.Headers.ContentLength = null;
        }

        await service.PostBareAsync(link, content).ReadProblemAsync(HttpStatusCode.RequestEntityTooLarge, "payload-too-large");
        (await service.StateAsync())!.Value.Kind.ShouldBe(EventKind.Given);
    }

    [Fact]
    public async Task Using_a_link_again_is_answered_200_and_appends_nothing()
    {
        await using var service = await SubscribedAsync();
        var link = await service.LinkAsync();

        for (var time = 0; time < 5; time++)
        {
            (await service.PostFormAsync(link)).StatusCode.ShouldBe(HttpStatusCode.OK);
            (await service.PostFormAsync(link, "confirm=1")).StatusCode.ShouldBe(HttpStatusCode.OK);
            service.Clock.Advance(TimeSpan.FromDays(1));
        }

        var history = await service.HistoryAsync();
        history.Select(happened => happened.Kind).ShouldBe([EventKind.Withdrawn, EventKind.Given]);
        history[0].OccurredAt.ShouldBe(TestService.Start);
    }

    [Theory, InlineData(true), InlineData(false)]
    public async Task Twenty_posts_at_once_withdraw_once(bool subscribed)
    {
        await using var service = await StartAsync();
        if (subscribed)
        {
            await service.ConsentAsync(LastYear);
        }

        var link = await service.LinkAsync();

        var responses = await Task.WhenAll(Enumerable.Range(0, 20).Select(async index =>
        {
            service.Clock.Advance(TimeSpan.FromMicroseconds(1));
            return await service.PostFormAsync(link, index % 2 == 0 ? UnsubscribeScene.OneClick : "confirm=1");
        }));

        responses.ShouldAllBe(response => response.StatusCode == HttpStatusCode.OK);
        (await service.HistoryAsync()).Count(happened => happened.Kind == EventKind.Withdrawn).ShouldBe(1);
        (await service.StateAsync())!.Value.Kind.ShouldBe(EventKind.Withdrawn);
    }

    [Fact]
    public async Task An_old_link_withdraws_a_consent_that_was_given_again_since()
    {
        await using var service = await SubscribedAsync();
        var link = await service.LinkAsync();
        await service.PostFormAsync(link);
        service.Clock.Advance(TimeSpan.FromDays(30));
        await service.ConsentAsync(service.Clock.GetUtcNow());
        service.Clock.Advance(TimeSpan.FromDays(30));

        (await service.PostFormAsync(link)).StatusCode.ShouldBe(HttpStatusCode.OK);

        (await service.StateAsync())!.Value.Kind.ShouldBe(EventKind.Withdrawn);
        (await service.HistoryAsync()).Select(happened => happened.Kind)
            .ShouldBe([EventKind.Withdrawn, EventKind.Given, EventKind.Withdrawn, EventKind.Given]);
    }

    [Fact]
    public async Task A_withdrawal_wins_over_a_consent_from_a_clock_that_runs_fast()
    {
        await using var service = await StartAsync();
        var ahead = TestService.Start.AddMinutes(4);
        await service.ConsentAsync(ahead);

        await service.PostFormAsync(await service.LinkAsync());

        var state = (await service.StateAsync())!.Value;
        state.Kind.ShouldBe(EventKind.Withdrawn);
        state.Since.ShouldBe(ahead.AddMicroseconds(1));
    }

    [Theory]
    [InlineData(EventKind.Refused)]
    [InlineData(EventKind.Revoked)]
    [InlineData(EventKind.Objected)]
    public async Task Somebody_who_said_no_in_another_way_is_not_recorded_again(EventKind refusal)
    {
        await using var service = await StartAsync();
        await service.ConsentAsync(LastYear, kind: refusal);

        (await service.PostFormAsync(await service.LinkAsync())).StatusCode.ShouldBe(HttpStatusCode.OK);

        (await service.HistoryAsync()).ShouldHaveSingleItem().Kind.ShouldBe(refusal);
    }

    [Fact]
    public async Task A_sign_up_that_waits_for_its_confirmation_is_withdrawn_too()
    {
        await using var service = await StartAsync();
        await service.ConsentAsync(LastYear, kind: EventKind.Requested);

        await service.PostFormAsync(await service.LinkAsync());

        (await service.StateAsync())!.Value.Kind.ShouldBe(EventKind.Withdrawn);
    }

    [Fact]
    public async Task A_link_works_for_a_stranger_an_ended_purpose_and_a_purpose_that_is_gone()
    {
        await using var service = await StartAsync();
        var link = await service.LinkAsync("bob@example.org");
        await service.PurposeAsync(with: new() { ["endsAt"] = "2026-01-01T00:00:00Z" });
        (await service.PostFormAsync(link)).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await service.StateAsync("bob@example.org"))!.Value.Kind.ShouldBe(EventKind.Withdrawn);

        link = await service.LinkAsync("cy@example.org");
        await service.SqlAsync("delete from purpose");
        (await service.OpenAsync(link)).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await service.PostFormAsync(link, "confirm=1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await service.StateAsync("cy@example.org"))!.Value.Kind.ShouldBe(EventKind.Withdrawn);
    }

    [Fact]
    public async Task A_link_works_after_everything_about_its_holder_is_gone()
    {
        await using var service = await SubscribedAsync();
        var link = await service.LinkAsync();
        await service.PostFormAsync(link);
        await service.SqlAsync("delete from consent_event; delete from evidence; delete from subscriber; delete from consent_state");

        (await service.PostFormAsync(link)).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await service.StateAsync())!.Value.Kind.ShouldBe(EventKind.Withdrawn);
    }

    [Fact]
    public async Task A_wrong_token_of_any_length_is_not_found()
    {
        await using var service = await StartAsync();

        for (var length = 1; length <= 200; length++)
        {
            await service.PostFormAsync($"/u/{new string('A', length)}").ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        }

        (await service.PostFormAsync("/u/")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await service.PostFormAsync("/u")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        foreach (var strange in new[] { "..%2f..%2fetc", "%F0%9F%92%A9", "a%0d%0ab", new string('A', 4000) })
        {
            (await service.PostFormAsync($"/u/{strange}")).StatusCode.ShouldBe(HttpStatusCode.NotFound, strange);
            (await service.OpenAsync($"/u/{strange}")).StatusCode.ShouldBe(HttpStatusCode.NotFound, strange);
        }
    }

    [Fact]
    public async Task A_token_with_any_character_changed_is_not_found()
    {
        await using var service = await SubscribedAsync();
        var link = await service.LinkAsync();
        const string Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

        for (var at = "/u/".Length; at < link.Length; at++)
        {
            var other = Alphabet[(Alphabet.IndexOf(link[at], StringComparison.Ordinal) + 1) % Alphabet.Length];
            var changed = link[..at] + other + link[(at + 1)..];
            (await service.PostFormAsync(changed)).StatusCode.ShouldBe(HttpStatusCode.NotFound, changed);
        }

        (await service.PostFormAsync(link + "A")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await service.PostFormAsync(link[..^1])).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await service.StateAsync())!.Value.Kind.ShouldBe(EventKind.Given);
    }

    [Fact]
    public async Task A_person_with_a_broken_link_gets_a_page()
    {
        await using var service = await StartAsync();

        var response = await service.OpenAsync("/u/broken");

        response.StatusCode.ShouldBe(HttpStatusCode.NotFound);
        response.Content.Headers.ContentType!.MediaType.ShouldBe("text/html");
        response.Headers.GetValues("Referrer-Policy").ShouldBe(["no-referrer"]);
        (await response.TextAsync()).ShouldContain("This page is not here");
    }

    [Fact]
    public async Task A_link_of_another_installation_is_not_found()
    {
        await using var service = await SubscribedAsync();
        var id = (await service.StateAsync())!.Value.Purpose;
        var foreign = new UnsubscribeToken(id, service.IdOf(UnsubscribeScene.Ada)).Sign(new KeyRing(MasterKey.Generate()));

        (await service.PostFormAsync($"/u/{foreign}")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await service.StateAsync())!.Value.Kind.ShouldBe(EventKind.Given);
    }

    [Fact]
    public async Task A_link_works_after_the_keys_were_rotated()
    {
        var master = MasterKey.Generate();
        string link;
        string connection;
        await using (var before = await TestService.StartAsync(await databases.CreateLedgerAsync(), new KeyRing(master), new(TestService.Start)))
        {
            await before.PurposeAsync();
            await before.ConsentAsync(LastYear);
            link = await before.LinkAsync();
            connection = before.ConnectionString;
        }

        await using var after = await TestService.StartAsync(connection, new KeyRing(master, newest: 2), new(TestService.Start));
        (await after.LinkAsync()).ShouldNotBe(link);
        (await after.PostFormAsync(link)).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await after.StateAsync())!.Value.Kind.ShouldBe(EventKind.Withdrawn);
    }

    [Fact]
    public async Task While_the_database_is_away_the_page_is_shown_and_the_button_says_so()
    {
        using var relay = DatabaseRelay.To(await databases.CreateLedgerAsync());
        await using var service = await TestService.StartAsync(relay.ConnectionString, new KeyRing(MasterKey.Generate()), new(TestService.Start));
        await service.PurposeAsync();
        await service.ConsentAsync(LastYear);
        var link = await service.LinkAsync();
        relay.TakeAway();

        (await service.OpenAsync(link)).StatusCode.ShouldBe(HttpStatusCode.OK);
        var response = await service.PostFormAsync(link);
        await response.ReadProblemAsync(HttpStatusCode.ServiceUnavailable, "ledger-unavailable");
        response.Headers.RetryAfter.ShouldNotBeNull();

        var page = await service.SendBareAsync(
            HttpMethod.Post, link, "text/html", content: new StringContent("confirm=1", MediaTypeHeaderValue.Parse("application/x-www-form-urlencoded")));
        page.StatusCode.ShouldBe(HttpStatusCode.ServiceUnavailable);
        page.Headers.RetryAfter.ShouldNotBeNull();
        page.Headers.GetValues("Referrer-Policy").ShouldBe(["no-referrer"]);
        (await page.TextAsync()).ShouldContain("right now");
    }

    [Fact]
    public async Task A_purpose_s_name_is_text_and_never_markup()
    {
        await using var service = await StartAsync();
        await service.PurposeAsync(with: new() { ["name"] = "<script>alert('x')</script> & \"friends\"" });
        var link = await service.LinkAsync();

        var prompt = await service.OpenAsync(link).TextAsync();
        var done = await service.PostFormAsync(link, "confirm=1").TextAsync();

        foreach (var page in new[] { prompt, done })
        {
            page.ShouldNotContain("<script");
            WebUtility.HtmlDecode(page).ShouldContain("<script>alert('x')</script> & \"friends\"");
        }
    }

    [Fact]
    public async Task Other_methods_are_not_allowed()
    {
        await using var service = await StartAsync();

        foreach (var method in new[] { HttpMethod.Put, HttpMethod.Delete, HttpMethod.Patch, HttpMethod.Options })
        {
            (await service.SendBareAsync(method, await service.LinkAsync())).StatusCode.ShouldBe(HttpStatusCode.MethodNotAllowed);
        }
    }

    private async Task<TestService> StartAsync()
    {
        var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        return service;
    }

    private async Task<TestService> SubscribedAsync()
    {
        var service = await StartAsync();
        await service.ConsentAsync(LastYear);
        return service;
    }
}
