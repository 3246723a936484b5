using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Retention;
using ConsentLedger.Subscribers;
using ConsentLedger.Tests.Hosting;
using CsCheck;
using Microsoft.Extensions.DependencyInjection;

namespace ConsentLedger.Tests.Retention;

public sealed class PurgeProperties(TestDatabase databases)
{
    private static readonly string[] People = ["ada@museum.example", "ben@museum.example"];
    private static readonly string[] Purposes = ["newsletter", "open-day", "thanks"];

    private static readonly EventKind[] Kinds =
    [
        EventKind.Requested, EventKind.Permitted, EventKind.Given, EventKind.Renewed, EventKind.Expired, EventKind.Invalidated,
        EventKind.Refused, EventKind.Withdrawn, EventKind.Revoked, EventKind.Objected,
        EventKind.Suppressed, EventKind.Released, EventKind.Restricted, EventKind.Unrestricted,
    ];

    /// <summary>An event, and what happens after it.</summary>
    private static readonly Gen<Step> Steps = Gen.Select(
        Gen.Int[0, People.Length - 1], Gen.Int[0, Purposes.Length], Gen.Int[0, Kinds.Length - 1], Gen.Int[0, 100], Gen.Int[-60, 60], Gen.Int[0, 9])
        .Select((person, purpose, kind, daysAgo, expiresIn, then) => new Step(person, purpose, Kinds[kind], daysAgo, expiresIn, then));

    [Fact]
    public async Task Whatever_happens_and_whenever_a_purge_comes_no_refusal_is_forgotten_and_the_state_is_what_the_rest_makes_it()
    {
        await using var service = await TestService.StartAsync(databases, builder => builder.Configuration["ConsentLedger:Retention:BatchSize"] = "2");
        foreach (var purpose in Purposes)
        {
            await service.PurposeAsync(purpose, with: ConsentLedger.Tests.Retention.Purges.Retention(pending: "P1M", lapsed: "P2M", evidence: "P1M"));
        }

        await Steps.Array[1, 14].SampleAsync(steps => HoldsAsync(service, steps), iter: 15, threads: 1);
    }

    private static async Task HoldsAsync(TestService service, Step[] steps)
    {
        await service.SqlAsync("truncate consent_event, evidence, consent_state, suppression, subscriber, outbox, legal_hold, purge_record, purge_run");
        await service.SqlAsync($"update purpose set ends_at = '{service.Clock.GetUtcNow().AddMonths(5):O}' where key = 'open-day'");
        foreach (var step in steps)
        {
            await AppendAsync(service, step);
            switch (step.Then)
            {
                case 0:
                    service.Clock.Advance(TimeSpan.FromDays(20));
                    break;
                case 1:
                    service.Clock.Advance(TimeSpan.FromDays(70));
                    break;
                case 2 or 3 or 4:
                    await PurgeAsync(service);
                    break;
                case 5:
                    service.Clock.Advance(TimeSpan.FromDays(800));
                    break;
            }
        }

        foreach (var days in (int[])[0, 30, 70, 800])
        {
            service.Clock.Advance(TimeSpan.FromDays(days));
            await PurgeAsync(service);
        }
    }

    private static async Task PurgeAsync(TestService service)
    {
        var before = await ReasonsAsync(service);
        var preview = (await service.GetAsync("/v1/retention/preview").ReadAsync())["items"]!.AsArray();
        var run = await service.PurgeAsync();
        foreach (var rule in Enum.GetValues<PurgeRule>().Select(Label<PurgeRule>.Of))
        {
            run.Purged(rule).ShouldBe(preview.Where(item => item!.Text("rule") == rule).Sum(item => item!["now"]!.GetValue<long>()), rule);
        }

        foreach (var (who, after) in await ReasonsAsync(service))
        {
            var (allowed, reason) = before[who];
            if (allowed)
            {
                after.ShouldBe((allowed, reason));
            }
            else if (reason is not "pending")
            {
                // Someone who asked again while a consent stood is pending; when that request goes, the consent stands.
                after.Allowed.ShouldBeFalse($"{reason}, then {after.Reason}");
            }

            if (reason is "refused" or "withdrawn" or "revoked" or "invalidated" or "objected" or "suppressed" or "restricted")
            {
                after.Reason.ShouldBe(reason);
            }
        }
    }

    private static async Task<Dictionary<(string Person, string Purpose), (bool Allowed, string Reason)>> ReasonsAsync(TestService service)
    {
        var reasons = new Dictionary<(string, string), (bool, string)>();
        foreach (var person in People)
        {
            foreach (var purpose in Purposes)
            {
                var check = await service.CheckAsync(person, purpose);
                reasons.Add((person, purpose), (check["allowed"]!.GetValue<bool>(), check.Text("reason")));
            }
        }

        return reasons;
    }

    private static async Task AppendAsync(TestService service, Step step)
    {
        var now = service.Clock.GetUtcNow();
        var address = Address.Parse(People[step.Person], null);
        var facet = step.Kind.Facet();
        var purpose = facet is not null && (step.Kind.IsFacetOnly() || step.Purpose == Purposes.Length)
            ? facet.Value
            : (await service.Services.GetRequiredService<PurposeCatalogue>().FindAsync(
                PurposeKey.Parse(Purposes[step.Purpose % Purposes.Length], null), TestContext.Current.CancellationToken))!.Id;
        var occurredAt = now.AddDays(-step.DaysAgo);
        await service.Services.GetRequiredService<LedgerStore>().AppendAsync(
            new ConsentEvent
            {
                SubscriberId = service.Services.GetRequiredService<SubscriberIds>().Of(address),
                Id = ConsentLedger.Ledger.EventId.New(occurredAt),
                Purpose = purpose,
                Kind = step.Kind,
                Basis = purpose.IsFacet ? null : step.Kind == EventKind.Permitted ? LawfulBasis.SoftOptIn : LawfulBasis.Consent,
                Source = SourceKind.Api,
                OccurredAt = occurredAt,
                RecordedAt = now,
                ExpiresAt = step.Kind.Permits() && step.ExpiresIn > 0 ? occurredAt.AddDays(step.ExpiresIn) : null,
                Evidence = step.ExpiresIn % 2 == 0 ? Evidence.Of(new Dictionary<string, object?> { ["ip"] = "192.0.2.7" }) : null,
            },
            address,
            TestContext.Current.CancellationToken);
    }

    private readonly record struct Step(int Person, int Purpose, EventKind Kind, int DaysAgo, int ExpiresIn, int Then);
}
