using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using ConsentLedger.Renewals;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.PersonalData;
using ConsentLedger.Tests.Preferences;
using ConsentLedger.Tests.Retention;
using ConsentLedger.Tests.SignUps;
using ConsentLedger.Tests.Unsubscribe;
using Microsoft.Extensions.DependencyInjection;
using MimeKit;

namespace ConsentLedger.Tests.Renewals;

/// <summary>Who is told that their consent runs out, and who is not; once, whatever happens.</summary>
public sealed class ReminderTests(TestDatabase databases)
{
    private const string Ada = RenewalScene.Ada;

    [Fact]
    public async Task Whoever_agreed_is_told_once_what_it_was_and_when_it_runs_out()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink);

        await service.RemindAsync();
        var mail = await sink.MailAsync();
        await service.RemindAsync();
        service.Later(TimeSpan.FromDays(1));
        await service.RemindAsync();

        (await service.RemindersAsync()).ShouldBe(1);
        mail.To.ToString().ShouldBe(Ada);
        mail.Subject.ShouldBe("Would you like to go on hearing from The Museum?");
        foreach (var body in new[] { mail.TextBody!, WebUtility.HtmlDecode(mail.HtmlBody!) })
        {
            body.ShouldContain("on 12 December 2025 you agreed to get messages from The Museum");
            body.ShouldContain("The newsletter");
            body.ShouldContain("Yes, send me the newsletter once a month.");
            body.ShouldContain("That runs out on 12 December 2026. You need do nothing");
            body.ShouldContain("https://consent.example/renew/");
            body.ShouldContain("https://consent.example/u/");
            body.ShouldNotContain(Ada);
        }

        mail.Headers[HeaderId.ListUnsubscribePost].ShouldBe("List-Unsubscribe=One-Click");
        mail.Headers[HeaderId.ListId].ShouldBe("<newsletter.consent.example>");
        (await service.KindsAsync()).ShouldBe("Given");
        (await service.GetAsync("/metrics").TextAsync()).ShouldContain("consentledger_renewals_reminded_total");

        (await service.PostFormAsync(new Uri(mail.Headers[HeaderId.ListUnsubscribe]!.Trim('<', '>')).AbsolutePath)).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await service.ReasonAsync(Ada)).ShouldBe("withdrawn");
    }

    [Fact]
    public async Task It_goes_when_the_time_before_the_end_begins_and_not_after_the_end()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.StartAsync(databases, sink);
        await service.AgreeAsync("late@example.org");
        await service.EventAsync(Ada, occurredAt: TestService.Start.AddDays(40).AddYears(-1), with: new() { ["notice"] = new JsonObject { ["version"] = 1 } });

        service.Clock.SetUtcNow(TestService.Start.AddDays(10).AddMicroseconds(-1));
        await service.RemindAsync();
        (await service.RemindersAsync()).ShouldBe(1);

        service.Clock.SetUtcNow(TestService.Start.AddDays(10));
        await service.RemindAsync();
        (await service.RemindersAsync()).ShouldBe(2);

        await service.SqlAsync("delete from renewal_reminder; delete from mail_outbox");
        service.Clock.SetUtcNow(TestService.Start.AddDays(40));
        await service.RemindAsync();
        (await service.RemindersAsync()).ShouldBe(0);
    }

    [Theory]
    [InlineData("withdrawn", "newsletter")]
    [InlineData("refused", "newsletter")]
    [InlineData("revoked", "newsletter")]
    [InlineData("invalidated", "newsletter")]
    [InlineData("objected", "newsletter")]
    [InlineData("objected", "*")]
    [InlineData("suppressed", "*")]
    [InlineData("restricted", "*")]
    public async Task Nobody_is_reminded_who_may_not_be_written_to(string kind, string purpose)
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink);
        await service.AgreeAsync("ben@example.org");
        await service.EventAsync(Ada, kind, purpose);

        await service.RemindAsync();

        (await service.RemindersAsync()).ShouldBe(1);
        (await sink.MailAsync()).To.ToString().ShouldBe("ben@example.org");
    }

    [Fact]
    public async Task Nobody_is_reminded_who_was_erased_or_is_under_a_legal_hold_or_of_whom_there_is_no_address()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink);
        await service.AgreeAsync("held@example.org");
        await service.AgreeAsync("unaddressed@example.org");
        await service.EraseAsync(Ada);
        await service.PutAsync($"/v1/subscribers/{service.IdOf("held@example.org")}/hold", new JsonObject { ["reason"] = "A claim" }).ReadAsync();
        await service.SqlAsync($"delete from subscriber where subscriber_id = '{service.IdOf("unaddressed@example.org")}'");

        await service.RemindAsync();

        (await service.RemindersAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task A_purpose_that_is_over_by_then_or_asks_for_none_reminds_nobody()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink, more: new() { ["endsAt"] = "2026-12-12T09:30:00Z" });
        await service.RenewedPurposeAsync("over", new() { ["endsAt"] = "2026-11-01T00:00:00Z" });
        await service.PurposeAsync("plain", with: new() { ["consentLifetime"] = "P1Y" });
        await service.PurposeAsync("lasting");
        foreach (var purpose in new[] { "over", "plain", "lasting" })
        {
            await service.AgreeAsync("ben@example.org", purpose, notice: null);
        }

        await service.RemindAsync();
        (await service.RemindersAsync()).ShouldBe(0);

        await service.RenewedPurposeAsync(more: new() { ["endsAt"] = "2026-12-12T09:30:01Z" });
        await service.RemindAsync();
        (await service.RemindersAsync()).ShouldBe(1);
    }

    [Fact]
    public async Task A_consent_that_was_given_for_no_longer_than_that_is_left_to_run_out()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.StartAsync(databases, sink);
        await service.EventAsync(Ada, with: new() { ["notice"] = new JsonObject { ["version"] = 1 }, ["expiresAt"] = "2026-12-20T09:30:00Z" });

        await service.RemindAsync();

        (await service.RemindersAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task A_second_reminder_waits_until_the_first_has_gone()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink);
        await service.RenewedPurposeAsync("events");
        await service.AgreeAsync(purpose: "events", notice: null);
        sink.Recipients = _ => "451 later";

        await service.RemindAsync();
        await service.RemindAsync();
        (await service.RemindersAsync()).ShouldBe(1);

        sink.Recipients = _ => null;
        service.Later(TimeSpan.FromHours(3));
        await service.UntilMailsAsync(1);
        await service.RemindAsync();
        await service.UntilMailsAsync(2);
        (await service.RemindersAsync()).ShouldBe(2);
    }

    [Theory]
    [InlineData("withdrawn", "newsletter")]
    [InlineData("objected", "*")]
    [InlineData("suppressed", "*")]
    [InlineData(null, null)]
    public async Task Whoever_says_no_while_the_mail_waits_does_not_get_it_nor_anybody_once_the_purpose_is_over(string? kind, string? purpose)
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink);
        await service.AgreeAsync("ben@example.org");
        sink.Recipients = _ => "451 later";
        await service.RemindAsync();
        await MailScene.UntilAsync(async () => (long)(await service.SqlAsync("select count(*) from mail_outbox where smtp_code = 451"))! == 2, "both were tried");

        if (kind is null)
        {
            await service.RenewedPurposeAsync(more: new() { ["endsAt"] = "2026-11-22T10:30:00Z" });
        }
        else
        {
            await service.EventAsync(Ada, kind, purpose!);
        }

        sink.Recipients = _ => null;
        service.Later(TimeSpan.FromHours(3));

        await MailScene.UntilAsync(async () => await service.CountMailsAsync("waiting") == 0, "looked into");
        sink.Mails.Select(mail => mail.Recipient).ShouldBe(kind is null ? [] : ["ben@example.org"]);
        (await service.CountMailsAsync("poison")).ShouldBe(0);
        await service.RemindAsync();
        (await service.CountMailsAsync("waiting")).ShouldBe(0);
    }

    [Fact]
    public async Task Instances_at_once_remind_everybody_and_nobody_twice()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.StartAsync(databases, sink);
        await AgreeAsync(service, 1100);
        await using var other = await TestService.StartAsync(service.ConnectionString, service.Keys, service.Clock, MailScene.To(sink));
        var instances = new[] { service, other, service, other }.Select(one => one.Services.GetRequiredService<Reminders>()).ToList();

        while (await service.RemindersAsync() < 1100)
        {
            (await Task.WhenAll(instances.Select(one => one.SendDueAsync(TestContext.Current.CancellationToken)))).ShouldContain(true);
        }

        (await service.RemindersAsync()).ShouldBe(1100);
        (await service.SqlAsync("select count(distinct subscriber_id) from mail_outbox")).ShouldBe(1100L);
    }

    [Theory]
    [InlineData("renewal_reminder", "insert", 1)]
    [InlineData("renewal_reminder", "insert", 3)]
    [InlineData("mail_outbox", "insert", 1)]
    [InlineData("mail_outbox", "insert", 3)]
    [InlineData("renewal_reminder", "commit", 1)]
    [InlineData("renewal_reminder", "commit", 3)]
    public async Task A_crash_leaves_note_and_mail_both_or_neither_and_the_next_run_sends_the_rest(string table, string operation, int occasion)
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.StartAsync(databases, sink);
        await AgreeAsync(service, 5);
        await service.BreakAsync(table, operation, occasion);

        try
        {
            await service.Services.GetRequiredService<Reminders>().SendDueAsync(TestContext.Current.CancellationToken);
        }
        catch (Npgsql.NpgsqlException)
        {
            // It crashed.
        }

        await service.RemindersAsync();
        await service.RemindAsync();

        (await service.RemindersAsync()).ShouldBe(5);
        (await service.SqlAsync("select count(distinct subscriber_id) from mail_outbox")).ShouldBe(5L);
        (await service.SqlAsync("select last_value from fault_count")).ShouldBe(6L, "the fault struck, once");
    }

    [Fact]
    public async Task One_that_can_not_be_read_does_not_stand_in_the_way_of_the_others()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink);
        await service.AgreeAsync("ben@example.org");
        await service.SqlAsync($"update subscriber set address = '\\x00' where subscriber_id = '{service.IdOf(Ada)}'");

        await service.RemindAsync();

        (await sink.MailAsync()).To.ToString().ShouldBe("ben@example.org");
    }

    [Fact]
    public async Task A_withdrawal_that_was_undone_and_the_same_list_again_bring_no_second_reminder()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink);
        await service.RemindAsync();
        await service.UntilMailsAsync(1);
        var left = await service.PostFormAsync(await service.LinkAsync(), "confirm=1").ReadPageAsync();
        var undo = System.Text.RegularExpressions.Regex.Match(left, "/undo/[^\"?]+").Value;
        (await service.PostFormAsync(undo, "confirm=1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await service.ReasonAsync(Ada)).ShouldBe("renewed");

        await service.RemindAsync();

        (await service.RemindersAsync()).ShouldBe(1);
    }

    [Fact]
    public async Task A_child_s_guardian_is_asked_and_nobody_where_the_guardian_says_no_or_has_no_address()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.StartAsync(databases, sink);
        await service.AgreeAsync("child@example.org", with: Guardian("parent@example.org"));
        await service.AgreeAsync("another@example.org", with: Guardian("silent@example.org"));
        await service.AgreeAsync("third@example.org", with: new() { ["guardian"] = new JsonObject { ["name"] = "A parent" } });
        await service.EventAsync("silent@example.org", "suppressed", "*");

        await service.RemindAsync();
        var mail = await sink.MailAsync();

        (await service.RemindersAsync()).ShouldBe(1);
        mail.To.ToString().ShouldBe("parent@example.org");
        mail.TextBody!.ShouldContain("as parent or guardian");
        (await service.PressAsync(mail.RenewalPath(), ("confirm", "1"), ("notice", "1"))).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await service.ReasonAsync("child@example.org")).ShouldBe("renewed");
        (await service.HistoryAsync("child@example.org"))[0].Evidence!.Guardian!["address"].ShouldBe("parent@example.org");

        static JsonObject Guardian(string address) => new() { ["guardian"] = new JsonObject { ["address"] = address } };
    }

    [Fact]
    public async Task The_language_is_that_of_the_wording_that_was_agreed_to()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink, "cy-GB");

        await service.RemindAsync();
        var mail = await sink.MailAsync();

        mail.Subject.ShouldBe("Hoffech chi ddal i glywed gan The Museum?");
        mail.TextBody!.ShouldContain("ar 12 Rhagfyr 2025 cytunoch");
        mail.RenewalPath().ShouldEndWith("?lang=cy");
        (await service.OpenAsync(mail.RenewalPath(), "en").ReadPageAsync()).ShouldContain("Dal i gael “The newsletter”?");
        (await service.PressAsync(mail.RenewalPath(), ("confirm", "1"), ("notice", "1")).ReadPageAsync()).ShouldContain("Diolch, mae wedi’i adnewyddu");
    }

    [Fact]
    public async Task They_go_at_the_start_and_by_the_schedule()
    {
        using var sink = SmtpSink.Start();
        await using var before = await RenewalScene.AgreedAsync(databases, sink);
        var scheduled = MailScene.To(sink, ("Renewals:Schedule", "43 9 * * *"));

        await using var service = await TestService.StartAsync(before.ConnectionString, before.Keys, before.Clock, scheduled);
        await MailScene.UntilAsync(async () => await service.RemindersAsync() == 1, "reminded at the start");
        await service.AgreeAsync("ben@example.org");
        service.Clock.Advance(TimeSpan.FromMinutes(12));
        (await service.RemindersAsync()).ShouldBe(1);

        await MailScene.UntilAsync(
            async () =>
            {
                service.Clock.Advance(TimeSpan.FromMinutes(1));
                return await service.RemindersAsync() == 2;
            },
            "reminded by the schedule");
        service.Clock.GetUtcNow().ShouldBeGreaterThanOrEqualTo(TestService.Start.AddMinutes(13));
    }

    [Theory]
    [InlineData("daily")]
    [InlineData("0 0 31 2 *")]
    public async Task A_schedule_that_is_none_stops_the_start(string schedule)
    {
        var wrong = await Should.ThrowAsync<Exception>(() => TestService.StartAsync(databases, builder => builder.Configuration["ConsentLedger:Renewals:Schedule"] = schedule));

        wrong.Message.ShouldContain("ConsentLedger:Renewals:Schedule");
    }

    [Fact]
    public async Task What_was_sent_is_exported_and_goes_with_the_consent_or_the_person()
    {
        using var sink = SmtpSink.Start();
        await using var service = await RenewalScene.AgreedAsync(databases, sink, more: new() { ["retention"] = new JsonObject { ["lapsed"] = "P1D" } });
        await service.AgreeAsync("ben@example.org");
        await service.AgreeAsync("cy@example.org");
        await service.RemindAsync();
        await service.UntilMailsAsync(3);

        var reminder = (await service.ExportAsync(Ada))["reminders"]!.AsArray().ShouldHaveSingleItem()!;
        reminder.Text("purpose").ShouldBe("newsletter");
        reminder.Text("expiresAt").ShouldBe("2026-12-12T09:30:00Z");
        reminder.Text("remindedAt").ShouldBe("2026-11-22T09:30:00Z");
        (await service.ReadZipAsync(Ada, "your-data.html")).ShouldContain("Reminders that something you agreed to runs out");

        await service.EraseAsync(Ada);
        (await service.SqlAsync("select count(*) from renewal_reminder")).ShouldBe(2L);
        await service.EventAsync("ben@example.org", "withdrawn");
        service.Clock.Advance(TimeSpan.FromDays(2));
        await service.PurgeAsync();
        (await service.SqlAsync($"select subscriber_id::text from renewal_reminder")).ShouldBe(service.IdOf("cy@example.org").ToString());
    }

    /// <summary>So many people agreed, nearly a year ago.</summary>
    private static async Task AgreeAsync(TestService service, int count)
    {
        var list = new StringBuilder("address,purpose,kind,occurredAt,noticeVersion\n");
        foreach (var number in Enumerable.Range(0, count))
        {
            list.Append(System.Globalization.CultureInfo.InvariantCulture, $"person{number}@example.org,newsletter,given,{RenewalScene.RunsOut.AddYears(-1).AddMinutes(number / 3).UtcDateTime:O},1\n");
        }

        using var content = new StringContent(list.ToString());
        content.Headers.ContentType = new("text/csv");
        var report = await (await service.Client.PostAsync("/v1/events/import", content)).ReadAsync();
        report["appended"]!.GetValue<int>().ShouldBe(count, report.ToJsonString());
    }
}
