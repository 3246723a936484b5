using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;
using static ConsentLedger.Tests.Feedback.FeedbackScene;

namespace ConsentLedger.Tests.Feedback;

public sealed class SoftBounceTests(TestDatabase databases)
{
    private const string Ada = "ada@museum.example";

    [Fact]
    public async Task Three_within_thirty_days_suppress()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada);

        (await BounceAsync(service, "1")).ShouldBe("counted 1");
        (await BounceAsync(service, "2")).ShouldBe("counted 1");
        (await BounceAsync(service, "2")).ShouldBe("unchanged 1");
        (await service.ReasonAsync(Ada)).ShouldBe("given");
        (await BounceAsync(service, "3")).ShouldBe("suppressed 1");

        (await service.ReasonAsync(Ada)).ShouldBe("suppressed");
        (await BounceAsync(service, "3")).ShouldBe("unchanged 1");
        (await service.SuppressedAsync()).ShouldBe(1);
    }

    [Fact]
    public async Task How_many_and_within_what_time_is_a_setting()
    {
        await using var service = await TestService.StartAsync(databases, builder =>
        {
            builder.Configuration["ConsentLedger:Feedback:SoftBounceLimit"] = "2";
            builder.Configuration["ConsentLedger:Feedback:SoftBounceDays"] = "7";
        });

        (await BounceAsync(service, "1")).ShouldBe("counted 1");
        service.Clock.Advance(TimeSpan.FromDays(7));
        (await BounceAsync(service, "2")).ShouldBe("counted 1");
        service.Clock.Advance(TimeSpan.FromDays(6));
        (await BounceAsync(service, "3")).ShouldBe("suppressed 1");
    }

    [Fact]
    public async Task They_count_by_when_they_happened_and_those_too_old_not_at_all()
    {
        await using var service = await TestService.StartAsync(databases);
        (await service.ReportAsync(Report(Ada, "soft-bounce", "1", TestService.Start.AddDays(-31))).SendAndCountAsync()).ShouldBe("ignored 1");
        (await service.ReportAsync(Report(Ada, "soft-bounce", "2", TestService.Start.AddDays(-1))).SendAndCountAsync()).ShouldBe("counted 1");
        (await service.ReportAsync(Report(Ada, "soft-bounce", "3", TestService.Start.AddDays(-2))).SendAndCountAsync()).ShouldBe("counted 1");

        (await service.ReportAsync(Report(Ada, "soft-bounce", "4", TestService.Start.AddDays(-3))).SendAndCountAsync()).ShouldBe("suppressed 1");

        // The suppression began with the last of them, whichever was heard of last.
        (await service.SqlAsync("select occurred_at = timestamptz '2026-11-21 09:30:00Z' from consent_event")).ShouldBe(true);
    }

    [Fact]
    public async Task A_message_that_gets_through_starts_the_count_afresh()
    {
        await using var service = await TestService.StartAsync(databases);
        await BounceAsync(service, "1");
        await BounceAsync(service, "2");
        service.Clock.Advance(TimeSpan.FromHours(1));

        (await service.ReportAsync(Report(Ada, "delivery")).SendAndCountAsync()).ShouldBe("ignored 1");

        service.Clock.Advance(TimeSpan.FromHours(1));
        (await BounceAsync(service, "2")).ShouldBe("unchanged 1");
        (await BounceAsync(service, "3")).ShouldBe("counted 1");
        (await BounceAsync(service, "4")).ShouldBe("counted 1");
        (await BounceAsync(service, "5")).ShouldBe("suppressed 1");
    }

    [Fact]
    public async Task After_a_release_it_takes_as_many_again()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada);
        foreach (var id in new[] { "1", "2", "3" })
        {
            await BounceAsync(service, id);
        }

        service.Clock.Advance(TimeSpan.FromHours(1));
        await service.EventAsync(Ada, "released", "*");
        service.Clock.Advance(TimeSpan.FromHours(1));

        (await BounceAsync(service, "4")).ShouldBe("counted 1");
        (await service.ReasonAsync(Ada)).ShouldBe("given");
        await BounceAsync(service, "5");
        (await BounceAsync(service, "6")).ShouldBe("suppressed 1");
    }

    [Fact]
    public async Task Many_at_once_are_each_counted_once()
    {
        await using var service = await TestService.StartAsync(databases);

        var answers = await Task.WhenAll(Enumerable.Range(0, 30).Select(n =>
            service.ReportAsync(Report(Ada, "soft-bounce", $"{n % 3}", TestService.Start.AddHours(-1 - (n % 3)))).SendAndCountAsync()));

        answers.GroupBy(counts => counts).ToDictionary(group => group.Key, group => group.Count())
            .ShouldBe(new Dictionary<string, int> { ["counted 1"] = 2, ["suppressed 1"] = 1, ["unchanged 1"] = 27 }, ignoreOrder: true);
        (await service.SuppressedAsync()).ShouldBe(1);
    }

    [Fact]
    public async Task What_no_longer_counts_is_deleted()
    {
        await using var service = await TestService.StartAsync(databases);
        await BounceAsync(service, "1");
        service.Clock.Advance(TimeSpan.FromDays(20));
        await BounceAsync(service, "2");

        service.Clock.Advance(TimeSpan.FromDays(11));
        for (var patience = 0; patience < 100 && (long)(await service.SqlAsync("select count(*) from soft_bounce"))! > 1; patience++)
        {
            await Task.Delay(50, TestContext.Current.CancellationToken);
        }

        (await service.SqlAsync("select count(*) from soft_bounce")).ShouldBe(1L);
    }

    private static Task<string> BounceAsync(TestService service, string id) =>
        service.PostAsync("/v1/feedback/generic", new JsonObject { ["events"] = new JsonArray(Report(Ada, "soft-bounce", id)) }).SendAndCountAsync();
}
