using System.Net;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Purposes;

/// <summary>What a notice can be. Each row publishes for a purpose of its own.</summary>
public sealed class NoticeRulesTests(SharedService shared) : IClassFixture<SharedService>
{
    private static int count;

    private readonly TestService service = shared.Service;

    /// <summary>What each member takes at most, and what it does not take.</summary>
    public static TheoryData<string, string, string> Limits => new()
    {
        { "language", "en", "english please" },
        { "language", "zh-Hans-CN", "e" },
        { "language", "cy-GB", "" },
        { "statement", new string('x', 10_000), new string('x', 10_001) },
        { "statement", "Yes,\nplease.", " \n" },
        { "statement", "Iawn – ŵyl.", "a\u0007" },
        { "privacyNoticeUrl", "http://museum.example/", "/privacy" },
        { "privacyNoticeUrl", "https://museum.example/" + new string('x', 1977), "https://museum.example/" + new string('x', 1978) },
        { "privacyNoticeUrl", "https://amgueddfa.example/preifatrwydd?iaith=cy#top", "javascript:alert(1)" },
    };

    [Theory, MemberData(nameof(Limits))]
    public async Task Each_member_takes_what_it_may_hold_and_nothing_more(string member, string most, string tooMuch)
    {
        var path = await PurposeAsync();
        var (wording, wrong) = (NoticesTests.Wording("Yes."), NoticesTests.Wording("Yes."));
        (wording[member], wrong[member]) = (most, tooMuch);

        await service.PostAsync(path, wrong).ReadErrorAsync(member);
        (await service.PostAsync(path, wording).ReadAsync(HttpStatusCode.Created))["version"]!.GetValue<int>().ShouldBe(1);
    }

    [Theory]
    [InlineData("language")]
    [InlineData("statement")]
    public async Task What_is_required_is_asked_for(string member)
    {
        var path = await PurposeAsync();
        var without = NoticesTests.Wording("Yes.");
        without.Remove(member);

        await service.PostAsync(path, without).ReadErrorAsync(member);
    }

    [Theory]
    [InlineData("version")]
    [InlineData("digest")]
    [InlineData("publishedAt")]
    public async Task A_member_that_can_not_be_set_is_named(string member)
    {
        var path = await PurposeAsync();
        var more = NoticesTests.Wording("Yes.");
        more[member] = "1";

        await service.PostAsync(path, more).ReadErrorAsync(member);
    }

    private async Task<string> PurposeAsync()
    {
        var key = $"row-{Interlocked.Increment(ref count)}";
        await service.PurposeAsync(key);
        return $"/v1/purposes/{key}/notices";
    }
}
