using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Unsubscribe;

namespace ConsentLedger.Tests.Retention;

/// <summary>What shows that the law was kept goes too, long after.</summary>
public sealed class AccountabilityKeptTests(TestDatabase databases)
{
    private const string Ada = "ada@example.org";

    [Fact]
    public async Task A_request_goes_three_years_after_it_was_closed_and_an_open_one_never()
    {
        await using var service = await TestService.StartAsync(databases, builder => builder.Configuration["ConsentLedger:Retention:BatchSize"] = "1");
        foreach (var address in new[] { Ada, "ben@example.org", "cy@example.org" })
        {
            var id = await ReceiveAsync(service, address);
            await service.PostAsync($"/v1/requests/{id}/refuse", new JsonObject { ["reason"] = "It was asked for a week ago." }).ReadAsync();
        }

        await ReceiveAsync(service, "eve@example.org");
        await service.PutAsync($"/v1/subscribers/{service.IdOf("cy@example.org")}/hold", new JsonObject { ["reason"] = "A claim." }).ReadAsync();
        service.Clock.SetUtcNow(TestService.Start.AddMonths(36).AddSeconds(-1));
        (await service.PurgeAsync()).Purged("requests").ShouldBe(0);
        service.Clock.SetUtcNow(TestService.Start.AddMonths(36));
        (await PreviewAsync(service, "requests")).ShouldBe(2);

        var run = await service.PurgeAsync();

        run.Purged("requests").ShouldBe(2);
        run["heldBack"]!.GetValue<long>().ShouldBe(1);
        (await service.CountAsync("rights_request")).ShouldBe(2);
        (await service.CountAsync("rights_request_step")).ShouldBe(3);
        var certificate = (await service.GetAsync($"/v1/retention/runs/{run.Text("id")}/certificate").ReadAsync())["certificate"]!;
        certificate["purged"]!["*"]!["requests"]!["count"]!.GetValue<int>().ShouldBe(2);
        service.Clock.Advance(TimeSpan.FromDays(20 * 365));
        (await service.PurgeAsync()).Purged("requests").ShouldBe(0);
    }

    [Fact]
    public async Task The_audit_trail_goes_after_six_years_but_for_what_is_held()
    {
        await using var service = await TestService.StartAsync(databases, builder => builder.Configuration["ConsentLedger:Retention:BatchSize"] = "2");
        await ReceiveAsync(service, Ada);
        await ReceiveAsync(service, "cy@example.org");
        await service.PutAsync($"/v1/subscribers/{service.IdOf("cy@example.org")}/hold", new JsonObject { ["reason"] = "A claim." }).ReadAsync();
        service.Clock.SetUtcNow(TestService.Start.AddMonths(72));
        var held = await service.CountAsync("audit_entry", $"about_subscriber = '{service.IdOf("cy@example.org")}'");
        var due = await PreviewAsync(service, "audit");
        due.ShouldBe(await service.CountAsync("audit_entry") - held);

        var run = await service.PurgeAsync();

        run.Purged("audit").ShouldBe(due);
        (await service.CountAsync("audit_entry", "action <> 'purge-requested'")).ShouldBe(held);
        var certificate = (await service.GetAsync($"/v1/retention/runs/{run.Text("id")}/certificate").ReadAsync())["certificate"]!;
        certificate["purged"]!["*"]!["audit"]!["count"]!.GetValue<long>().ShouldBe(due);
    }

    [Fact]
    public async Task Both_are_set_and_the_record_of_processing_says_them()
    {
        await using var service = await TestService.StartAsync(databases, builder =>
        {
            builder.Configuration["ConsentLedger:Retention:Requests"] = "P1Y";
            builder.Configuration["ConsentLedger:Retention:Audit"] = "P2Y";
        });

        var policy = (await service.GetAsync("/v1/retention/policy").ReadAsync())["items"]!.AsArray();
        policy.Select(item => $"{item!.Text("rule")} {item!["period"]}").ShouldContain("requests P12M");
        policy.Select(item => $"{item!.Text("rule")} {item!["period"]}").ShouldContain("audit P24M");
        var kept = (await service.GetAsync("/v1/processing-record").ReadAsync())["accountabilityKept"]!;
        kept.Text("requests").ShouldBe("P12M");
        kept.Text("audit").ShouldBe("P24M");
    }

    private static async Task<string> ReceiveAsync(TestService service, string address) =>
        (await service.PostAsync("/v1/requests", new JsonObject { ["kind"] = "access", ["address"] = address }).ReadAsync(HttpStatusCode.Created)).Text("id");

    private static async Task<long> PreviewAsync(TestService service, string rule) =>
        (await service.GetAsync("/v1/retention/preview").ReadAsync())["items"]!.AsArray().Single(item => item!.Text("rule") == rule)!["now"]!.GetValue<long>();
}
