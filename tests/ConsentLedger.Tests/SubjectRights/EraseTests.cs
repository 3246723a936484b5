using System.Diagnostics;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using ConsentLedger.Ledger;
using ConsentLedger.PersonalData;
using ConsentLedger.Security;
using ConsentLedger.Tests.Feedback;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.PersonalData;
using ConsentLedger.Tests.Preferences;
using ConsentLedger.Tests.Retention;
using ConsentLedger.Tests.SignUps;
using ConsentLedger.Tests.Unsubscribe;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace ConsentLedger.Tests.SubjectRights;

public sealed class EraseTests(TestDatabase databases)
{
    private const string Ada = UnsubscribeScene.Ada;

    [Fact]
    public async Task Everything_goes_and_only_the_keyed_id_says_no()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, with: Purges.WithEvidence());
        await service.EventAsync(Ada, "renewed");
        var id = service.IdOf(Ada);

        var answer = await service.EraseAsync(Ada);

        answer.ToJsonString().ShouldBe($$"""{"subscriberId":"{{id}}","eventsErased":2,"suppressed":true,"childrensConsentsEnded":0,"kept":[]}""");
        (await service.CountAsync("consent_event")).ShouldBe(0);
        (await service.CountAsync("evidence")).ShouldBe(0);
        (await service.CountAsync("subscriber")).ShouldBe(0);
        (await service.CountAsync("purge_record", "rule = 'erasure'")).ShouldBe(4);
        (await service.ReasonAsync(Ada)).ShouldBe("revoked");
        (await service.CountAsync("audit_entry", $"action = 'subscriber-erased' and about_subscriber = '{id}'")).ShouldBe(1);
        var export = await service.ExportAsync(Ada);
        export["addresses"]!.AsArray().ShouldBeEmpty();
        export["events"]!.AsArray().ShouldBeEmpty();
        export["erasures"]![0]!.Text("reason").ShouldBe("Asked by letter");
        await service.RebuildChangesNothingAsync();
    }

    [Fact]
    public async Task No_list_and_no_stranger_brings_the_person_back_unseen_and_a_fresh_confirmed_consent_does()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink, new() { ["doubleOptIn"] = false });
        await service.EventAsync(Ada, with: new() { ["notice"] = new JsonObject { ["version"] = 1 } });
        await service.EraseAsync(Ada);
        service.Clock.Advance(TimeSpan.FromHours(1));

        (await service.ImportAsync(Ada, "given", TestService.Start.AddYears(-1), version: "1"))["heldBack"]!.GetValue<int>().ShouldBe(1);
        (await service.ImportAsync(Ada, "given", service.Clock.GetUtcNow(), version: "1"))["heldBack"]!.GetValue<int>().ShouldBe(1);
        (await service.ImportAsync(Ada, "withdrawn", TestService.Start.AddYears(-1)))["heldBack"]!.GetValue<int>().ShouldBe(1);
        (await service.CountAsync("subscriber")).ShouldBe(0);
        (await service.CheckAsync(Ada))["allowed"]!.GetValue<bool>().ShouldBeFalse();

        // Without an erasure this form asks for no confirmation.
        await service.SignUpAsync();
        await service.SettledAsync();
        (await service.CheckAsync(Ada))["allowed"]!.GetValue<bool>().ShouldBeFalse();
        var mail = await sink.MailAsync();
        await service.PostFormAsync(mail.ConfirmPath(), "confirm=1");
        (await service.ReasonAsync(Ada)).ShouldBe("given");
    }

    [Fact]
    public async Task Who_had_objected_is_not_even_asked_and_no_old_list_brings_them_back()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        await service.EventAsync(Ada, "objected", "*");
        await service.EraseAsync(Ada);
        service.Clock.Advance(TimeSpan.FromHours(1));

        (await service.ImportAsync(Ada, "given", TestService.Start.AddYears(-2), version: "1"))["heldBack"]!.GetValue<int>().ShouldBe(1);
        (await service.CountAsync("subscriber")).ShouldBe(0);
        await service.SignUpAsync();
        await service.SettledAsync();

        sink.Mails.ShouldBeEmpty();
        (await service.ReasonAsync(Ada)).ShouldBe("objected");
    }

    [Fact]
    public async Task Who_objects_after_it_has_objected_and_is_not_asked_either()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        await service.EventAsync(Ada, with: new() { ["notice"] = new JsonObject { ["version"] = 1 } });
        await service.EraseAsync(Ada);
        service.Clock.Advance(TimeSpan.FromHours(1));

        await service.PressAsync(await service.PreferencesAsync(Ada), ("all", "off"));

        (await service.ReasonAsync(Ada)).ShouldBe("objected");
        await service.SignUpAsync();
        await service.SettledAsync();
        sink.Mails.ShouldBeEmpty();
    }

    [Fact]
    public async Task An_unknown_address_is_suppressed_all_the_same()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();

        var answer = await service.EraseAsync(Ada);

        answer["eventsErased"]!.GetValue<int>().ShouldBe(0);
        answer["suppressed"]!.GetValue<bool>().ShouldBeTrue();
        service.Clock.Advance(TimeSpan.FromHours(1));
        (await service.ImportAsync(Ada, "given", service.Clock.GetUtcNow()))["heldBack"]!.GetValue<int>().ShouldBe(1);
    }

    [Fact]
    public async Task Links_in_old_mails_still_answer()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada);
        var link = await service.LinkAsync();
        await service.EraseAsync(Ada);

        (await service.OpenAsync(link)).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await service.PostFormAsync(link)).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await service.CountAsync("evidence")).ShouldBe(0);
    }

    [Fact]
    public async Task A_legal_hold_keeps_the_records_is_named_and_when_it_is_lifted_they_go()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        var id = (await service.EventAsync(Ada)).Text("subscriberId");
        await service.PutAsync($"/v1/subscribers/{id}/hold", new JsonObject { ["reason"] = "A claim is pending" }).ReadAsync();

        var held = await service.EraseAsync(Ada);

        held["eventsErased"]!.GetValue<int>().ShouldBe(0);
        held["suppressed"]!.GetValue<bool>().ShouldBeTrue();
        held["kept"]![0]!.Text("because").ShouldBe("legal-hold");
        held["kept"]![0]!.Text("reason").ShouldBe("A claim is pending");
        held["kept"]![0]!.Text("until").ShouldContain("17(3)");
        (await service.ReasonAsync(Ada)).ShouldBe("revoked");
        (await service.CountAsync("subscriber")).ShouldBe(1);

        await service.SendAsync(HttpMethod.Delete, $"/v1/subscribers/{id}/hold");
        await MailScene.UntilAsync(async () => await service.CountAsync("erasure", "completed_at is not null") == 1, "erased");
        (await service.CountAsync("subscriber")).ShouldBe(0);
        (await service.CountAsync("consent_event")).ShouldBe(0);
    }

    [Fact]
    public async Task What_comes_in_under_a_hold_brings_nobody_back_and_goes_with_the_rest()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        var id = (await service.EventAsync(Ada, with: Purges.WithEvidence())).Text("subscriberId");
        await service.PutAsync($"/v1/subscribers/{id}/hold", new JsonObject { ["reason"] = "A claim is pending" }).ReadAsync();
        await service.EraseAsync(Ada);
        service.Clock.Advance(TimeSpan.FromDays(2));

        (await service.ReportAsync(FeedbackScene.Report(Ada, "complaint", "c1", service.Clock.GetUtcNow()))).IsSuccessStatusCode.ShouldBeTrue();
        (await service.ImportAsync(Ada, "given", TestService.Start.AddYears(-2)))["heldBack"]!.GetValue<int>().ShouldBe(1);
        service.Clock.Advance(TimeSpan.FromDays(20));
        await service.SendAsync(HttpMethod.Delete, $"/v1/subscribers/{id}/hold");

        await MailScene.UntilAsync(async () => await service.CountAsync("erasure", "completed_at is not null") == 1, "erased");
        foreach (var table in new[] { "subscriber", "consent_event", "evidence" })
        {
            (await service.CountAsync(table)).ShouldBe(0, table);
        }

        (await service.ReasonAsync(Ada)).ShouldBe("suppressed");
    }

    [Fact]
    public async Task Who_came_back_under_a_hold_stays()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        var id = (await service.EventAsync(Ada)).Text("subscriberId");
        await service.PutAsync($"/v1/subscribers/{id}/hold", new JsonObject { ["reason"] = "A claim is pending" }).ReadAsync();
        await service.EraseAsync(Ada);
        service.Clock.Advance(TimeSpan.FromDays(2));
        await service.EventAsync(Ada, occurredAt: service.Clock.GetUtcNow());

        await service.SendAsync(HttpMethod.Delete, $"/v1/subscribers/{id}/hold");

        await MailScene.UntilAsync(async () => await service.CountAsync("erasure", "completed_at is not null") == 1, "erased");
        (await service.CountAsync("consent_event")).ShouldBe(1);
        (await service.ReasonAsync(Ada)).ShouldBe("given");
    }

    [Fact]
    public async Task A_bounce_that_repeats_the_address_does_not_bring_it_back()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada);
        await service.EraseAsync(Ada);
        service.Clock.Advance(TimeSpan.FromHours(1));
        var report = FeedbackScene.Report(Ada, "hard-bounce", "b1", service.Clock.GetUtcNow());
        report["detail"] = $"550 5.1.1 <{Ada.ToUpperInvariant()}>: Recipient address rejected: User unknown";

        (await service.ReportAsync(report)).IsSuccessStatusCode.ShouldBeTrue();

        var events = (await service.ExportAsync(Ada))["events"]!.ToJsonString();
        events.ShouldContain("Recipient address rejected");
        events.ShouldNotContain(Ada, Case.Insensitive);
    }

    [Fact]
    public async Task Erased_events_that_are_imported_by_name_before_the_log_took_them_take_their_place()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.ImportAsync(Ada, "given", TestService.Start.AddDays(-1));
        await service.EraseAsync(Ada);

        (await service.ImportAsync(Ada, "given", TestService.Start.AddDays(-1), "?allowResubscribe=true"))["appended"]!.GetValue<int>().ShouldBe(1);

        (await service.CountAsync(TestService.Logged, "commitment = (select commitment from consent_event where consent_event.event_id = logged.event_id)")).ShouldBe(1);
    }

    [Fact]
    public async Task Two_at_once_count_each_event_once()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada);
        await service.EventAsync(Ada, "renewed");

        var answers = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => service.EraseAsync(Ada)));

        answers.Sum(answer => answer["eventsErased"]!.GetValue<int>()).ShouldBe(2);
        (await service.CountAsync("consent_event")).ShouldBe(0);
        await service.RebuildChangesNothingAsync();
    }

    [Fact]
    public async Task One_that_somebody_else_finished_is_answered_with_what_went()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada);
        var erasure = service.Services.GetRequiredService<Erasure>();
        var (subscriber, asked) = (service.IdOf(Ada), Guid.NewGuid());
        await erasure.BeginAsync(new JournalEntry(null, subscriber, JournalEntry.Everything, asked, TestService.Start), null, Actor.Service, TestContext.Current.CancellationToken);
        await erasure.FinishOpenAsync(TestContext.Current.CancellationToken);

        var outcomes = new[]
        {
            await erasure.FinishAsync(subscriber, asked, TestContext.Current.CancellationToken),
            await erasure.FinishAsync(subscriber, Guid.NewGuid(), TestContext.Current.CancellationToken),
        };

        outcomes.Select(outcome => outcome.EventsErased).ShouldBe([1, 0]);
    }

    [Fact]
    public async Task An_import_of_the_same_address_under_way_comes_before_the_erasure_or_is_held_back()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await using var gate = await Gate.CloseAsync(service, "subscriber", "insert");
        var import = service.ImportAsync(Ada, "given", TestService.Start);
        await gate.ReachedAsync();

        var erase = service.EraseAsync(Ada);
        await Task.Delay(200, TestContext.Current.CancellationToken);
        erase.IsCompleted.ShouldBeFalse("It must wait for the batch that it can't see.");
        await gate.OpenAsync();

        (await import)["appended"]!.GetValue<int>().ShouldBe(1);
        (await erase)["eventsErased"]!.GetValue<int>().ShouldBe(1);
        (await service.CountAsync("subscriber")).ShouldBe(0);
        (await service.CountAsync("consent_event")).ShouldBe(0);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_import_that_comes_while_an_erasure_is_done_is_held_back_also_of_who_was_not_known(bool known)
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        if (known)
        {
            await service.EventAsync(Ada, occurredAt: TestService.Start.AddYears(-1));
        }

        await using var gate = await Gate.CloseAsync(service, "erasure", "update");
        var erase = service.EraseAsync(Ada);
        await gate.ReachedAsync();

        var import = service.ImportAsync(Ada, "given", TestService.Start.AddYears(-2));
        await Task.Delay(200, TestContext.Current.CancellationToken);
        await gate.OpenAsync();
        await erase;

        (await import)["heldBack"]!.GetValue<int>().ShouldBe(1);
        (await service.CountAsync("subscriber")).ShouldBe(0);
        (await service.CountAsync("consent_event")).ShouldBe(0);
    }

    [Fact]
    public async Task A_confirmation_at_the_same_time_comes_before_it_or_after_it_and_both_are_answered()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        await service.SignUpAsync();
        var path = (await sink.MailAsync()).ConfirmPath();
        await using var gate = await Gate.CloseAsync(service, "suppression", "insert");
        var erase = service.EraseAsync(Ada);
        await gate.ReachedAsync();

        var confirm = service.PostFormAsync(path, "confirm=1");
        await Task.Delay(300, TestContext.Current.CancellationToken);
        await gate.OpenAsync();

        await erase;
        (await confirm).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await service.CountAsync("subscriber")).ShouldBe(0);
    }

    [Theory]
    [InlineData("erasure", "insert")]
    [InlineData("consent_event", "insert")]
    [InlineData("audit_entry", "insert")]
    [InlineData("audit_entry", "commit")]
    [InlineData("suppression", "insert")]
    [InlineData("consent_event", "delete")]
    [InlineData("evidence", "delete")]
    [InlineData("purge_record", "insert")]
    [InlineData("consent_state", "delete")]
    [InlineData("consent_state", "insert")]
    [InlineData("subscriber", "delete")]
    [InlineData("mail_outbox", "delete")]
    [InlineData("sign_up", "delete")]
    [InlineData("erasure", "update")]
    [InlineData("purge_record", "commit")]
    public async Task A_crash_at_any_step_leaves_an_erasure_that_goes_on(string table, string operation)
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, with: Purges.WithEvidence());
        await service.BreakAsync(table, operation);
        try
        {
            (await service.PostAsync("/v1/subscribers/erase", new JsonObject { ["address"] = Ada, ["reason"] = "Asked" })).IsSuccessStatusCode.ShouldBeFalse();
        }
        catch (HttpRequestException)
        {
            // Nobody was told that it is done.
        }

        await MailScene.UntilAsync(async () => await service.CountAsync("erasure", "completed_at is not null") == 1, "erased");

        (await service.CountAsync("consent_event")).ShouldBe(0);
        (await service.CountAsync("evidence")).ShouldBe(0);
        (await service.CountAsync("subscriber")).ShouldBe(0);
        (await service.CountAsync("purge_record")).ShouldBe(3);
        (await service.ReasonAsync(Ada)).ShouldBe("revoked");
        await service.RebuildChangesNothingAsync();
    }

    [Fact]
    public async Task An_erasure_that_is_only_in_the_journal_is_done_at_the_next_start()
    {
        var data = Directory.CreateTempSubdirectory("consentledger-tests-");
        try
        {
            await using var service = await TestService.StartAsync(databases);
            await service.PurposeAsync();
            await service.EventAsync(Ada);
            using (var journal = new ErasureJournal(Path.Combine(data.FullName, "journal")))
            {
                await journal.WriteAsync(
                    [new JournalEntry(null, service.IdOf(Ada), JournalEntry.Everything, Guid.NewGuid(), TestService.Start)], applied: false, TestContext.Current.CancellationToken);
            }

            // A line that was torn by the crash is no line.
            var file = Directory.GetFiles(data.FullName, "*.journal", SearchOption.AllDirectories).Single();
            await File.AppendAllTextAsync(file, "withdrawn 0123", TestContext.Current.CancellationToken);

            await using var next = await TestService.StartAsync(service.ConnectionString, service.Keys, service.Clock, dataDirectory: data.FullName);

            (await next.CountAsync("consent_event")).ShouldBe(0);
            (await next.ReasonAsync(Ada)).ShouldBe("revoked");
        }
        finally
        {
            data.Delete(recursive: true);
        }
    }

    [Fact]
    public async Task Nothing_of_the_address_is_left_in_any_table_or_file()
    {
        await using var service = await TestService.StartAsync(databases, builder => builder.Configuration["ConsentLedger:Mail:From"] = "museum@museum.example");
        await service.PurposeAsync();
        await service.NoticeAsync();
        await service.EventAsync(Ada, with: new() { ["notice"] = new JsonObject { ["version"] = 1 }, ["evidence"] = new JsonObject { ["ip"] = "192.0.2.77" } });
        await service.FormAsync();
        await service.PurposeAsync("events");
        await service.NoticeAsync("events");
        await service.FormAsync("en", "events");
        await service.SignUpAsync();
        await service.SettledAsync();
        await MailScene.UntilAsync(() => Directory.GetFiles(service.DataDirectory, "*.eml", SearchOption.AllDirectories).Length == 1, "a mail file");
        var sealedForms = (string[])(await service.SqlAsync(
            "select array_agg(encode(box, 'hex')) from (select address as box from subscriber union all select sealed from evidence union all select details from sign_up where details is not null) boxes"))!;
        sealedForms.Length.ShouldBeGreaterThanOrEqualTo(3);
        (await DumpAsync(service)).ShouldContain(sealedForms[0]);

        await service.EraseAsync(Ada);

        var dump = await DumpAsync(service);
        dump.ShouldNotContain(Ada, Case.Insensitive);
        dump.ShouldNotContain("192.0.2.77");
        foreach (var box in sealedForms)
        {
            dump.ShouldNotContain(box);
        }

        foreach (var file in Directory.GetFiles(service.DataDirectory, "*", SearchOption.AllDirectories).Where(file => !file.EndsWith(".lock", StringComparison.Ordinal)))
        {
            Encoding.Latin1.GetString(await ReadSharedAsync(file)).ShouldNotContain(Ada, Case.Insensitive, file);
        }

        var id = service.IdOf(Ada).ToString();
        string[] mayKnow = ["audit_entry", "consent_state", "erasure", "journal_queue", "log_entry", "outbox", "purge_record", "suppression"];
        dump.Split("COPY consentledger.").Skip(1).Where(table => table.Contains(id, StringComparison.Ordinal)).Select(table => table.Split(' ')[0])
            .Except(mayKnow).ShouldBeEmpty("Tables that still know the keyed id.");
    }

    [Fact]
    public async Task The_request_is_held_to_its_form()
    {
        await using var service = await TestService.StartAsync(databases);
        var body = new JsonObject { ["address"] = Ada, ["reason"] = "Asked" };

        (await service.PostAsync("/v1/subscribers/erase", new JsonObject { ["address"] = Ada }).ReadErrorAsync("reason")).ShouldBe("This is required.");
        (await service.PostAsync("/v1/subscribers/erase", new JsonObject { ["address"] = Ada, ["reason"] = $"{Ada} asked" }).ReadErrorAsync("reason")).ShouldContain("address out");
        await service.PostAsync("/v1/subscribers/erase", body, await service.CreateKeyAsync(["rights:write"])).ReadProblemAsync(HttpStatusCode.Forbidden, "insufficient-scope");
        await service.PostAsync("/v1/subscribers/erase", body, await service.CreateKeyAsync(["subscribers:erase"], "newsletter")).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        await service.CutDatabaseAsync(databases);
        await service.PostAsync("/v1/subscribers/erase", body).ReadProblemAsync(HttpStatusCode.ServiceUnavailable, "ledger-unavailable");
        await service.JoinDatabaseAsync(databases);
        (await service.CountAsync("erasure")).ShouldBe(0);
    }

    [Fact]
    public async Task Every_refusal_is_in_the_journal_within_seconds()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada);
        await service.PostFormAsync(await service.LinkAsync());
        await service.ImportAsync("ben@example.org", "refused", TestService.Start.AddDays(-1));
        await service.EventAsync("eve@example.org", "objected", "*");
        var journal = service.Services.GetRequiredService<ErasureJournal>();

        await MailScene.UntilAsync(async () => await service.CountAsync("journal_queue") == 0, "journalled");

        journal.ReadFrom(journal.Own.ShouldNotBeNull(), 0).Select(line => line.Entry.Kind).Order()
            .ShouldBe([EventKind.Refused, EventKind.Withdrawn, EventKind.Objected]);
    }

    private static async Task<string> DumpAsync(TestService service)
    {
        var target = new NpgsqlConnectionStringBuilder(service.ConnectionString);
        var start = new ProcessStartInfo("pg_dump", ["--host", target.Host!, "--port", $"{target.Port}", "--username", target.Username!, "--dbname", target.Database!])
        {
            RedirectStandardOutput = true,
        };
        start.Environment["PGPASSWORD"] = target.Password;
        using var process = Process.Start(start)!;
        var dump = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        process.ExitCode.ShouldBe(0);
        return dump;
    }

    private static async Task<byte[]> ReadSharedAsync(string path)
    {
        await using var file = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite);
        using var content = new MemoryStream();
        await file.CopyToAsync(content, TestContext.Current.CancellationToken);
        return content.ToArray();
    }
}
