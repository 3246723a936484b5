using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Ledger;
using ConsentLedger.Subscribers;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Retention;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace ConsentLedger.Tests.Ledger;

/// <summary>Appends share commits; none of them notices.</summary>
public sealed class AppendTogetherTests(TestDatabase databases)
{
    [Fact]
    public async Task Many_at_once_are_each_told_what_became_of_theirs()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.PurposeAsync("events");
        var requests = new List<JsonObject>();
        for (var n = 0; n < 40; n++)
        {
            // Of one subscriber several, for two purposes, and each of them sent twice; and one id for two statements.
            var id = Guid.CreateVersion7(TestService.Start).ToString();
            var address = $"person-{n % 10}@museum.example";
            var purpose = n % 3 == 0 ? "events" : "newsletter";
            var kind = n % 4 == 3 ? "withdrawn" : "given";
            var with = new JsonObject { ["id"] = id };
            var occurredAt = TestService.Start.AddMinutes(-1 - n);
            requests.Add(Given.Event(address, kind, purpose, occurredAt, with));
            requests.Add(Given.Event(address, kind, purpose, occurredAt, with));
            requests.Add(Given.Event(address, "refused", purpose, occurredAt, with));
        }

        var answers = await Task.WhenAll(requests.Select(async request => (Request: request, Answer: await service.PostAsync("/v1/events", request))));

        foreach (var same in answers.GroupBy(sent => sent.Request.Text("id")))
        {
            same.Count(sent => sent.Answer.StatusCode == HttpStatusCode.Created).ShouldBe(1);
            var first = same.Single(sent => sent.Answer.StatusCode == HttpStatusCode.Created);
            foreach (var (request, answer) in same.Where(sent => sent != first))
            {
                answer.StatusCode.ShouldBe(request.Text("kind") == first.Request.Text("kind") ? HttpStatusCode.OK : HttpStatusCode.Conflict);
            }
        }

        (await service.CountAsync("consent_event")).ShouldBe(40);
        (await service.CountAsync(TestService.Logged)).ShouldBe(40);
        (await service.CountAsync("subscriber")).ShouldBe(10);
        await service.RebuildChangesNothingAsync();
    }

    [Fact]
    public async Task One_that_the_database_refuses_fails_alone()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        var ledger = service.Services.GetRequiredService<LedgerStore>();

        var appends = Enumerable.Range(0, 30).Select(n => AppendAsync(ledger, n, impossible: n % 10 == 4)).ToList();
        var outcomes = await Task.WhenAll(appends.Select(async append =>
        {
            try
            {
                return (await append).ToString();
            }
            catch (PostgresException refused)
            {
                return refused.ConstraintName;
            }
        }));

        outcomes.Count(outcome => outcome == "consent_event_expires_after_it_occurred").ShouldBe(3);
        outcomes.Count(outcome => outcome == nameof(AppendOutcome.Appended)).ShouldBe(27);
        (await service.CountAsync("consent_event")).ShouldBe(27);
        (await service.CountAsync("consent_state")).ShouldBe(27);
    }

    [Fact]
    public async Task What_one_instance_changes_of_a_purpose_another_goes_by_at_once()
    {
        await using var one = await TestService.StartAsync(databases);
        await using var other = await TestService.StartAsync(one.ConnectionString, one.Keys, one.Clock);
        await one.PurposeAsync();
        await other.EventAsync("ada@museum.example");
        await other.EventAsync("bob@museum.example");

        await one.NoticeAsync();
        var refusal = await other.PostAsync("/v1/events", Given.Event("cyd@museum.example"));
        (await refusal.ReadProblemAsync(HttpStatusCode.BadRequest, "validation"))["errors"]!.AsObject().ShouldContainKey("notice");

        await one.PurposeAsync(with: new JsonObject { ["consentLifetime"] = "P1Y" });
        var given = await other.EventAsync("cyd@museum.example", with: new JsonObject { ["notice"] = new JsonObject { ["version"] = 1 } });
        given["event"]!.Text("expiresAt").ShouldBe("2027-11-22T09:30:00Z");
    }

    private static Task<AppendOutcome> AppendAsync(LedgerStore ledger, int n, bool impossible) => ledger.AppendAsync(
        new ConsentEvent
        {
            SubscriberId = new SubscriberId(Guid.NewGuid()),
            Id = EventId.New(TestService.Start.AddMilliseconds(n)),
            Purpose = new(1),
            Kind = EventKind.Given,
            Source = SourceKind.Api,
            OccurredAt = TestService.Start,
            RecordedAt = TestService.Start,
            ExpiresAt = impossible ? TestService.Start.AddDays(-1) : null,
        },
        address: null,
        CancellationToken.None);
}
