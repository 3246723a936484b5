using System.Buffers.Binary;
using System.Net;
using System.Numerics;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.Unsubscribe;

namespace ConsentLedger.Tests.SignUps;

/// <summary>A form that asks for some work first.</summary>
public sealed class ChallengeTests(TestDatabase databases)
{
    [Fact]
    public async Task A_sign_up_with_a_solved_challenge_is_taken_and_the_same_answer_is_taken_once()
    {
        using var sink = SmtpSink.Start();
        await using var service = await StartAsync(sink);
        await using var other = await TestService.StartAsync(service.ConnectionString, service.Keys, service.Clock, MailScene.To(sink));
        var (challenge, solution) = await SolveAsync(service);

        (await PostAsync(service, challenge, solution)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        (await sink.MailAsync()).To.ToString().ShouldBe(SignUpScene.Ada);

        foreach (var instance in new[] { service, other })
        {
            (await PostAsync(instance, challenge, solution, "second@example.org").ReadErrorAsync("challenge")).ShouldBe("This challenge was used already; each counts once.");
        }

        (await service.SqlAsync("select count(*) from sign_up")).ShouldBe(1L);
    }

    [Fact]
    public async Task Of_many_who_send_one_answer_at_once_one_is_taken()
    {
        using var sink = SmtpSink.Start();
        await using var service = await StartAsync(sink);
        var (challenge, solution) = await SolveAsync(service);

        var answers = await Task.WhenAll(Enumerable.Range(0, 12).Select(i => PostAsync(service, challenge, solution, $"reader{i}@example.org")));

        answers.Count(answer => answer.StatusCode == HttpStatusCode.Accepted).ShouldBe(1);
        (await service.SqlAsync("select count(*) from sign_up")).ShouldBe(1L);
    }

    [Fact]
    public async Task An_answer_that_is_missing_wrong_old_or_of_another_form_records_nothing_whoever_is_known()
    {
        using var sink = SmtpSink.Start();
        await using var service = await StartAsync(sink);
        await service.ChallengingFormAsync("other");
        await service.ConsentAsync(TestService.Start.AddYears(-1), "known@example.org");
        var (challenge, solution) = await SolveAsync(service);
        var foreign = await SolveAsync(service, "other");

        foreach (var address in new[] { "known@example.org", "unknown@example.org" })
        {
            (await PostAsync(service, null, null, address).ReadErrorAsync("challenge")).ShouldContain("GET /signup/website/challenge");
            (await PostAsync(service, challenge, null, address).ReadErrorAsync("solution")).ShouldBe("The solution does not solve the challenge.");
            (await PostAsync(service, challenge, "00000000", address).ReadErrorAsync("solution")).ShouldBe("The solution does not solve the challenge.");
            (await PostAsync(service, challenge, Wrong(challenge), address).ReadErrorAsync("solution")).ShouldBe("The solution does not solve the challenge.");
            (await PostAsync(service, foreign.Challenge, foreign.Solution, address).ReadErrorAsync("challenge")).ShouldBe("This is not a challenge of this form.");
            (await PostAsync(service, challenge[..^1] + (challenge[^1] == 'A' ? 'E' : 'A'), solution, address).ReadErrorAsync("challenge")).ShouldBe("This is not a challenge of this form.");
        }

        service.Clock.Advance(TimeSpan.FromMinutes(30));
        (await PostAsync(service, challenge, solution).ReadErrorAsync("challenge")).ShouldBe("This challenge has expired: answer within 30 minutes.");
        (await service.SqlAsync("select (select count(*) from sign_up) + (select count(*) from used_challenge)")).ShouldBe(0L);
        (await service.KindsAsync("known@example.org")).ShouldBe("Given");
    }

    [Fact]
    public async Task A_form_that_is_filled_in_wrongly_does_not_use_up_the_work()
    {
        using var sink = SmtpSink.Start();
        await using var service = await StartAsync(sink);
        var (challenge, solution) = await SolveAsync(service);

        (await PostAsync(service, challenge, solution, "nobody").ReadErrorAsync("address")).ShouldNotBeEmpty();

        (await PostAsync(service, challenge, solution)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
    }

    [Fact]
    public async Task Without_JavaScript_there_is_one_more_step_and_nothing_is_to_be_written_twice()
    {
        using var sink = SmtpSink.Start();
        await using var service = await StartAsync(sink);
        (await service.GetAsync("/v1/forms/website").ReadAsync())["challenge"]!.GetValue<bool>().ShouldBeTrue();

        var first = await service.SignUpAsync(SignUpScene.Ada, ("firstName", "Ada"), ("returnUrl", $"{SignUpScene.Site}/thank-you"));
        var page = await first.TextAsync();

        first.StatusCode.ShouldBe(HttpStatusCode.OK);
        page.ShouldContain("One more step");
        page.ShouldContain($"value=\"{SignUpScene.Ada}\"");
        page.ShouldContain("value=\"Ada\"");
        (await service.SqlAsync("select count(*) from sign_up")).ShouldBe(0L);

        var second = await service.SignUpAsync(
            SignUpScene.Ada, ("firstName", "Ada"), ("returnUrl", Hidden(page, "returnUrl")), ("challenge", Hidden(page, "challenge")));
        second.StatusCode.ShouldBe(HttpStatusCode.SeeOther);
        second.Headers.Location!.ToString().ShouldBe($"{SignUpScene.Site}/thank-you");
        await sink.MailAsync();

        // It counts once, like any other, and it is not there for scripts.
        (await service.SignUpAsync("second@example.org", ("challenge", Hidden(page, "challenge"))).TextAsync()).ShouldContain("One more step");
        (await service.SqlAsync("select count(*) from sign_up")).ShouldBe(1L);
    }

    [Fact]
    public async Task The_way_without_JavaScript_is_open_to_a_few_on_one_network()
    {
        using var sink = SmtpSink.Start();
        await using var service = await StartAsync(sink);
        var answers = new List<HttpResponseMessage>();
        for (var i = 0; i < 6; i++)
        {
            var step = await service.SignUpAsync($"reader{i}@example.org").TextAsync();
            answers.Add(await service.SignUpAsync($"reader{i}@example.org", ("challenge", Hidden(step, "challenge"))));
        }

        answers.Take(5).ShouldAllBe(answer => answer.StatusCode == HttpStatusCode.OK);
        answers[5].StatusCode.ShouldBe(HttpStatusCode.TooManyRequests);
        answers[5].Headers.RetryAfter!.Delta!.Value.TotalMinutes.ShouldBeInRange(0, 10);
        (await answers[5].TextAsync()).ShouldContain("only a few people on one network");
        (await service.SqlAsync("select count(*) from sign_up")).ShouldBe(5L);
        var (challenge, solution) = await SolveAsync(service);
        (await PostAsync(service, challenge, solution)).StatusCode.ShouldBe(HttpStatusCode.Accepted);
    }

    [Fact]
    public async Task A_website_s_own_server_need_not_work_and_neither_does_anyone_where_the_form_does_not_ask()
    {
        using var sink = SmtpSink.Start();
        await using var service = await StartAsync(sink);

        (await service.PostAsync("/v1/signups", new JsonObject { ["form"] = "website", ["address"] = SignUpScene.Ada })).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        await sink.MailAsync();

        await service.FormAsync();
        (await service.GetAsync("/v1/forms/website").ReadAsync())["challenge"]!.GetValue<bool>().ShouldBeFalse();
        (await PostAsync(service, null, null, "second@example.org")).StatusCode.ShouldBe(HttpStatusCode.Accepted);
        (await service.OpenAsync("/signup/website").TextAsync()).ShouldNotContain("script");
    }

    [Fact]
    public async Task Only_the_form_s_sites_get_challenges_and_what_is_remembered_of_them_goes()
    {
        using var sink = SmtpSink.Start();
        await using var service = await StartAsync(sink);

        (await ChallengeFromAsync(service, SignUpScene.Site)).Headers.GetValues("Access-Control-Allow-Origin").ShouldBe([SignUpScene.Site]);
        (await ChallengeFromAsync(service, SignUpScene.Site)).Headers.CacheControl!.NoStore.ShouldBeTrue();
        await (await ChallengeFromAsync(service, "https://evil.example")).ReadProblemAsync(HttpStatusCode.Forbidden, "origin-not-allowed");
        (await service.SendBareAsync(HttpMethod.Get, "/signup/nowhere/challenge")).StatusCode.ShouldBe(HttpStatusCode.NotFound);

        var (challenge, solution) = await SolveAsync(service);
        await PostAsync(service, challenge, solution);
        (await service.SqlAsync("select count(*) from used_challenge")).ShouldBe(1L);
        service.Clock.Advance(TimeSpan.FromHours(2));
        await MailScene.UntilAsync(async () => (long)(await service.SqlAsync("select count(*) from used_challenge"))! == 0, "forgotten");
    }

    private async Task<TestService> StartAsync(SmtpSink sink)
    {
        var service = await SignUpScene.StartAsync(databases, sink);
        await service.ChallengingFormAsync();
        return service;
    }

    /// <summary>Does the work as the contract says it, and not as the service or its script do.</summary>
    private static async Task<(string Challenge, string Solution)> SolveAsync(TestService service, string form = "website")
    {
        var asked = await service.SendBareAsync(HttpMethod.Get, $"/signup/{form}/challenge", "application/json").ReadAsync();
        var (challenge, bits) = (asked.Text("challenge"), asked["bits"]!.GetValue<int>());
        return (challenge, $"{Enumerable.Range(0, int.MaxValue).First(number => ZeroBits(challenge, number) >= bits)}");
    }

    private static string Wrong(string challenge) => $"{Enumerable.Range(0, 100).First(number => ZeroBits(challenge, number) < 15)}";

    private static int ZeroBits(string challenge, int number) =>
        BitOperations.LeadingZeroCount(BinaryPrimitives.ReadUInt32BigEndian(SHA256.HashData(Encoding.ASCII.GetBytes($"{challenge}.{number}"))));

    private static Task<HttpResponseMessage> PostAsync(TestService service, string? challenge, string? solution, string address = SignUpScene.Ada) =>
        service.SignUpFromAsync(SignUpScene.Site, new JsonObject { ["address"] = address, ["challenge"] = challenge, ["solution"] = solution });

    private static async Task<HttpResponseMessage> ChallengeFromAsync(TestService service, string origin)
    {
        using var request = new HttpRequestMessage(HttpMethod.Get, "/signup/website/challenge");
        request.Headers.TryAddWithoutValidation("Origin", origin);
        return await service.Client.SendAsync(request);
    }

    private static string Hidden(string page, string name) =>
        WebUtility.HtmlDecode(Regex.Match(page, $"name=\"{name}\" value=\"([^\"]+)\"").Groups[1].Value);
}
