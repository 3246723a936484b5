using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.Retention;
using ConsentLedger.Tests.Unsubscribe;

namespace ConsentLedger.Tests.SubjectRights;

public sealed class HoldTests(TestDatabase databases)
{
    [Fact]
    public async Task A_hold_is_placed_shown_explained_anew_and_lifted()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        var id = (await service.EventAsync("ada@museum.example")).Text("subscriberId");

        var placed = await service.PutAsync($"/v1/subscribers/{id}/hold", new JsonObject { ["reason"] = "Solicitors, letter of 20 November" }).ReadAsync();

        placed.ToJsonString().ShouldBe($$"""{"subscriberId":"{{id}}","reason":"Solicitors, letter of 20 November","placedAt":"2026-11-22T09:30:00Z","reviewAt":null}""");
        (await HeldAsync()).ShouldBeTrue();
        (await service.SqlAsync("select position('Solicitors'::bytea in reason) from legal_hold")).ShouldBe(0);
        service.Clock.Advance(TimeSpan.FromDays(1));
        var again = await service.PutAsync($"/v1/subscribers/{id}/hold", new JsonObject { ["reason"] = "Claim issued" }).ReadAsync();
        again.Text("placedAt").ShouldBe("2026-11-22T09:30:00Z");

        (await service.SendAsync(HttpMethod.Delete, $"/v1/subscribers/{id}/hold")).StatusCode.ShouldBe(HttpStatusCode.NoContent);
        (await HeldAsync()).ShouldBeFalse();
        await service.SendAsync(HttpMethod.Delete, $"/v1/subscribers/{id}/hold").ReadProblemAsync(HttpStatusCode.NotFound, "not-found");

        async Task<bool> HeldAsync() =>
            (await service.PostAsync("/v1/subscribers/lookup", new JsonObject { ["address"] = "ada@museum.example" }).ReadAsync())["held"]!.GetValue<bool>();
    }

    [Fact]
    public async Task It_keeps_what_was_sent_and_what_came_back_too()
    {
        await using var service = await TestService.StartAsync(databases);
        var (held, free) = (service.IdOf("ada@museum.example"), service.IdOf("ben@museum.example"));
        foreach (var id in new[] { held, free })
        {
            await service.SqlAsync($"""
                insert into mail_outbox (subscriber_id, mail_id, kind, message_id, status, next_attempt_at, created_at, finished_at)
                values ('{id}', gen_random_uuid(), 'test', 'x', 'sent', '{TestService.Start:O}', '{TestService.Start:O}', '{TestService.Start:O}');
                insert into sign_up (subscriber_id, sign_up_id, status, next_attempt_at, received_at)
                values ('{id}', gen_random_uuid(), 'settled', '{TestService.Start:O}', '{TestService.Start:O}');
                insert into soft_bounce (subscriber_id, report_id, occurred_at) values ('{id}', gen_random_uuid(), '{TestService.Start:O}');
                """);
        }

        await service.PutAsync($"/v1/subscribers/{held}/hold", new JsonObject { ["reason"] = "You kept writing to me." }).ReadAsync();

        foreach (var table in new[] { "mail_outbox", "sign_up", "soft_bounce" })
        {
            await MailScene.UntilAsync(
                async () =>
                {
                    service.Clock.Advance(TimeSpan.FromDays(1));
                    return await service.CountAsync(table, $"subscriber_id = '{free}'") == 0;
                },
                $"the cleanup of {table}");
            (await service.CountAsync(table, $"subscriber_id = '{held}'")).ShouldBe(1, table);
        }
    }

    [Fact]
    public async Task Holds_are_listed_by_when_they_are_to_be_looked_at_again()
    {
        await using var service = await TestService.StartAsync(databases);
        var ids = new List<string>();
        foreach (var (days, reason) in new[] { (20, "Claim"), (10, "Inquiry"), (0, "Insurance") })
        {
            var body = new JsonObject { ["reason"] = reason };
            if (days > 0)
            {
                body["reviewAt"] = TestService.Start.AddDays(days).UtcDateTime.ToString("O");
            }

            ids.Add($"{Guid.NewGuid()}");
            await service.PutAsync($"/v1/subscribers/{ids[^1]}/hold", body).ReadAsync();
        }

        var all = await service.GetAsync("/v1/holds?limit=2").ReadAsync();
        var rest = await service.GetAsync($"/v1/holds?limit=2&cursor={all.Text("nextCursor")}").ReadAsync();
        var due = await service.GetAsync("/v1/holds?reviewBefore=2026-12-05T00:00:00Z").ReadAsync();

        Reasons(all).Concat(Reasons(rest)).ShouldBe(["Inquiry", "Claim", "Insurance"]);
        Reasons(due).ShouldBe(["Inquiry"]);
        await service.PutAsync($"/v1/subscribers/{ids[0]}/hold", new JsonObject { ["reason"] = "Claim", ["reviewAt"] = "2026-11-22T09:30:00Z" }).ReadErrorAsync("reviewAt");
        await service.GetAsync("/v1/holds?cursor=x").ReadErrorAsync("cursor");

        static IEnumerable<string> Reasons(JsonNode page) => page["items"]!.AsArray().Select(hold => hold!.Text("reason"));
    }

    [Fact]
    public async Task A_hold_needs_a_reason_a_scope_and_a_key_for_all_purposes()
    {
        await using var service = await TestService.StartAsync(databases);
        var path = $"/v1/subscribers/{Guid.NewGuid()}/hold";

        (await service.PutAsync(path, new JsonObject { ["reason"] = " " }).ReadErrorAsync("reason")).ShouldBe("This is required.");
        (await service.PutAsync(path, new JsonObject { ["reason"] = new string('x', 2001) }).ReadErrorAsync("reason")).ShouldContain("2000");
        await service.PutAsync("/v1/subscribers/ada/hold", new JsonObject { ["reason"] = "A claim" }).ReadProblemAsync(HttpStatusCode.BadRequest, "validation");
        var reader = await service.CreateKeyAsync(["rights:read"]);
        await service.PutAsync(path, new JsonObject { ["reason"] = "A claim" }, reader).ReadProblemAsync(HttpStatusCode.Forbidden, "insufficient-scope");
        var bound = await service.CreateKeyAsync(["rights:write"], "newsletter");
        await service.PutAsync(path, new JsonObject { ["reason"] = "A claim" }, bound).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        await service.SendAsync(HttpMethod.Delete, path, key: bound).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
    }
}
