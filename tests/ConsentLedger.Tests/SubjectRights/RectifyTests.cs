using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.PersonalData;
using ConsentLedger.Tests.Retention;
using ConsentLedger.Tests.Unsubscribe;

namespace ConsentLedger.Tests.SubjectRights;

public sealed class RectifyTests(TestDatabase databases)
{
    private const string Old = "ada@museum.example";
    private const string New = "ada.lovelace@museum.example";

    [Fact]
    public async Task Consents_move_with_their_time_wording_and_evidence_and_name_the_old_events()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync(with: new() { ["consentLifetime"] = "P24M" });
        await service.NoticeAsync();
        var given = await service.EventAsync(Old, occurredAt: TestService.Start.AddDays(-10), with: new()
        {
            ["notice"] = new JsonObject { ["version"] = 1 },
            ["source"] = new JsonObject { ["kind"] = "paper", ["reference"] = "visitor book" },
            ["evidence"] = new JsonObject { ["ip"] = "192.0.2.7" },
        });

        var answer = await service.RectifyAsync(Old, New);

        answer["carriedOver"]!.GetValue<int>().ShouldBe(1);
        answer["heldBack"]!.AsArray().ShouldBeEmpty();
        (await service.ReasonAsync(New)).ShouldBe("given");
        (await service.ReasonAsync(Old)).ShouldBe("revoked");
        var carried = (await service.ExportAsync(New))["events"]![0]!;
        carried.Text("occurredAt").ShouldBe("2026-11-12T09:30:00Z");
        carried.Text("expiresAt").ShouldBe("2028-11-12T09:30:00Z");
        carried["notice"]!["version"]!.GetValue<int>().ShouldBe(1);
        carried["source"]!.Text("reference").ShouldBe("visitor book");
        carried["evidence"]!.Text("ip").ShouldBe("192.0.2.7");
        carried["evidence"]!["rectified"]!.Text("eventId").ShouldBe(given["event"]!.Text("id"));
        await service.RebuildChangesNothingAsync();
    }

    [Fact]
    public async Task Refusals_objections_and_restrictions_move_too()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.PurposeAsync("events");
        await service.EventAsync(Old, "withdrawn");
        await service.EventAsync(Old, "objected", "*");

        await service.RectifyAsync(Old, New);

        (await service.ReasonAsync(New)).ShouldBe("objected");
        (await service.ReasonAsync(New, "events")).ShouldBe("objected");
        await service.EventAsync(Old, "restricted", "*");
        await service.RectifyAsync(Old, New);
        (await service.ReasonAsync(New)).ShouldBe("restricted");
    }

    [Theory]
    [InlineData("withdrawn", "newsletter", "withdrawn")]
    [InlineData("refused", "newsletter", "refused")]
    [InlineData("objected", "*", "objected")]
    public async Task A_refusal_at_the_new_address_is_not_overturned_however_old(string kind, string purpose, string reason)
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(New, kind, purpose, TestService.Start.AddDays(-100));
        await service.EventAsync(Old, occurredAt: TestService.Start.AddDays(-1));

        var answer = await service.RectifyAsync(Old, New);

        answer["heldBack"]![0]!.GetValue<string>().ShouldBe("newsletter");
        (await service.ReasonAsync(New)).ShouldBe(reason);
        (await service.ReasonAsync(Old)).ShouldBe("revoked");
    }

    [Fact]
    public async Task Who_moves_back_has_their_choices_back_and_an_old_link_finds_them_wherever_they_are()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Old, occurredAt: TestService.Start.AddDays(-1));
        var (oldLink, newLink) = (await service.LinkAsync(Old), await service.LinkAsync(New));
        await service.RectifyAsync(Old, New);
        service.Clock.Advance(TimeSpan.FromMinutes(1));

        var back = await service.RectifyAsync(New, Old);

        back["heldBack"]!.AsArray().ShouldBeEmpty();
        (await service.ReasonAsync(Old)).ShouldBe("given");
        (await service.ReasonAsync(New)).ShouldBe("revoked");
        service.Clock.Advance(TimeSpan.FromMinutes(1));
        await service.RectifyAsync(Old, New);
        (await service.ReasonAsync(New)).ShouldBe("given");
        await service.RebuildChangesNothingAsync();

        (await service.PostFormAsync(oldLink)).StatusCode.ShouldBe(HttpStatusCode.OK);
        (await service.ReasonAsync(New)).ShouldBe("withdrawn");
        (await service.ReasonAsync(Old)).ShouldBe("revoked");
        await service.PostFormAsync(newLink);
        (await service.CountAsync("consent_event", "kind = 'withdrawn'")).ShouldBe(1);
    }

    [Fact]
    public async Task Doing_it_again_adds_nothing_and_takes_nothing_back()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Old);
        await service.RectifyAsync(Old, New);
        service.Clock.Advance(TimeSpan.FromMinutes(5));

        var again = await service.RectifyAsync(Old, New);

        again["carriedOver"]!.GetValue<int>().ShouldBe(0);
        (await service.ReasonAsync(New)).ShouldBe("given");
        (await service.CountAsync("consent_event")).ShouldBe(3);
    }

    [Fact]
    public async Task Two_at_once_carry_over_once()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Old);

        var answers = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => service.RectifyAsync(Old, New)));

        answers.Sum(answer => answer["carriedOver"]!.GetValue<int>()).ShouldBe(1);
        (await service.CountAsync("consent_event")).ShouldBe(3);
        await service.RebuildChangesNothingAsync();
    }

    [Theory]
    [InlineData("consent_event", 1)]
    [InlineData("consent_event", 2)]
    [InlineData("evidence", 1)]
    [InlineData("audit_entry", 1)]
    public async Task A_crash_leaves_it_done_or_not_begun(string table, int occasion)
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Old);
        await service.BreakAsync(table, "insert", occasion);
        (await service.PostAsync("/v1/subscribers/rectify", Body(Old, New))).IsSuccessStatusCode.ShouldBeFalse();

        (await service.ReasonAsync(Old)).ShouldBe("given");
        (await service.ReasonAsync(New)).ShouldBe("unknown");
        await service.RectifyAsync(Old, New);
        (await service.ReasonAsync(New)).ShouldBe("given");
    }

    [Fact]
    public async Task What_can_not_be_is_refused_and_changes_nothing()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Old);

        (await service.PostAsync("/v1/subscribers/rectify", Body(Old, "ADA@museum.example")).ReadErrorAsync("newAddress")).ShouldContain("same");
        (await service.PostAsync("/v1/subscribers/rectify", Body(Old, "tel:+442079460000")).ReadErrorAsync("newAddress")).ShouldContain("kind");
        await service.PostAsync("/v1/subscribers/rectify", Body("eve@museum.example", New)).ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        await service.PostAsync("/v1/subscribers/rectify", Body(Old, New), await service.CreateKeyAsync(["rights:read"])).ReadProblemAsync(HttpStatusCode.Forbidden, "insufficient-scope");
        await service.PostAsync("/v1/subscribers/rectify", Body(Old, New), await service.CreateKeyAsync(["rights:write"], "newsletter")).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        (await service.CountAsync("consent_event")).ShouldBe(1);
    }

    private static JsonObject Body(string old, string next) => new() { ["address"] = old, ["newAddress"] = next };
}
