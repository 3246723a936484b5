using System.Buffers.Text;
using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using ConsentLedger.Choices;
using ConsentLedger.Ledger;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.PersonalData;
using ConsentLedger.Tests.Preferences;
using ConsentLedger.Tests.SignUps;

namespace ConsentLedger.Tests.Unsubscribe;

/// <summary>An unsubscribe is taken back by whoever made it, a moment later, and nobody is subscribed by it.</summary>
public sealed partial class UndoTests(TestDatabase databases)
{
    [Fact]
    public async Task Undoing_restores_exactly_what_stood_before_and_names_it()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink, new JsonObject { ["consentLifetime"] = "P24M" });
        var given = (await service.HistoryAsync()).Single();
        var undo = await UnsubscribeAsync(service);
        (await service.ReasonAsync(PreferenceScene.Ada)).ShouldBe("withdrawn");
        service.Clock.Advance(TimeSpan.FromMinutes(9));

        (await service.OpenAsync(undo!).ReadPageAsync()).ShouldContain("Get “The newsletter” again?");
        (await service.KindsAsync()).ShouldBe("Withdrawn Given");
        (await service.PostFormAsync(undo!, "confirm=1").ReadPageAsync()).ShouldContain("That is undone");

        (await service.ReasonAsync(PreferenceScene.Ada)).ShouldBe("renewed");
        var history = await service.HistoryAsync();
        var (renewed, withdrawn) = (history[0], history[1]);
        renewed.Kind.ShouldBe(EventKind.Renewed);
        renewed.Basis.ShouldBe(given.Basis);
        renewed.NoticeVersion.ShouldBe(given.NoticeVersion);
        renewed.ExpiresAt.ShouldBe(given.ExpiresAt);
        renewed.Source.ShouldBe(SourceKind.UnsubscribeLink);
        renewed.Said().ShouldContain($"\"restores\":\"{given.Id}\"");
        renewed.Said().ShouldContain($"\"undoes\":\"{withdrawn.Id}\"");
        renewed.Said().ShouldContain("\"notice\":\"1\"");
    }

    [Fact]
    public async Task It_works_at_the_very_same_instant_and_once_and_again_shows_the_same()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var undo = await UnsubscribeAsync(service);

        var pages = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => service.PostFormAsync(undo!, "confirm=1").ReadPageAsync()));

        pages.ShouldAllBe(page => page.Contains("That is undone", StringComparison.Ordinal));
        (await service.KindsAsync()).ShouldBe("Renewed Withdrawn Given");
        (await service.ReasonAsync(PreferenceScene.Ada)).ShouldBe("renewed");

        // After another unsubscribe the same link is spent.
        await UnsubscribeAsync(service);
        (await service.PostFormAsync(undo!, "confirm=1").ReadPageAsync()).ShouldContain("too late");
        (await service.ReasonAsync(PreferenceScene.Ada)).ShouldBe("withdrawn");
    }

    [Fact]
    public async Task Whoever_holds_a_forwarded_mail_can_not_take_back_a_no_that_was_said_before()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        await service.PostFormAsync(await service.LinkAsync());

        // The page says the same to whoever presses the button next, and offers nothing.
        (await UnsubscribeAsync(service)).ShouldBeNull();

        await service.EventAsync("other@example.org", "refused");
        (await UnsubscribeAsync(service, "other@example.org")).ShouldBeNull();
        (await UnsubscribeAsync(service, "unknown@example.org")).ShouldBeNull();
        await service.GiveAsync("pending@example.org", kind: "requested");
        (await UnsubscribeAsync(service, "pending@example.org")).ShouldBeNull();
    }

    [Fact]
    public async Task A_consent_that_had_run_out_is_not_restored()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink, new JsonObject { ["consentLifetime"] = "P6M" });

        (await UnsubscribeAsync(service)).ShouldBeNull();
    }

    [Theory]
    [InlineData("objected", "*")]
    [InlineData("suppressed", "*")]
    [InlineData("restricted", "*")]
    [InlineData("withdrawn", "newsletter")]
    [InlineData("refused", "newsletter")]
    public async Task Nothing_is_restored_once_anything_newer_was_said(string kind, string purpose)
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var undo = await UnsubscribeAsync(service);
        service.Clock.Advance(TimeSpan.FromSeconds(1));
        await service.EventAsync(PreferenceScene.Ada, kind, purpose);

        (await service.OpenAsync(undo!).ReadPageAsync()).ShouldContain("too late");
        (await service.PostFormAsync(undo!, "confirm=1").ReadPageAsync()).ShouldContain("too late");

        (await service.CheckAsync(PreferenceScene.Ada))["allowed"]!.GetValue<bool>().ShouldBeFalse();
        (await service.KindsAsync()).ShouldNotContain("Renewed");
    }

    [Fact]
    public async Task What_an_objection_had_voided_is_not_restored_by_unsubscribing_and_undoing()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        await service.EventAsync(PreferenceScene.Ada, "objected", "*", TestService.Start.AddDays(-1));

        (await UnsubscribeAsync(service)).ShouldBeNull();

        // Nor if the objection arrives late, dated before.
        await service.GiveAsync("late@example.org");
        var undo = await UnsubscribeAsync(service, "late@example.org");
        await service.EventAsync("late@example.org", "objected", "*", TestService.Start.AddDays(-1));
        (await service.PostFormAsync(undo!, "confirm=1").ReadPageAsync()).ShouldContain("too late");
        (await service.CheckAsync("late@example.org"))["allowed"]!.GetValue<bool>().ShouldBeFalse();
        (await service.CheckAsync(PreferenceScene.Ada))["allowed"]!.GetValue<bool>().ShouldBeFalse();
    }

    [Fact]
    public async Task After_ten_minutes_it_is_too_late()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var undo = await UnsubscribeAsync(service);
        service.Clock.Advance(TimeSpan.FromMinutes(10));

        (await service.OpenAsync(undo!).ReadPageAsync()).ShouldContain("too late");
        (await service.PostFormAsync(undo!, "confirm=1").ReadPageAsync()).ShouldContain("too late");
        (await service.ReasonAsync(PreferenceScene.Ada)).ShouldBe("withdrawn");
    }

    [Fact]
    public async Task A_permission_is_restored_as_the_permission_it_was_with_what_it_rests_on()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.StartAsync(databases, sink);
        await service.PurposeAsync("appeal", "charitable-soft-opt-in");
        await service.EventAsync(PreferenceScene.Ada, "permitted", "appeal", TestService.Start.AddDays(-9), new JsonObject
        {
            ["evidence"] = new JsonObject { ["obtainedDirectly"] = true, ["optOutOffered"] = true, ["context"] = "Gave at the door" },
        });

        var undo = await UnsubscribeAsync(service, purpose: "appeal");
        await service.PostFormAsync(undo!, "confirm=1").ReadPageAsync();

        (await service.ReasonAsync(PreferenceScene.Ada, "appeal")).ShouldBe("permitted");
        var restored = (await service.HistoryAsync())[0];
        restored.Said().ShouldContain("\"context\":\"Gave at the door\"");
        restored.Said().ShouldContain("\"restores\"");
    }

    [Fact]
    public async Task Only_the_button_undoes_and_no_forged_token_does()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var undo = await UnsubscribeAsync(service);
        var bytes = Base64Url.DecodeFromChars(undo!.Split('/')[^1]);

        foreach (var method in new[] { HttpMethod.Get, HttpMethod.Head })
        {
            (await service.SendBareAsync(method, undo!)).StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        (await service.PostFormAsync(undo!)).StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        for (var at = 0; at < bytes.Length; at++)
        {
            var changed = bytes.ToArray();
            changed[at] ^= 0x80;
            (await service.PostFormAsync($"/undo/{Base64Url.EncodeToString(changed)}", "confirm=1")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        }

        UndoToken.TryVerify(undo!.Split('/')[^1], service.Keys, out var token).ShouldBeTrue();
        var foreign = token.Sign(new KeyRing(MasterKey.Generate()));
        (await service.PostFormAsync($"/undo/{foreign}", "confirm=1")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await service.ReasonAsync(PreferenceScene.Ada)).ShouldBe("withdrawn");
    }

    [Fact]
    public async Task Turning_off_among_the_choices_is_undone_there()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.SubscribedAsync(databases, sink);
        var path = await service.PreferencesAsync();
        var undo = PreferenceScene.UndoOf(await service.PressAsync(path, ("off", "newsletter")).ReadPageAsync());

        // Not by somebody else's link.
        (await service.PressAsync(await service.PreferencesAsync("other@example.org"), ("undo", undo!))).StatusCode.ShouldBe(HttpStatusCode.NotFound);
        (await service.PressAsync(path, ("undo", undo!)).ReadPageAsync()).ShouldContain("“The newsletter” is as it was before.");

        (await service.ReasonAsync(PreferenceScene.Ada)).ShouldBe("renewed");
        (await service.HistoryAsync())[0].Source.ShouldBe(SourceKind.PreferenceCentre);
    }

    /// <summary>Presses the button of the unsubscribe page; the path of the undo button of the page that follows, if it has one.</summary>
    [Fact]
    public async Task What_a_child_unsubscribed_from_is_not_undone_once_nothing_shows_who_had_consented()
    {
        using var sink = SmtpSink.Start();
        await using var service = await PreferenceScene.StartAsync(databases, sink, new() { ["minimumAge"] = 13 });
        await service.EventAsync(PreferenceScene.Ada, with: new()
        {
            ["notice"] = new JsonObject { ["version"] = 1 },
            ["guardian"] = new JsonObject { ["address"] = "parent@example.org" },
        });
        var undo = await UnsubscribeAsync(service);

        await service.EraseAsync("parent@example.org");

        (await service.PostFormAsync(undo!, "confirm=1").ReadPageAsync()).ShouldContain("too late");
        (await service.CheckAsync(PreferenceScene.Ada))["allowed"]!.GetValue<bool>().ShouldBeFalse();
    }

    private static async Task<string?> UnsubscribeAsync(TestService service, string address = PreferenceScene.Ada, string purpose = "newsletter")
    {
        var page = await service.PostFormAsync(await service.LinkAsync(address, purpose), "confirm=1").ReadPageAsync();
        page.ShouldContain("You are unsubscribed");
        return UndoAction().Match(page) is { Success: true } found ? found.Groups[1].Value : null;
    }

    [GeneratedRegex("""action="(/undo/[^"]+)""")]
    private static partial Regex UndoAction();
}
