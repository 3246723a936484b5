using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;
using static ConsentLedger.Tests.Feedback.FeedbackScene;

namespace ConsentLedger.Tests.Feedback;

public sealed class FeedbackTests(TestDatabase databases)
{
    [Theory]
    [InlineData("hard-bounce")]
    [InlineData("complaint")]
    public async Task A_hard_bounce_and_a_complaint_suppress_the_address_for_every_purpose(string kind)
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.PurposeAsync("receipts", "service");
        await service.EventAsync("ada@museum.example");

        (await service.ReportAsync(Report("ADA@Museum.example", kind, "r-1", TestService.Start.AddMinutes(1))).SendAndCountAsync()).ShouldBe("suppressed 1");

        (await service.ReasonAsync("ada@museum.example")).ShouldBe("suppressed");
        (await service.ReasonAsync("ada@museum.example", "receipts")).ShouldBe("suppressed");
        var found = await service.PostAsync("/v1/subscribers/lookup", new JsonObject { ["address"] = "ada@museum.example" }).ReadAsync();
        found["suppressed"]!.GetValue<bool>().ShouldBeTrue();

        // A press on the spam button is not taken for an objection, which would void the consent for good.
        found["objected"]!.GetValue<bool>().ShouldBeFalse();
        var history = await service.PostAsync("/v1/subscribers/history", new JsonObject { ["address"] = "ada@museum.example" }).ReadAsync();
        var @event = history["items"]![0]!;
        @event["source"]!.Text("kind").ShouldBe("feedback");
        @event.Text("purpose").ShouldBe("*");
        @event["evidence"]!.Text("feedback").ShouldBe(kind);
        @event["evidence"]!.Text("provider").ShouldBe("generic");
    }

    [Fact]
    public async Task A_report_is_recorded_once_however_often_it_comes()
    {
        await using var service = await TestService.StartAsync(databases);
        var withId = Report("ada@museum.example", id: "r-1");
        var withTime = Report("bob@museum.example", at: TestService.Start.AddDays(-1));

        (await service.ReportAsync((JsonObject)withId.DeepClone(), (JsonObject)withTime.DeepClone(), (JsonObject)withId.DeepClone()).SendAndCountAsync())
            .ShouldBe("suppressed 2 unchanged 1");
        service.Clock.Advance(TimeSpan.FromHours(7));
        var answers = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ =>
            service.ReportAsync((JsonObject)withId.DeepClone(), (JsonObject)withTime.DeepClone()).SendAndCountAsync()));

        answers.ShouldAllBe(counts => counts == "unchanged 2");
        (await service.SuppressedAsync()).ShouldBe(2);
    }

    [Fact]
    public async Task A_report_with_neither_id_nor_time_is_known_again_by_its_idempotency_key()
    {
        await using var service = await TestService.StartAsync(databases);
        var body = new JsonObject { ["events"] = new JsonArray(Report("ada@museum.example")) };

        for (var n = 0; n < 3; n++)
        {
            (await service.PostAsync("/v1/feedback/generic", body, null, ("Idempotency-Key", "\"report-17\"")).SendAndCountAsync()).ShouldBe("suppressed 1");
        }

        (await service.SuppressedAsync()).ShouldBe(1);
    }

    [Fact]
    public async Task What_was_released_stays_so_when_the_old_report_comes_again_and_not_when_a_new_one_does()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync("ada@museum.example");
        var report = Report("ada@museum.example", id: "r-1", at: TestService.Start.AddMinutes(1));
        service.Clock.Advance(TimeSpan.FromHours(1));
        await service.ReportAsync((JsonObject)report.DeepClone());
        service.Clock.Advance(TimeSpan.FromHours(1));
        await service.EventAsync("ada@museum.example", "released", "*");

        await service.ReportAsync((JsonObject)report.DeepClone());
        (await service.ReasonAsync("ada@museum.example")).ShouldBe("given");

        service.Clock.Advance(TimeSpan.FromHours(1));
        await service.ReportAsync(Report("ada@museum.example", id: "r-2"));
        (await service.ReasonAsync("ada@museum.example")).ShouldBe("suppressed");
    }

    [Fact]
    public async Task One_report_that_can_not_be_spoils_none_of_the_others()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync("cy@museum.example");

        var answer = await service.ReportAsync(
            Report("not an address", id: "1"), Report("bob@museum.example", id: "2", at: TestService.Start.AddHours(1)), Report("cy@museum.example", id: "3")).ReadAsync();

        answer.Counts().ShouldBe("suppressed 1 rejected 2");
        answer["problems"]!.AsArray().Select(problem => $"{problem!["index"]} {problem.Text("code")}").ShouldBe(["0 invalid-address", "1 occurred-in-future"]);
        answer.ToJsonString().ShouldNotContain("museum.example");
        (await service.ReasonAsync("cy@museum.example")).ShouldBe("suppressed");
    }

    [Theory]
    [InlineData("""{}""", "events")]
    [InlineData("""{"events":[]}""", "events")]
    [InlineData("""{"events":[null]}""", "events[0]")]
    [InlineData("""{"events":[{"kind":"hard-bounce"}]}""", "events[0].address")]
    [InlineData("""{"events":[{"address":"ada@museum.example"}]}""", "events[0].kind")]
    [InlineData("""{"events":[{"address":"ada@museum.example","kind":"explosion"}]}""", "events[0].kind")]
    [InlineData("""{"events":[{"address":"ada@museum.example","kind":"hard-bounce","colour":"red"}]}""", "events[0].colour")]
    public async Task A_request_of_the_wrong_form_is_refused_whole(string body, string path)
    {
        await using var service = await TestService.StartAsync(databases);

        (await service.SendRawAsync("/v1/feedback/generic", body).ReadErrorAsync(path)).ShouldNotBeEmpty();
        (await service.SuppressedAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task The_key_may_come_as_the_password_of_a_URL_and_only_here()
    {
        await using var service = await TestService.StartAsync(databases);
        var key = await service.CreateKeyAsync([Scope.FeedbackWrite]);
        var basic = new AuthenticationHeaderValue("Basic", Convert.ToBase64String(Encoding.UTF8.GetBytes($"anybody:{key}")));

        (await service.SendRawAsync("/v1/feedback/postmark", Payload("postmark-bounce.json").ToJsonString(), authorization: basic).SendAndCountAsync()).ShouldBe("suppressed 1");

        var refused = await service.SendRawAsync("/v1/feedback/postmark", "{}", authorization: new AuthenticationHeaderValue("Basic", "bm9ib2R5OndyaXRlcw=="));
        await refused.ReadProblemAsync(HttpStatusCode.Unauthorized, "unauthenticated");

        // SNS and others send the password only once they are asked for it.
        refused.Headers.WwwAuthenticate.Select(challenge => challenge.Scheme).ShouldBe(["Bearer", "Basic"]);
        await service.SendRawAsync("/v1/keys", "{}", authorization: basic).ReadProblemAsync(HttpStatusCode.Unauthorized, "unauthenticated");
    }

    [Theory]
    [InlineData("generic")]
    [InlineData("ses")]
    [InlineData("sendgrid")]
    [InlineData("postmark")]
    [InlineData("mailgun")]
    public async Task Feedback_needs_its_scope_for_all_purposes_and_a_body_of_ordinary_size(string provider)
    {
        await using var service = await TestService.StartAsync(databases);
        var path = $"/v1/feedback/{provider}";

        await service.SendRawAsync(path, "{}", authorization: new AuthenticationHeaderValue("Bearer", "nothing")).ReadProblemAsync(HttpStatusCode.Unauthorized, "unauthenticated");
        await service.PostAsync(path, new JsonObject(), await service.CreateKeyAsync([Scope.EventsWrite])).ReadProblemAsync(HttpStatusCode.Forbidden, "insufficient-scope");
        await service.SendRawAsync(path, new string(' ', 1024 * 1024) + "{}").ReadProblemAsync(HttpStatusCode.RequestEntityTooLarge, "payload-too-large");
        await service.SendRawAsync(path, "{}", "text/html").ReadProblemAsync(HttpStatusCode.UnsupportedMediaType, "unsupported-media-type");
        foreach (var nonsense in new[] { "", "no JSON", "null", "17", """{"Type":17}""", """[17]""".Replace("[17]", "\"\\ud800\"", StringComparison.Ordinal) })
        {
            await service.SendRawAsync(path, nonsense).ReadProblemAsync(HttpStatusCode.BadRequest, "validation");
        }
    }

    [Fact]
    public async Task A_key_that_is_bound_to_purposes_suppresses_nobody()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        var key = await service.CreateKeyAsync([Scope.FeedbackWrite], "newsletter");

        await service.PostAsync("/v1/feedback/generic", new JsonObject { ["events"] = new JsonArray(Report("ada@museum.example")) }, key)
            .ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        await service.PostAsync("/v1/feedback/postmark", Payload("postmark-bounce.json"), key).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
    }

    [Fact]
    public async Task While_the_ledger_is_away_the_provider_is_told_to_come_again_and_then_it_counts_once()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync("john@example.com");
        var report = Payload("postmark-bounce.json");
        await service.CutDatabaseAsync(databases);

        var refused = await service.PostAsync("/v1/feedback/postmark", report);
        await refused.ReadProblemAsync(HttpStatusCode.ServiceUnavailable, "ledger-unavailable");
        refused.Headers.RetryAfter.ShouldNotBeNull();

        await service.JoinDatabaseAsync(databases);
        HttpResponseMessage answer;
        while ((answer = await service.PostAsync("/v1/feedback/postmark", report)).StatusCode == HttpStatusCode.ServiceUnavailable)
        {
            await Task.Delay(50, TestContext.Current.CancellationToken);
        }

        (await answer.ReadAsync()).Counts().ShouldBe("suppressed 1");
        (await service.PostAsync("/v1/feedback/postmark", report).SendAndCountAsync()).ShouldBe("unchanged 1");
        (await service.ReasonAsync("john@example.com")).ShouldBe("suppressed");
    }

    [Fact]
    public async Task Sessions_that_die_in_the_middle_lose_halve_and_double_nothing()
    {
        await using var service = await TestService.StartAsync(databases);
        var answered = 0;
        var sending = Enumerable.Range(0, 8).Select(async sender =>
        {
            for (var n = 0; n < 25; n++)
            {
                var address = $"s{sender}-{n}@museum.example";
                JsonObject[] reports = [.. Enumerable.Range(1, 3).Select(bounce => Report(address, "soft-bounce", $"{bounce}", TestService.Start.AddHours(-bounce)))];
                while ((await service.ReportAsync([.. reports.Select(report => (JsonObject)report.DeepClone())])).StatusCode != HttpStatusCode.OK)
                {
                    await Task.Delay(20, TestContext.Current.CancellationToken);
                }

                Interlocked.Increment(ref answered);
            }
        }).ToList();
        var all = Task.WhenAll(sending);
        for (var next = 5; !all.IsCompleted; next += 10)
        {
            // However slow the machine is, it gets on between two deaths.
            while (!all.IsCompleted && Volatile.Read(ref answered) < next)
            {
                await Task.WhenAny(all, Task.Delay(5, TestContext.Current.CancellationToken));
            }

            await service.SqlAsync("select count(pg_terminate_backend(pid)) from pg_stat_activity where datname = current_database() and application_name = 'consentledger' and pid <> pg_backend_pid()");
        }

        await all;
        (await service.SuppressedAsync()).ShouldBe(200);
        (await service.SqlAsync("select count(*) from soft_bounce")).ShouldBe(600L);
        (await service.SqlAsync("select count(*) from consent_state where purpose_id = -1 and kind = 'suppressed'")).ShouldBe(200L);
    }

    [Theory]
    [InlineData("SoftBounceLimit", "0")]
    [InlineData("SoftBounceDays", "forever")]
    [InlineData("SendGrid:PublicKey", "bm90IGEga2V5")]
    public async Task A_wrong_setting_stops_the_start_with_its_name(string setting, string value) =>
        (await Should.ThrowAsync<ConsentLedger.Database.StartupException>(() =>
            TestService.StartAsync(databases, builder => builder.Configuration[$"ConsentLedger:Feedback:{setting}"] = value))).Message.ShouldContain(setting);
}
