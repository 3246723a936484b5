using System.IO.Compression;
using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.Preferences;
using ConsentLedger.Tests.Retention;
using ConsentLedger.Tests.SignUps;
using ConsentLedger.Tests.Unsubscribe;

namespace ConsentLedger.Tests.SubjectRights;

/// <summary>Completing a request for a copy sends it.</summary>
public sealed partial class CopyTests(TestDatabase databases)
{
    private const string Ada = PreferenceScene.Ada;

    [Theory]
    [InlineData("access", "en", "A copy of what is held")]
    [InlineData("portability", "cy", "Copi o’r hyn a gedwir")]
    public async Task Completing_it_mails_a_link_by_which_the_person_downloads_everything(string kind, string language, string title)
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var id = await ReceiveAsync(service, kind);

        var completed = await CompleteAsync(service, id, language: language).ReadAsync();

        completed.Text("status").ShouldBe("completed");
        completed.Text("delivered").ShouldBe("mail");
        var mail = await sink.MailAsync();
        mail.To.ToString().ShouldBe(Ada);
        mail.TextBody!.ShouldContain(language == "en" ? "you asked The Museum" : "gofynnoch i The Museum");
        var link = new Uri(Link().Match(mail.TextBody!).Value);
        (await service.SqlAsync("select details ->> 'delivered' from audit_entry where action = 'request-completed'")).ShouldBe("mail");

        foreach (var method in new[] { HttpMethod.Get, HttpMethod.Head })
        {
            (await service.SendBareAsync(method, link.PathAndQuery)).StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        (await service.CountAsync("audit_entry", "action = 'subscriber-exported'")).ShouldBe(0);
        (await service.OpenAsync(link.PathAndQuery).ReadPageAsync()).ShouldContain(title);
        (await service.PostFormAsync(link.PathAndQuery)).StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await ReadJsonAsync(await service.PostFormAsync(link.PathAndQuery, "confirm=1")))["events"]!.AsArray().Count.ShouldBe(1);
        (await service.SqlAsync("select target from audit_entry where action = 'subscriber-exported' and actor = 'subject'")).ShouldBe(id);
    }

    [Fact]
    public async Task Done_twice_or_at_once_it_sends_one_mail()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var id = await ReceiveAsync(service);

        var answers = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => CompleteAsync(service, id)));
        foreach (var answer in answers)
        {
            (await answer.ReadAsync()).Text("status").ShouldBe("completed");
        }

        (await service.CountAsync("mail_outbox")).ShouldBe(1);
    }

    [Fact]
    public async Task The_mail_and_the_completion_are_there_together_or_not_at_all()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var id = await ReceiveAsync(service);
        foreach (var table in new[] { "mail_outbox", "rights_request_step", "audit_entry" })
        {
            await service.SqlAsync($"alter table {table} add constraint {table}_full check (false) not valid");
            (await CompleteAsync(service, id)).StatusCode.ShouldBe(HttpStatusCode.InternalServerError);
            await service.SqlAsync($"alter table {table} drop constraint {table}_full");
            (await service.SqlAsync("select status::text from rights_request")).ShouldBe("open", table);
            (await service.CountAsync("mail_outbox")).ShouldBe(0, table);
        }

        await CompleteAsync(service, id).ReadAsync();
        (await service.CountAsync("mail_outbox")).ShouldBe(1);
    }

    [Fact]
    public async Task Of_a_stranger_the_copy_says_that_nothing_is_held_but_the_request()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.StartAsync(databases, sink);
        var id = await ReceiveAsync(service, address: "stranger@example.org");
        await CompleteAsync(service, id).ReadAsync();
        var link = new Uri(Link().Match((await sink.MailAsync()).TextBody!).Value);

        var copy = await ReadJsonAsync(await service.PostFormAsync(link.PathAndQuery, "confirm=1"));

        copy["events"]!.AsArray().ShouldBeEmpty();
        copy["addresses"]!.AsArray().ShouldBeEmpty();
    }

    [Theory]
    [InlineData("tel:+442079460000")]
    [InlineData("ref:MEM-1234")]
    [InlineData(Ada)]
    public async Task Who_cannot_be_mailed_is_answered_by_hand(string address)
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        await service.EventAsync(Ada, "suppressed", "*");
        var id = await ReceiveAsync(service, address: address);

        (await CompleteAsync(service, id).ReadProblemAsync(HttpStatusCode.Conflict, "cannot-be-mailed")).Text("detail").ShouldContain("by-hand");
        (await service.GetAsync($"/v1/requests/{id}").ReadAsync()).Text("status").ShouldBe("open");
        var completed = await CompleteAsync(service, id, "by-hand").ReadAsync();

        completed.Text("delivered").ShouldBe("by-hand");
        (await service.SqlAsync("select details ->> 'delivered' from audit_entry where action = 'request-completed'")).ShouldBe("by-hand");
        (await service.CountAsync("mail_outbox")).ShouldBe(0);
    }

    [Fact]
    public async Task A_link_is_over_after_a_week_or_once_the_person_was_erased()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        await CompleteAsync(service, await ReceiveAsync(service)).ReadAsync();
        var link = new Uri(Link().Match((await sink.MailAsync()).TextBody!).Value).PathAndQuery;

        await service.PostAsync("/v1/subscribers/erase", new JsonObject { ["address"] = Ada, ["reason"] = "Asked" }).ReadAsync();
        (await service.PostFormAsync(link, "confirm=1").ReadPageAsync()).ShouldContain("This link is over");

        await service.GiveAsync();
        await CompleteAsync(service, await ReceiveAsync(service)).ReadAsync();
        link = new Uri(Link().Match((await sink.MailAsync(2)).TextBody!).Value).PathAndQuery;
        (await service.OpenAsync(link).ReadPageAsync()).ShouldContain("Download everything");
        service.Clock.Advance(TimeSpan.FromDays(7));
        (await service.OpenAsync(link).ReadPageAsync()).ShouldContain("This link is over");
        (await service.OpenAsync("/copy/wrong")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
    }

    [Fact]
    public async Task What_asks_for_no_copy_is_not_delivered()
    {
        await using var service = await TestService.StartAsync(databases);
        var id = await ReceiveAsync(service, "objection");
        await CompleteAsync(service, id, "by-hand").ReadErrorAsync("delivered");
        await CompleteAsync(service, id, language: "fr").ReadErrorAsync("language");
        (await CompleteAsync(service, id).ReadAsync())["delivered"].ShouldBeNull();
    }

    private static async Task<string> ReceiveAsync(TestService service, string kind = "access", string address = Ada) =>
        (await service.PostAsync("/v1/requests", new JsonObject { ["kind"] = kind, ["address"] = address }).ReadAsync(HttpStatusCode.Created)).Text("id");

    private static Task<HttpResponseMessage> CompleteAsync(TestService service, string id, string? delivered = null, string? language = null)
    {
        var body = new JsonObject();
        if (delivered is not null)
        {
            body["delivered"] = delivered;
        }

        if (language is not null)
        {
            body["language"] = language;
        }

        return service.PostAsync($"/v1/requests/{id}/complete", body);
    }

    private static async Task<JsonNode> ReadJsonAsync(HttpResponseMessage answer)
    {
        answer.StatusCode.ShouldBe(HttpStatusCode.OK);
        using var zip = new ZipArchive(await answer.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
        await using var json = await zip.GetEntry("data.json").ShouldNotBeNull().OpenAsync(TestContext.Current.CancellationToken);
        return (await JsonNode.ParseAsync(json, cancellationToken: TestContext.Current.CancellationToken))!;
    }

    [GeneratedRegex(@"https://consent\.example/copy/\S+")]
    private static partial Regex Link();
}
