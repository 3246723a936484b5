using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Purposes;

public sealed class PurposesTests(TestDatabase databases)
{
    [Fact]
    public async Task A_purpose_takes_its_defaults_and_is_shown_as_it_was_put()
    {
        await using var service = await TestService.StartAsync(databases);

        var created = await service.PutAsync("/v1/purposes/newsletter", new JsonObject { ["name"] = "Newsletter", ["channel"] = "email", ["basis"] = "consent" }).ReadAsync(HttpStatusCode.Created);

        created["doubleOptIn"]!.GetValue<bool>().ShouldBeTrue();
        created["retention"]!.ToJsonString().ShouldBe("""{"pending":"P30D","lapsed":"P24M","evidence":null}""");
        created["status"]!.GetValue<string>().ShouldBe("active");
        created["createdAt"]!.GetValue<string>().ShouldBe("2026-11-22T09:30:00Z");
        var shown = await service.GetAsync("/v1/purposes/newsletter").ReadAsync();
        shown.ToJsonString().ShouldBe(created.ToJsonString());
    }

    [Theory]
    [InlineData("email", "consent", "P24M", "P30D", null)]
    [InlineData("email", "explicit-consent", "P1M", "P30D", null)]
    [InlineData("email", "consent", "P12M", "P364D", null)]
    [InlineData("email", "consent", "P30D", "P30D", "shorter than consentLifetime")]
    [InlineData("email", "consent", "P1M", "P2M", "shorter than consentLifetime")]
    [InlineData("email", "consent", null, "P30D", "consentLifetime")]
    [InlineData("email", "soft-opt-in", "P24M", "P30D", "another basis")]
    [InlineData("sms", "consent", "P24M", "P30D", "e-mail")]
    [InlineData("email", "consent", "P24M", "a month", "ISO 8601")]
    public async Task A_reminder_is_for_consents_by_mail_that_last_longer(string channel, string basis, string? lifetime, string reminder, string? refusal)
    {
        await using var service = await TestService.StartAsync(databases);
        var purpose = new JsonObject
        {
            ["name"] = "Newsletter",
            ["channel"] = channel,
            ["basis"] = basis,
            ["consentLifetime"] = lifetime,
            ["renewalReminder"] = reminder,
        };

        var answer = service.PutAsync("/v1/purposes/newsletter", purpose);

        if (refusal is not null)
        {
            (await answer.ReadErrorAsync("renewalReminder")).ShouldContain(refusal);
            (await service.GetAsync("/v1/purposes/newsletter")).StatusCode.ShouldBe(HttpStatusCode.NotFound);
            return;
        }

        (await answer.ReadAsync(HttpStatusCode.Created)).Text("renewalReminder").ShouldBe(reminder);
        (await service.GetAsync("/v1/purposes/newsletter").ReadAsync()).Text("renewalReminder").ShouldBe(reminder);
        purpose.Remove("renewalReminder");
        (await service.PutAsync("/v1/purposes/newsletter", purpose).ReadAsync())["renewalReminder"].ShouldBeNull();
    }
}
