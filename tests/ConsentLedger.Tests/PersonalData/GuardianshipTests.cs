using System.Text.Json.Nodes;
using ConsentLedger.Ledger;
using ConsentLedger.PersonalData;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.Preferences;
using ConsentLedger.Tests.Retention;
using ConsentLedger.Tests.SignUps;
using ConsentLedger.Tests.Unsubscribe;
using Microsoft.Extensions.DependencyInjection;

namespace ConsentLedger.Tests.PersonalData;

/// <summary>A guardian who consented for a child has rights in what the child's records say of them.</summary>
public sealed class GuardianshipTests(TestDatabase databases)
{
    private const string Parent = "parent@example.org";
    private const string Child = "child@example.org";

    private static readonly JsonObject ByParent = new() { ["guardian"] = new JsonObject { ["address"] = "Parent@Example.org", ["name"] = "Grace" } };

    [Fact]
    public async Task The_export_of_a_guardian_says_what_is_kept_of_them_and_nothing_of_the_child()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Child, with: ByParent);

        var export = await service.ExportAsync(Parent);

        export["nothingHeld"]!.GetValue<bool>().ShouldBeFalse();
        export["purposes"]!.AsArray().Select(purpose => purpose!.Text("key")).ShouldBe(["newsletter"]);
        var record = export["guardianships"]!.AsArray().ShouldHaveSingleItem()!;
        record["guardian"]!.ToJsonString().ShouldBe("""{"address":"Parent@Example.org","name":"Grace"}""");
        (record.Text("purpose"), record.Text("kind")).ShouldBe(("newsletter", "given"));
        export.ToJsonString().ShouldNotContain(Child);
        export.ToJsonString().ShouldNotContain(service.IdOf(Child).ToString());
        (await service.ReadZipAsync(Parent, "your-data.html")).ShouldContain("you are named as a parent or guardian");
        (await service.ExportAsync(Child))["guardianships"]!.AsArray().ShouldBeEmpty();
    }

    [Fact]
    public async Task When_it_goes_is_explained_to_the_guardian_too()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync(with: new() { ["retention"] = new JsonObject { ["evidence"] = "P1Y" } });
        await service.EventAsync(Child, with: ByParent);

        var kept = (await service.PostAsync("/v1/retention/preview", new JsonObject { ["address"] = Parent }).ReadAsync())["records"]!.AsArray();

        var record = kept.Single(record => record!.Text("record") == "guardianship")!;
        (record.Text("purpose"), record.Text("rule")).ShouldBe(("newsletter", "evidence"));
        record.Text("goesAt").ShouldStartWith("2027-11-22");
        record["eventId"].ShouldBeNull();
    }

    [Fact]
    public async Task With_a_guardian_go_the_consents_they_gave_and_the_evidence_that_names_them_and_nothing_else_of_the_child()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.PurposeAsync("events");
        await service.EventAsync(Child, with: ByParent);
        await service.EventAsync(Child, purpose: "events", with: new() { ["evidence"] = new JsonObject { ["remark"] = "asked at the desk" } });
        await service.EventAsync(Parent);

        var answer = await service.EraseAsync(Parent);

        answer["childrensConsentsEnded"]!.GetValue<int>().ShouldBe(1);
        (await service.ReasonAsync(Child)).ShouldBe("revoked");
        (await service.ReasonAsync(Child, "events")).ShouldBe("given");
        (await service.CountAsync("evidence", "guardian_id is not null")).ShouldBe(0);
        (await service.CountAsync("purge_record", $"rule = 'evidence' and subscriber_id = '{service.IdOf(Child)}'")).ShouldBe(1);
        (await service.ExportAsync(Parent))["guardianships"]!.AsArray().ShouldBeEmpty();
        var child = (await service.ExportAsync(Child)).ToJsonString();
        child.ShouldNotContain("Parent@Example.org");
        child.ShouldNotContain("Grace");
        child.ShouldContain("asked at the desk");
        (await service.HistoryAsync(Child)).Count.ShouldBe(3);
        await service.RebuildChangesNothingAsync();
    }

    [Fact]
    public async Task A_guardian_who_consents_again_afterwards_is_taken_at_their_word()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Child, with: ByParent);
        await service.EraseAsync(Parent);
        service.Clock.Advance(TimeSpan.FromDays(1));

        await service.EventAsync(Child, occurredAt: service.Clock.GetUtcNow(), with: ByParent);

        (await service.ReasonAsync(Child)).ShouldBe("given");
        (await service.ExportAsync(Parent))["guardianships"]!.AsArray().Count.ShouldBe(1);
    }

    [Theory]
    [InlineData("hold")]
    [InlineData("restriction")]
    public async Task What_is_kept_of_the_child_stays_permits_nothing_and_goes_when_it_is_free(string by)
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Child, with: ByParent);
        var id = service.IdOf(Child);
        await (by == "hold"
            ? service.PutAsync($"/v1/subscribers/{id}/hold", new JsonObject { ["reason"] = "A claim" }).ReadAsync()
            : service.EventAsync(Child, "restricted", "*"));

        var kept = (await service.EraseAsync(Parent))["kept"]!.AsArray().ShouldHaveSingleItem()!;

        kept.Text("because").ShouldBe("childs-records");
        kept.ToJsonString().ShouldNotContain("A claim");
        (await service.CountAsync("consent_state", "kind = 'revoked' and purpose_id > 0")).ShouldBe(1);
        (await service.CountAsync("evidence", "guardian_id is not null")).ShouldBe(1);
        (await service.ExportAsync(Parent))["erasures"]![0]!["completedAt"].ShouldBeNull();
        service.Clock.Advance(TimeSpan.FromHours(1));
        await (by == "hold"
            ? service.SendAsync(HttpMethod.Delete, $"/v1/subscribers/{id}/hold")
            : service.PostAsync("/v1/events", Given.Event(Child, "unrestricted", "*", occurredAt: service.Clock.GetUtcNow())));
        await CompletedAsync(service);
        (await service.CountAsync("evidence", "guardian_id is not null")).ShouldBe(0);
        await service.RebuildChangesNothingAsync();
    }

    [Fact]
    public async Task A_consent_that_is_given_while_the_guardian_is_held_is_a_new_one_and_keeps_its_evidence()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Child, with: ByParent);
        await service.PutAsync($"/v1/subscribers/{service.IdOf(Parent)}/hold", new JsonObject { ["reason"] = "A claim" }).ReadAsync();
        await service.EraseAsync(Parent);
        await service.EventAsync(Child, occurredAt: TestService.Start.AddMinutes(1), with: ByParent);

        await service.SendAsync(HttpMethod.Delete, $"/v1/subscribers/{service.IdOf(Parent)}/hold");
        await CompletedAsync(service);

        (await service.ReasonAsync(Child)).ShouldBe("given");
        (await service.ExportAsync(Parent))["guardianships"]!.AsArray().Count.ShouldBe(1, "The new one.");
    }

    [Fact]
    public async Task An_erasure_that_a_journal_tells_of_late_ends_only_what_was_given_before_it_and_ends_it_once()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.PurposeAsync("events");
        await service.EventAsync(Child, occurredAt: TestService.Start.AddDays(-2), with: ByParent);
        service.Clock.Advance(TimeSpan.FromDays(1));
        await service.EventAsync(Child, purpose: "events", occurredAt: TestService.Start.AddHours(1), with: ByParent);
        var erasure = service.Services.GetRequiredService<Erasure>();
        var entry = new JournalEntry(null, service.IdOf(Parent), JournalEntry.Everything, Guid.NewGuid(), TestService.Start.AddHours(1));

        (await erasure.BeginAsync(entry, null, Actor.Service, TestContext.Current.CancellationToken)).ShouldBe(1);
        await service.SqlAsync("delete from erasure");
        await erasure.BeginAsync(entry, null, Actor.Service, TestContext.Current.CancellationToken);

        (await service.ReasonAsync(Child)).ShouldBe("revoked");
        (await service.ReasonAsync(Child, "events")).ShouldBe("given");
        (await service.HistoryAsync(Child)).Count.ShouldBe(3);
        (await service.HistoryAsync(Child)).Single(one => one.Kind == EventKind.Revoked).RecordedAt.ShouldBe(service.Clock.GetUtcNow());
    }

    [Fact]
    public async Task What_came_after_an_erasure_is_left_alone_when_a_child_s_records_are_free()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Child, with: ByParent);
        await service.PutAsync($"/v1/subscribers/{service.IdOf(Child)}/hold", new JsonObject { ["reason"] = "A claim" }).ReadAsync();
        await service.EraseAsync(Parent);
        service.Clock.Advance(TimeSpan.FromMinutes(2));
        await service.EventAsync(Parent, occurredAt: service.Clock.GetUtcNow());
        await service.PostAsync("/v1/requests", new JsonObject { ["kind"] = "access", ["address"] = Parent }).ReadAsync(System.Net.HttpStatusCode.Created);

        await service.SendAsync(HttpMethod.Delete, $"/v1/subscribers/{service.IdOf(Child)}/hold");
        await CompletedAsync(service);

        (await service.CountAsync("evidence", "guardian_id is not null")).ShouldBe(0);
        (await service.ReasonAsync(Parent)).ShouldBe("given");
        (await service.CountAsync("subscriber", $"subscriber_id = '{service.IdOf(Parent)}'")).ShouldBe(1);
        (await service.CountAsync("rights_request", "person is not null")).ShouldBe(1);
    }

    [Fact]
    public async Task A_request_that_another_guardian_is_asked_about_goes_on()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Child, occurredAt: TestService.Start.AddDays(-3), with: ByParent);
        await service.EventAsync(Child, "withdrawn", occurredAt: TestService.Start.AddDays(-2));
        await service.EventAsync(Child, "requested", occurredAt: TestService.Start.AddDays(-1));

        await service.EraseAsync(Parent);

        (await service.ReasonAsync(Child)).ShouldBe("pending");
    }

    [Fact]
    public async Task A_consent_that_a_request_hides_ends_too()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Child, occurredAt: TestService.Start.AddDays(-2), with: ByParent);
        await service.EventAsync(Child, "requested", occurredAt: TestService.Start.AddDays(-1));

        (await service.EraseAsync(Parent))["childrensConsentsEnded"]!.GetValue<int>().ShouldBe(0, "It was not in force.");

        (await service.ReasonAsync(Child)).ShouldBe("revoked");
        service.Clock.Advance(TimeSpan.FromDays(60));
        await service.PurgeAsync();
        (await service.CheckAsync(Child))["allowed"]!.GetValue<bool>().ShouldBeFalse();
    }

    [Fact]
    public async Task A_sign_up_that_waits_for_the_guardian_is_theirs_to_see_and_goes_with_them()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink, new JsonObject { ["minimumAge"] = 13 });
        await service.SignUpAsync(Child, ("age", "under"), ("guardian", Parent));
        var mail = await sink.MailAsync();

        var signUp = (await service.ExportAsync(Parent))["signUps"]!.AsArray().ShouldHaveSingleItem()!;
        signUp.Text("guardian").ShouldBe(Parent);
        signUp.ToJsonString().ShouldNotContain(Child);
        await service.EraseAsync(Parent);

        (await service.CountAsync("sign_up")).ShouldBe(0);
        (await service.CountAsync("evidence", "guardian_id is not null")).ShouldBe(0);
        await service.PostFormAsync(mail.ConfirmPath(), "confirm=1");
        (await service.CheckAsync(Child))["allowed"]!.GetValue<bool>().ShouldBeFalse();
    }

    [Fact]
    public async Task Once_a_sign_up_is_settled_it_names_no_guardian()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink, new JsonObject { ["minimumAge"] = 13 });
        await service.SignUpAsync(Child, ("age", "under"), ("guardian", Parent));
        await service.PostFormAsync((await sink.MailAsync()).ConfirmPath(), "confirm=1");

        (await service.CountAsync("sign_up", "guardian_id is not null")).ShouldBe(0);
        (await service.ExportAsync(Parent))["guardianships"]!.AsArray().Count.ShouldBe(2, "The request and the consent.");
    }

    [Fact]
    public async Task The_page_on_which_a_guardian_erases_themselves_says_what_ends_with_it()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var page = await service.PreferencesAsync();
        (await service.GetAsync($"{page}/data/erase").ReadPageAsync()).ShouldNotContain("for a child");

        await service.EventAsync(Child, with: new() { ["guardian"] = new JsonObject { ["address"] = UnsubscribeScene.Ada }, ["notice"] = new JsonObject { ["version"] = 1 } });

        (await service.GetAsync($"{page}/data/erase").ReadPageAsync()).ShouldContain("A consent that you gave for a child ends with it");
    }

    /// <summary>The keeper of the journal has gone on with what was left of erasures.</summary>
    private static Task CompletedAsync(TestService service) => MailScene.UntilAsync(
        async () =>
        {
            service.Clock.Advance(TimeSpan.FromSeconds(5));
            return await service.CountAsync("erasure", "completed_at is null") == 0;
        },
        "it is completed");
}
