using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Http;
using ConsentLedger.Tests.Database;
using ConsentLedger.Tests.Hosting;
using Microsoft.AspNetCore.Http;

namespace ConsentLedger.Tests.Http;

public sealed class IdempotencyTests(TestDatabase databases)
{
    private static readonly JsonObject Wording = new() { ["language"] = "en", ["statement"] = "Yes, write to me." };

    [Theory]
    [InlineData("/probe")]
    [InlineData("/probe/stream")]
    public async Task The_same_request_again_gets_the_first_answer_and_is_not_carried_out_again(string path)
    {
        await using var service = await ReadingProbeAsync();

        var first = await service.PostAsync(path, "hello");
        var again = await service.PostAsync(path, "hello");

        again.StatusCode.ShouldBe(HttpStatusCode.Created);
        again.Headers.GetValues("Idempotency-Replayed").ShouldBe(["true"]);
        first.Headers.Contains("Idempotency-Replayed").ShouldBeFalse();
        again.Headers.Location.ShouldBe(first.Headers.Location);
        again.Content.Headers.ContentType.ShouldBe(first.Content.Headers.ContentType);
        (await again.ReadAsync(HttpStatusCode.Created))["run"]!.GetValue<int>().ShouldBe(1);
        service.Runs.ShouldBe(1);
    }

    [Theory]
    [InlineData("/probe", "/probe", "other")]
    [InlineData("/probe", "/probe?dryRun=true", "hello")]
    [InlineData("/probe", "/probe/stream", "hello")]
    [InlineData("/probe/stream", "/probe/stream", "other")]
    [InlineData("/probe/stream", "/probe/stream?dryRun=true", "hello")]
    public async Task The_same_key_for_another_request_is_refused(string first, string second, string body)
    {
        await using var service = await ReadingProbeAsync();
        await service.PostAsync(first, "hello");

        await service.PostAsync(second, body).ReadProblemAsync(HttpStatusCode.UnprocessableEntity, "idempotency-key-reused");

        service.Runs.ShouldBe(1);
    }

    [Fact]
    public async Task Quotes_make_no_difference_and_another_client_has_keys_of_its_own()
    {
        await using var service = await ReadingProbeAsync();
        await service.PostAsync("/probe", "hello", "8e03978e-40d5-43e8");

        (await service.PostAsync("/probe", "hello", "\"8e03978e-40d5-43e8\"")).Headers.Contains("Idempotency-Replayed").ShouldBeTrue();
        (await service.PostAsync("/probe", "other", "8e03978e-40d5-43e8", await service.CreateKeyAsync())).StatusCode.ShouldBe(HttpStatusCode.Created);
        (await service.PostAsync("/probe", "hello", null)).StatusCode.ShouldBe(HttpStatusCode.Created);

        service.Runs.ShouldBe(3);
    }

    [Theory]
    [InlineData("")]
    [InlineData("\"\"")]
    [InlineData("\"open")]
    [InlineData("\"a\" b")]
    [InlineData("two, keys")]
    [InlineData("one two")]
    [InlineData("\"back\\slash\"")]
    public async Task A_key_that_is_none_is_refused(string key)
    {
        await using var service = await ReadingProbeAsync();

        await service.PostAsync("/probe", "hello", key).ReadErrorAsync("Idempotency-Key");
        await service.PostAsync("/probe", "hello", new string('k', 256)).ReadErrorAsync("Idempotency-Key");

        service.Runs.ShouldBe(0);
        (await service.PostAsync("/probe", "hello", new string('k', 255))).StatusCode.ShouldBe(HttpStatusCode.Created);
    }

    [Theory]
    [InlineData("/probe")]
    [InlineData("/probe/stream")]
    public async Task While_the_first_is_running_a_second_is_told_to_wait(string path)
    {
        await using var service = await ReadingProbeAsync();
        var (reached, release) = service.HoldHandler();
        var first = service.PostAsync(path, "hello");
        await reached;

        var second = await service.PostAsync(path, "hello");

        await second.ReadProblemAsync(HttpStatusCode.Conflict, "idempotency-key-in-flight");
        second.Headers.RetryAfter!.Delta.ShouldBe(TimeSpan.FromSeconds(1));
        release.SetResult();
        (await first).StatusCode.ShouldBe(HttpStatusCode.Created);
        (await service.PostAsync(path, "hello")).Headers.Contains("Idempotency-Replayed").ShouldBeTrue();
        service.Runs.ShouldBe(1);
    }

    [Fact]
    public async Task A_request_that_runs_for_minutes_keeps_its_lease()
    {
        await using var service = await ReadingProbeAsync();
        var (reached, release) = service.HoldHandler();
        var first = service.PostAsync("/probe", "hello");
        await reached;

        for (var tick = 0; tick < 12; tick++)
        {
            var until = await UntilAsync(service);
            service.Clock.Advance(TimeSpan.FromSeconds(10));
            await EventuallyAsync(async () => await UntilAsync(service) > until);
        }

        await service.PostAsync("/probe", "hello").ReadProblemAsync(HttpStatusCode.Conflict, "idempotency-key-in-flight");
        release.SetResult();
        (await first).StatusCode.ShouldBe(HttpStatusCode.Created);
    }

    [Theory]
    [InlineData("/probe")]
    [InlineData("/probe/stream")]
    public async Task After_a_crash_exactly_one_retry_takes_over_once_the_lease_has_run_out(string path)
    {
        await using var service = await ReadingProbeAsync();
        await service.PostAsync(path, "hello");
        await CrashBeforeTheAnswerAsync(service);

        await service.PostAsync(path, "hello").ReadProblemAsync(HttpStatusCode.Conflict, "idempotency-key-in-flight");
        service.Clock.Advance(TimeSpan.FromSeconds(31));
        var (reached, release) = service.HoldHandler();
        var retries = Enumerable.Range(0, 8).Select(_ => service.PostAsync(path, "hello")).ToList();
        await reached;
        while (retries.Count(retry => !retry.IsCompleted) > 1)
        {
            await Task.WhenAny(retries.Where(retry => !retry.IsCompleted));
        }

        release.SetResult();
        var statuses = (await Task.WhenAll(retries)).Select(answer => answer.StatusCode).ToList();
        statuses.Count(status => status == HttpStatusCode.Created).ShouldBe(1);
        statuses.Count(status => status == HttpStatusCode.Conflict).ShouldBe(7);
        service.Runs.ShouldBe(2);
    }

    [Fact]
    public async Task A_retry_after_a_crash_is_the_same_request_to_its_handler()
    {
        await using var service = await ReadingProbeAsync();
        var seen = new List<IdempotentRequest>();
        service.Handler = (context, run) =>
        {
            seen.Add(context.Features.Get<IdempotentRequest>()!);
            return Task.FromResult<IResult>(TypedResults.Ok(new { run }));
        };

        await service.PostAsync("/probe", "hello");
        await CrashBeforeTheAnswerAsync(service);
        service.Clock.Advance(TimeSpan.FromSeconds(31));
        await service.PostAsync("/probe", "other").ReadProblemAsync(HttpStatusCode.UnprocessableEntity, "idempotency-key-reused");
        await service.PostAsync("/probe", "hello");
        service.Clock.Advance(TimeSpan.FromHours(24));
        await service.PostAsync("/probe", "hello");

        seen.Count.ShouldBe(3);
        seen[1].ShouldBe(seen[0]);
        seen[0].ShouldBe(new IdempotentRequest(seen[0].KeyId, "first", TestService.Start));
        seen[2].FirstSeenAt.ShouldBe(service.Clock.GetUtcNow());
    }

    [Fact]
    public async Task An_attempt_given_up_for_dead_does_not_overwrite_the_answer_of_the_one_that_took_over()
    {
        await using var service = await ReadingProbeAsync();
        var (reached, release) = service.HoldHandler();
        var dead = service.PostAsync("/probe", "hello");
        await reached;
        await ServerQueries.ScalarAsync(service.ConnectionString, "update consentledger.idempotency set in_flight_until = created_at");
        service.Handler = (_, _) => Task.FromResult<IResult>(TypedResults.Ok("the second"));

        await service.PostAsync("/probe", "hello").ReadAsync();
        release.SetResult();

        (await dead).StatusCode.ShouldBe(HttpStatusCode.Created);
        (await service.PostAsync("/probe", "hello").ReadAsync()).GetValue<string>().ShouldBe("the second");
    }

    [Fact]
    public async Task An_answer_is_kept_for_a_day()
    {
        await using var service = await ReadingProbeAsync();
        await service.PostAsync("/probe", "hello");

        service.Clock.Advance(TimeSpan.FromHours(24) - TimeSpan.FromSeconds(1));
        (await service.PostAsync("/probe", "hello")).Headers.Contains("Idempotency-Replayed").ShouldBeTrue();
        service.Clock.Advance(TimeSpan.FromSeconds(1));
        (await service.PostAsync("/probe", "something else")).StatusCode.ShouldBe(HttpStatusCode.Created);

        service.Runs.ShouldBe(2);
        service.Clock.Advance(TimeSpan.FromHours(25));
        await EventuallyAsync(async () => await CountAsync(service) == 0);
    }

    [Theory]
    [InlineData(500)]
    [InlineData(503)]
    [InlineData(403)]
    [InlineData(429)]
    public async Task What_may_come_out_otherwise_is_carried_out_again(int status)
    {
        await using var service = await ReadingProbeAsync();
        service.Handler = (_, run) => Task.FromResult<IResult>(run == 1 ? TypedResults.StatusCode(status) : TypedResults.Ok(new { run }));

        ((int)(await service.PostAsync("/probe", "hello")).StatusCode).ShouldBe(status);

        (await service.PostAsync("/probe", "hello").ReadAsync())["run"]!.GetValue<int>().ShouldBe(2);
    }

    [Theory]
    [InlineData("/probe")]
    [InlineData("/probe/stream")]
    public async Task A_handler_that_breaks_down_is_run_again(string path)
    {
        await using var service = await ReadingProbeAsync();
        var handler = service.Handler;
        service.Handler = (context, run) => run == 1 ? throw new InvalidOperationException("Broken.") : handler(context, run);

        await service.PostAsync(path, "hello").ReadProblemAsync(HttpStatusCode.InternalServerError, "internal-error");

        (await service.PostAsync(path, "hello").ReadAsync(HttpStatusCode.Created))["run"]!.GetValue<int>().ShouldBe(2);
    }

    [Fact]
    public async Task A_refusal_is_an_answer_too()
    {
        await using var service = await TestService.StartAsync(databases);
        var wrong = new JsonObject { ["language"] = "en", ["colour"] = "red" };

        await service.PostAsync("/v1/purposes/newsletter/notices", wrong, headers: ("Idempotency-Key", "n")).ReadErrorAsync("colour");
        var again = await service.PostAsync("/v1/purposes/newsletter/notices", wrong, headers: ("Idempotency-Key", "n"));

        again.Headers.Contains("Idempotency-Replayed").ShouldBeTrue();
        (await again.ReadProblemAsync(HttpStatusCode.BadRequest, "validation"))["errors"]!["colour"].ShouldNotBeNull();
    }

    [Fact]
    public async Task A_file_refused_before_it_was_read_through_can_be_sent_again()
    {
        await using var service = await ReadingProbeAsync();
        var handler = service.Handler;
        service.Handler = (context, run) => run == 1 ? Task.FromResult<IResult>(TypedResults.BadRequest()) : handler(context, run);

        (await service.PostAsync("/probe/stream", new string('x', 300_000))).StatusCode.ShouldBe(HttpStatusCode.BadRequest);

        (await service.PostAsync("/probe/stream", new string('x', 300_000))).StatusCode.ShouldBe(HttpStatusCode.Created);
    }

    [Fact]
    public async Task A_notice_is_published_once()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();

        var answers = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ =>
            service.PostAsync("/v1/purposes/newsletter/notices", Wording.DeepClone(), headers: ("Idempotency-Key", "\"once\""))));

        answers.Select(answer => answer.StatusCode).Distinct().ShouldBeSubsetOf([HttpStatusCode.Created, HttpStatusCode.Conflict]);
        (await service.GetAsync("/v1/purposes/newsletter/notices").ReadAsync())["items"]!.AsArray().Count.ShouldBe(1);
    }

    [Fact]
    public async Task Neither_keys_nor_requests_nor_answers_can_be_read_in_the_database()
    {
        await using var service = await ReadingProbeAsync();
        service.Handler = (_, _) => Task.FromResult<IResult>(TypedResults.Ok("ada@example.org"));

        await service.PostAsync("/probe", "ada@example.org", "ada@example.org");

        var row = (string)(await ServerQueries.ScalarAsync(
            service.ConnectionString, "select string_agg(encode(convert_to(i::text, 'utf8'), 'escape') || encode(answer, 'escape'), '') from consentledger.idempotency i"))!;
        row.ShouldNotBeNullOrEmpty();
        row.ShouldNotContain("example");
        row.ShouldNotContain(Convert.ToHexStringLower("example"u8));
    }

    /// <summary>A probe whose handler reads the body first, as handlers do.</summary>
    private async Task<ProbeService> ReadingProbeAsync()
    {
        var service = await ProbeService.StartAsync(databases);
        service.Handler = async (context, run) =>
        {
            await context.Request.Body.CopyToAsync(Stream.Null);
            return TypedResults.Created($"/things/{run}", new { run });
        };
        return service;
    }

    /// <summary>As if the process had died between its handler's commit and its own: in flight, and nobody there.</summary>
    private static Task<object?> CrashBeforeTheAnswerAsync(ProbeService service) =>
        ServerQueries.ScalarAsync(
            service.ConnectionString,
            "update consentledger.idempotency set status = null, answer = null, in_flight_until = created_at + interval '30 seconds'");

    private static async Task<DateTime> UntilAsync(ProbeService service) =>
        (DateTime)(await ServerQueries.ScalarAsync(service.ConnectionString, "select in_flight_until from consentledger.idempotency"))!;

    private static async Task<long> CountAsync(ProbeService service) =>
        (long)(await ServerQueries.ScalarAsync(service.ConnectionString, "select count(*) from consentledger.idempotency"))!;

    private static async Task EventuallyAsync(Func<Task<bool>> condition)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        while (!await condition())
        {
            await Task.Delay(20, deadline.Token);
        }
    }
}
