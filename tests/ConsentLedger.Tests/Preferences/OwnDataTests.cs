using System.Net;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.SignUps;
using ConsentLedger.Tests.Unsubscribe;

namespace ConsentLedger.Tests.Preferences;

/// <summary>Somebody moves to another address, or has everything about them deleted.</summary>
public sealed class OwnDataTests(TestDatabase databases)
{
    private const string Next = "ada@lovelace.example";

    [Fact]
    public async Task An_address_is_changed_once_it_is_confirmed_from_the_new_one_and_the_choices_go_along()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var path = await service.PreferencesAsync() + "/data/address";
        (await service.OpenAsync(path).ReadPageAsync()).ShouldContain("Your new e-mail address");
        (await service.PressAsync(path, ("address", Next)).ReadPageAsync()).ShouldContain("Check your e-mail");
        var mail = await sink.MailAsync();
        mail.To.ToString().ShouldBe(Next);
        mail.TextBody!.ShouldNotContain(PreferenceScene.Ada);
        var confirm = mail.MovePath();

        foreach (var method in new[] { HttpMethod.Get, HttpMethod.Head })
        {
            (await service.SendBareAsync(method, confirm)).StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        (await service.PostFormAsync(confirm)).StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await service.ReasonAsync(PreferenceScene.Ada)).ShouldBe("given");
        (await service.ReasonAsync(Next)).ShouldBe("unknown");
        (await service.PostFormAsync(confirm, "confirm=1").ReadPageAsync()).ShouldContain("Your address is changed");

        (await service.ReasonAsync(Next)).ShouldBe("given");
        (await service.CheckAsync(PreferenceScene.Ada))["allowed"]!.GetValue<bool>().ShouldBeFalse();
        (await service.HistoryAsync(Next)).Single().Said().ShouldContain(service.IdOf(PreferenceScene.Ada).ToString());
        (await service.PostFormAsync(confirm, "confirm=1").ReadPageAsync()).ShouldContain("changed already");
        (await service.SqlAsync("select count(*) from preference_request")).ShouldBe(0L);
    }

    [Fact]
    public async Task An_address_that_is_none_or_the_same_is_shown_again_and_an_old_link_is_over()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var path = await service.PreferencesAsync() + "/data/address";

        foreach (var wrong in new[] { "", "nobody", "ADA@example.org", "tel:+442079460000" })
        {
            (await service.PressAsync(path, ("address", wrong)).ReadPageAsync(HttpStatusCode.BadRequest)).ShouldContain("another than the old one");
        }

        await service.PressAsync(path, ("address", Next)).ReadPageAsync();
        var confirm = (await sink.MailAsync()).MovePath();
        service.Later(TimeSpan.FromHours(24));
        (await service.OpenAsync(confirm).ReadPageAsync()).ShouldContain("the link is too old");
        (await service.PostFormAsync(confirm, "confirm=1").ReadPageAsync()).ShouldContain("the link is too old");
        (await service.PostFormAsync(confirm[..^1] + (confirm[^1] == 'A' ? 'B' : 'A'), "confirm=1")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await service.ReasonAsync(Next)).ShouldBe("unknown");
        await service.LookedIntoAsync();
    }

    [Fact]
    public async Task A_new_address_that_is_suppressed_gets_no_mail_and_the_same_answer_and_no_address_more_than_three_a_day()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        await service.EventAsync("bounced@example.org", "suppressed", "*");
        var path = await service.PreferencesAsync() + "/data/address";

        var suppressed = await service.PressAsync(path, ("address", "bounced@example.org")).ReadPageAsync();
        for (var i = 0; i < 5; i++)
        {
            (await service.PressAsync(path, ("address", Next)).ReadPageAsync()).ShouldBe(suppressed);
        }

        await MailScene.UntilAsync(async () => (long)(await service.SqlAsync("select count(*) from preference_request where next_attempt_at = requested_at"))! == 0, "looked into");
        (await sink.MailAsync(3)).To.ToString().ShouldBe(Next);
    }

    [Fact]
    public async Task Everything_is_deleted_by_the_button_of_its_page_and_by_nothing_else()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var path = await service.PreferencesAsync();

        (await service.OpenAsync($"{path}/data/erase").ReadPageAsync()).ShouldContain("It can’t be undone.");
        (await service.SendBareAsync(HttpMethod.Head, $"{path}/data/erase")).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await service.PostFormAsync($"{path}/data/erase", "confirm=2")).StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await service.ReasonAsync(PreferenceScene.Ada)).ShouldBe("given");
        (await service.PostFormAsync($"{path}/data/erase", "confirm=1").ReadPageAsync()).ShouldContain("Everything is deleted");

        (await service.CheckAsync(PreferenceScene.Ada))["allowed"]!.GetValue<bool>().ShouldBeFalse();
        (await service.SqlAsync($"select count(*) from subscriber where subscriber_id = '{service.IdOf(PreferenceScene.Ada)}'")).ShouldBe(0L);
        var page = await service.OpenAsync(path).ReadPageAsync();
        page.ShouldContain("does not keep your address any more");
        page.ShouldNotContain("Turn on");
        page.ShouldNotContain("Download");
    }
}
