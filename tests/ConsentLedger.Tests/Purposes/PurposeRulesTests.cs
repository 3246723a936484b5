using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Purposes;

/// <summary>What a purpose can be: defaults, limits, and what is refused. Each row puts a purpose of its own.</summary>
public sealed class PurposeRulesTests(SharedService shared) : IClassFixture<SharedService>
{
    private static int count;

    private readonly TestService service = shared.Service;
    private readonly string path = $"/v1/purposes/row-{Interlocked.Increment(ref count)}";

    [Theory]
    [InlineData("email", "consent", true)]
    [InlineData("email", "explicit-consent", true)]
    [InlineData("email", "soft-opt-in", false)]
    [InlineData("email", "service", false)]
    [InlineData("sms", "consent", false)]
    [InlineData("post", "legitimate-interests", false)]
    public async Task A_sign_up_is_confirmed_where_it_is_by_e_mail_and_rests_on_consent_unless_the_purpose_says_otherwise(string channel, string basis, bool confirmed)
    {
        var asItIs = await service.PutAsync(path, PurposesTests.Newsletter(("channel", channel), ("basis", basis))).ReadAsync(HttpStatusCode.Created);
        var asItSays = await service.PutAsync(path, PurposesTests.Newsletter(("channel", channel), ("basis", basis), ("doubleOptIn", !confirmed))).ReadAsync();

        asItIs["doubleOptIn"]!.GetValue<bool>().ShouldBe(confirmed);
        asItSays["doubleOptIn"]!.GetValue<bool>().ShouldBe(!confirmed);
    }

    [Theory]
    [InlineData("consent")]
    [InlineData("service")]
    [InlineData("charitable-soft-opt-in")]
    public async Task Special_category_data_needs_explicit_consent(string basis)
    {
        (await service.PutAsync(path, PurposesTests.Newsletter(("specialCategory", true), ("basis", basis))).ReadErrorAsync("basis")).ShouldContain("explicit-consent");

        (await service.PutAsync(path, PurposesTests.Newsletter(("specialCategory", true), ("basis", "explicit-consent"))).ReadAsync(HttpStatusCode.Created))["specialCategory"]!
            .GetValue<bool>().ShouldBeTrue();
    }

    /// <summary>What each member takes at most, and what is one too much.</summary>
    public static TheoryData<string, string, string, string> Limits => new()
    {
        { "name", "name", Text(200), Text(201) },
        { "name", "name", "\"Ŵyl y Glannau\"", "\" \"" },
        { "name", "name", "\"a\"", "\"a\\u0007\"" },
        { "description", "description", Text(2000), Text(2001) },
        { "minimumAge", "minimumAge", "0", "-1" },
        { "minimumAge", "minimumAge", "120", "121" },
        { "consentLifetime", "consentLifetime", "\"P100Y\"", "\"P1201M\"" },
        { "consentLifetime", "consentLifetime", "\"P1D\"", "\"P0D\"" },
        { "consentLifetime", "consentLifetime", "\"P1Y2M3W4D\"", "\"PT24H\"" },
        { "endsAt", "endsAt", "\"1970-01-01T00:00:00Z\"", "\"1969-12-31T23:59:59Z\"" },
        { "endsAt", "endsAt", "\"2027-06-01T00:00:00Z\"", "\"next summer\"" },
        { "dataCategories", "dataCategories", List(50, "x"), List(51, "x") },
        { "dataCategories", "dataCategories[1]", $"[\"a\", {Text(200)}]", $"[\"a\", {Text(201)}]" },
        { "dataCategories", "dataCategories[0]", "[\"a\"]", "[\"\"]" },
        { "recipients", "recipients", List(50, "x"), List(51, "x") },
        { "recipients", "recipients[0]", $"[{Text(200)}]", $"[{Text(201)}]" },
        { "channel", "channel", "\"phone\"", "\"fax\"" },
        { "basis", "basis", "\"legitimate-interests\"", "\"habit\"" },
        { "doubleOptIn", "doubleOptIn", "false", "\"no\"" },
        { "retention", "retention.pending", """{"pending":"P1D"}""", """{"pending":"a month"}""" },
        { "retention", "retention.lapsed", """{"lapsed":"P100Y"}""", """{"lapsed":"P101Y"}""" },
        { "retention", "retention.evidence", """{"evidence":null}""", """{"evidence":"P0D"}""" },
    };

    [Theory, MemberData(nameof(Limits))]
    public async Task Each_member_takes_what_it_may_hold_and_nothing_more(string member, string at, string most, string tooMuch)
    {
        await service.PutAsync(path, PurposesTests.Newsletter((member, JsonNode.Parse(tooMuch)))).ReadErrorAsync(at);
        (await service.GetAsync(path)).StatusCode.ShouldBe(HttpStatusCode.NotFound);

        await service.PutAsync(path, PurposesTests.Newsletter((member, JsonNode.Parse(most)))).ReadAsync(HttpStatusCode.Created);
    }

    [Theory]
    [InlineData("name")]
    [InlineData("channel")]
    [InlineData("basis")]
    public async Task What_is_required_is_asked_for(string member)
    {
        var without = PurposesTests.Newsletter();
        without.Remove(member);

        await service.PutAsync(path, without).ReadErrorAsync(member);
    }

    [Theory]
    [InlineData("colour", """{"colour":"red"}""")]
    [InlineData("key", """{"key":"another"}""")]
    [InlineData("status", """{"status":"ended"}""")]
    [InlineData("retention.forever", """{"retention":{"forever":true}}""")]
    public async Task A_member_that_there_is_not_is_named(string at, string more)
    {
        await service.PutAsync(path, PurposesTests.Newsletter([.. JsonNode.Parse(more)!.AsObject().Select(member => (member.Key, member.Value))])).ReadErrorAsync(at);
    }

    [Theory]
    [InlineData("Newsletter")]
    [InlineData("news--letter")]
    [InlineData("-news")]
    [InlineData("news_letter")]
    [InlineData("*")]
    [InlineData("ŵyl")]
    public async Task A_key_is_a_slug(string key)
    {
        await service.PutAsync($"/v1/purposes/{Uri.EscapeDataString(key)}", PurposesTests.Newsletter()).ReadErrorAsync("key");
    }

    [Fact]
    public async Task A_key_has_at_most_64_characters()
    {
        await service.PutAsync($"/v1/purposes/{new string('a', 65)}", PurposesTests.Newsletter()).ReadErrorAsync("key");
        await service.PutAsync($"/v1/purposes/{new string('a', 64)}", PurposesTests.Newsletter()).ReadAsync(HttpStatusCode.Created);
    }

    private static string Text(int length) => $"\"{new string('x', length)}\"";

    private static string List(int count, string entry) => $"[{string.Join(',', Enumerable.Repeat($"\"{entry}\"", count))}]";
}
