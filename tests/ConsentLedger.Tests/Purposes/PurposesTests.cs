using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Purposes;

/// <summary>What of a purpose is kept, and what of it can change. Preconditions, pages and keys bound to purposes have their tests in Http/.</summary>
public sealed class PurposesTests(TestDatabase databases)
{
    private const string Path = "/v1/purposes/newsletter";
    private const string Ada = "ada@museum.example";

    [Fact]
    public async Task A_purpose_takes_its_defaults_and_is_shown_as_it_was_put()
    {
        await using var service = await TestService.StartAsync(databases);

        using var response = await service.PutAsync(Path, Newsletter());
        var created = await response.ReadAsync(HttpStatusCode.Created);

        response.Headers.Location!.ToString().ShouldBe(Path);
        created.ToJsonString().ShouldBe(
            """{"key":"newsletter","name":"Newsletter","description":null,"channel":"email","basis":"consent","doubleOptIn":true,"consentLifetime":null,"renewalReminder":null,"endsAt":"""
            + """null,"minimumAge":null,"specialCategory":false,"dataCategories":[],"recipients":[],"retention":{"pending":"P30D","lapsed":"P24M","evidence":"""
            + """null},"status":"active","createdAt":"2026-11-22T09:30:00Z","updatedAt":"2026-11-22T09:30:00Z"}""");
        (await service.GetAsync(Path).ReadAsync()).ToJsonString().ShouldBe(created.ToJsonString());
        (await service.GetAsync("/v1/purposes").ReadAsync())["items"]!.AsArray().Single()!.ToJsonString().ShouldBe(created.ToJsonString());
    }

    [Fact]
    public async Task Everything_that_can_be_set_is_kept_and_what_a_later_put_leaves_out_is_back_to_its_default()
    {
        await using var service = await TestService.StartAsync(databases);
        var whole = Newsletter(
            ("description", "What is on,\nonce a month."),
            ("basis", "explicit-consent"),
            ("doubleOptIn", false),
            ("consentLifetime", "P2Y"),
            ("renewalReminder", "P30D"),
            ("endsAt", "2027-01-01T00:00:00+01:00"),
            ("minimumAge", 13),
            ("specialCategory", true),
            ("dataCategories", new JsonArray("name", "access needs")),
            ("recipients", new JsonArray("our e-mail provider")),
            ("retention", new JsonObject { ["pending"] = "P1W", ["evidence"] = "P12M" }));

        await service.PutAsync(Path, whole).ReadAsync(HttpStatusCode.Created);
        var kept = await service.GetAsync(Path).ReadAsync();
        service.Clock.Advance(TimeSpan.FromMinutes(1));
        var replaced = await service.PutAsync(Path, Newsletter()).ReadAsync();

        kept.ToJsonString().ShouldBe(
            """{"key":"newsletter","name":"Newsletter","description":"What is on,\nonce a month.","channel":"email","basis":"explicit-consent","doubleOptIn":"""
            + """false,"consentLifetime":"P24M","renewalReminder":"P30D","endsAt":"2026-12-31T23:00:00Z","minimumAge":13,"specialCategory":true,"dataCategories":["name","access needs"],"recipients":"""
            + """["our e-mail provider"],"retention":{"pending":"P7D","lapsed":"P24M","evidence":"P12M"},"status":"active","createdAt":"2026-11-22T09:30:00Z","updatedAt":"2026-11-22T09:30:00Z"}""");
        replaced["description"].ShouldBeNull();
        replaced["endsAt"].ShouldBeNull();
        replaced["specialCategory"]!.GetValue<bool>().ShouldBeFalse();
        replaced["retention"]!.ToJsonString().ShouldBe("""{"pending":"P30D","lapsed":"P24M","evidence":null}""");
        replaced.Text("createdAt").ShouldBe("2026-11-22T09:30:00Z");
        replaced.Text("updatedAt").ShouldBe("2026-11-22T09:31:00Z");
    }

    [Fact]
    public async Task Two_changes_within_one_instant_are_two_versions()
    {
        await using var service = await TestService.StartAsync(databases);
        var tags = new List<string>();

        for (var change = 0; change < 3; change++)
        {
            using var answer = await service.PutAsync(Path, Newsletter(("minimumAge", change)));
            tags.Add(answer.Headers.ETag!.ToString());
        }

        tags.ShouldBeUnique();
        (await service.GetAsync(Path)).Headers.ETag!.ToString().ShouldBe(tags[^1]);
    }

    [Fact]
    public async Task Once_events_name_a_purpose_its_channel_and_its_basis_stay_and_all_else_can_change()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PutAsync(Path, Newsletter()).ReadAsync(HttpStatusCode.Created);
        await service.PutAsync(Path, Newsletter(("channel", "sms"))).ReadAsync();
        await service.PutAsync(Path, Newsletter()).ReadAsync();
        await service.EventAsync(Ada);
        var before = await service.GetAsync(Path).ReadAsync();

        await service.PutAsync(Path, Newsletter(("channel", "post"))).ReadProblemAsync(HttpStatusCode.Conflict, "purpose-in-use");
        await service.PutAsync(Path, Newsletter(("basis", "soft-opt-in"), ("name", "Another"))).ReadProblemAsync(HttpStatusCode.Conflict, "purpose-in-use");
        (await service.GetAsync(Path).ReadAsync()).ToJsonString().ShouldBe(before.ToJsonString());

        await service.PutAsync(Path, Newsletter()).ReadAsync();
        var renamed = await service.PutAsync(Path, Newsletter(("name", "The letter"), ("minimumAge", 16))).ReadAsync();
        renamed.Text("name").ShouldBe("The letter");
        (await service.ReasonAsync(Ada)).ShouldBe("given");
    }

    [Fact]
    public async Task From_its_end_on_a_purpose_is_shown_as_ended_and_nobody_is_written_to_until_its_end_is_put_off()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PutAsync(Path, Newsletter(("endsAt", "2026-11-22T10:30:00Z"))).ReadAsync(HttpStatusCode.Created);
        await service.EventAsync(Ada);

        service.Clock.SetUtcNow(TestService.Start.AddHours(1).AddTicks(-1));
        (await service.GetAsync(Path).ReadAsync()).Text("status").ShouldBe("active");
        (await service.ReasonAsync(Ada)).ShouldBe("given");

        service.Clock.SetUtcNow(TestService.Start.AddHours(1));
        (await service.GetAsync(Path).ReadAsync()).Text("status").ShouldBe("ended");
        (await service.GetAsync("/v1/purposes").ReadAsync())["items"]![0]!.Text("status").ShouldBe("ended");
        (await service.ReasonAsync(Ada)).ShouldBe("purpose-ended");

        (await service.PutAsync(Path, Newsletter()).ReadAsync()).Text("status").ShouldBe("active");
        (await service.ReasonAsync(Ada)).ShouldBe("given");
    }

    internal static JsonObject Newsletter(params (string Name, JsonNode? Value)[] with)
    {
        var purpose = new JsonObject { ["name"] = "Newsletter", ["channel"] = "email", ["basis"] = "consent" };
        foreach (var (name, value) in with)
        {
            purpose[name] = value?.DeepClone();
        }

        return purpose;
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
