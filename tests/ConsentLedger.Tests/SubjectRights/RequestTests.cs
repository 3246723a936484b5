using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.PersonalData;
using ConsentLedger.Tests.Retention;

namespace ConsentLedger.Tests.SubjectRights;

public sealed class RequestTests(TestDatabase databases)
{
    private const string Ada = "ada@museum.example";

    [Fact]
    public async Task A_request_is_received_sealed_and_due_in_a_month()
    {
        await using var service = await TestService.StartAsync(databases);

        var answer = await service.PostAsync("/v1/requests", new JsonObject
        {
            ["kind"] = "access",
            ["address"] = Ada,
            ["receivedAt"] = "2026-10-31T10:00:00Z",
            ["channel"] = "letter",
            ["note"] = "Everything since 2019",
        });

        var request = await answer.ReadAsync(HttpStatusCode.Created);
        answer.Headers.Location!.ToString().ShouldBe($"/v1/requests/{request.Text("id")}");
        request.Text("status").ShouldBe("open");
        request.Text("receivedAt").ShouldBe("2026-10-31T10:00:00Z");
        request.Text("dueAt").ShouldBe("2026-11-30T10:00:00Z");
        request["overdue"]!.GetValue<bool>().ShouldBeFalse();
        request["history"]![0]!.Text("step").ShouldBe("received");
        request["history"]![0]!.Text("reason").ShouldBe("Everything since 2019");
        request["history"]![0]!["by"]!.Text("name").ShouldBe("test");
        (await service.GetAsync($"/v1/requests/{request.Text("id")}").ReadAsync()).ToJsonString().ShouldBe(request.ToJsonString());
        (await service.SqlAsync("select count(*) from rights_request where position('ada@'::bytea in person) > 0 or position('letter'::bytea in person) > 0")).ShouldBe(0L);
        (await service.SqlAsync("select count(*) from rights_request_step where position('2019'::bytea in note) > 0")).ShouldBe(0L);
    }

    [Fact]
    public async Task What_is_wrong_is_said_by_member_and_who_may_not_is_refused()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PostAsync("/v1/requests", new JsonObject { ["address"] = Ada }).ReadErrorAsync("kind");
        await service.PostAsync("/v1/requests", Body("access", "nobody")).ReadErrorAsync("address");
        var early = Body();
        early["receivedAt"] = "2026-11-22T09:36:00Z";
        await service.PostAsync("/v1/requests", early).ReadErrorAsync("receivedAt");
        foreach (var (query, member) in new[] { ("status=late", "status"), ("kind=gift", "kind"), ("dueBefore=soon", "dueBefore"), ("cursor=x", "cursor"), ("cursor=%C3%A9", "cursor"), ("limit=0", "limit") })
        {
            await service.GetAsync($"/v1/requests?{query}").ReadErrorAsync(member);
        }

        var reader = await service.CreateKeyAsync(["rights:read"]);
        await service.PostAsync("/v1/requests", Body(), reader).ReadProblemAsync(HttpStatusCode.Forbidden, "insufficient-scope");
        var bound = await service.CreateKeyAsync(["rights:read", "rights:write"], "newsletter");
        await service.PostAsync("/v1/requests", Body(), bound).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        await service.GetAsync("/v1/requests", bound).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        await service.PostAsync($"/v1/requests/{Guid.NewGuid()}/complete", new JsonObject()).ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        (await service.SqlAsync("select count(*) from rights_request")).ShouldBe(0L);
    }

    [Fact]
    public async Task A_pause_stops_the_clock_until_the_person_has_answered()
    {
        await using var service = await TestService.StartAsync(databases);
        var id = await ReceiveAsync(service);
        service.Clock.Advance(TimeSpan.FromDays(3));
        await StepAsync(service, id, "pause", "A copy of the passport, please");
        service.Clock.Advance(TimeSpan.FromDays(40));

        var paused = await service.GetAsync($"/v1/requests/{id}").ReadAsync();
        paused.Text("status").ShouldBe("paused");
        paused["overdue"]!.GetValue<bool>().ShouldBeFalse();
        paused.Text("dueAt").ShouldBe("2027-01-31T09:30:00Z");
        (await ListAsync(service, "status=overdue")).ShouldBeEmpty();
        (await StepAsync(service, id, "complete").ReadProblemAsync(HttpStatusCode.Conflict, "request-transition")).Text("detail").ShouldContain("Resume");

        var resumed = await StepAsync(service, id, "resume").ReadAsync();
        resumed.Text("status").ShouldBe("open");
        resumed.Text("dueAt").ShouldBe("2027-01-31T09:30:00Z");
        service.Clock.Advance(TimeSpan.FromDays(31));
        (await ListAsync(service, "status=overdue")).ShouldBe([id]);
    }

    [Fact]
    public async Task An_extension_is_told_within_the_first_month_or_not_at_all()
    {
        await using var service = await TestService.StartAsync(databases);
        var (first, second) = (await ReceiveAsync(service), await ReceiveAsync(service));
        service.Clock.SetUtcNow(TestService.Start.AddMonths(1));

        await ExtendAsync(service, first, 3).ReadErrorAsync("months");
        await service.PostAsync($"/v1/requests/{first}/extend", new JsonObject { ["months"] = 1 }).ReadErrorAsync("reason");
        (await ExtendAsync(service, first, 1).ReadAsync()).Text("dueAt").ShouldBe("2027-01-22T09:30:00Z");
        (await ExtendAsync(service, first, 2).ReadAsync()).Text("dueAt").ShouldBe("2027-02-22T09:30:00Z");
        await ExtendAsync(service, first, 1).ReadProblemAsync(HttpStatusCode.Conflict, "request-transition");
        service.Clock.Advance(TimeSpan.FromSeconds(1));
        await ExtendAsync(service, second, 1).ReadProblemAsync(HttpStatusCode.Conflict, "request-transition");
        (await ExtendAsync(service, first, 2).ReadAsync())["extendedMonths"]!.GetValue<int>().ShouldBe(2);
    }

    [Fact]
    public async Task A_step_taken_twice_counts_once_and_what_is_closed_stays_closed()
    {
        await using var service = await TestService.StartAsync(databases);
        var id = await ReceiveAsync(service);
        await StepAsync(service, id, "refuse").ReadErrorAsync("reason");
        await StepAsync(service, id, "refuse", "The third within a week (Article 12(5)); complaints go to the Commissioner.").ReadAsync();
        service.Clock.Advance(TimeSpan.FromDays(1));

        var again = await StepAsync(service, id, "refuse", "Another reason").ReadAsync();

        again.Text("status").ShouldBe("refused");
        again.Text("closedAt").ShouldBe("2026-11-22T09:30:00Z");
        again["history"]!.AsArray().Select(step => step!.Text("step")).ShouldBe(["received", "refused"]);
        foreach (var step in new[] { "acknowledge", "pause", "resume", "complete" })
        {
            await StepAsync(service, id, step, "After all").ReadProblemAsync(HttpStatusCode.Conflict, "request-transition");
        }

        await ExtendAsync(service, id, 1).ReadProblemAsync(HttpStatusCode.Conflict, "request-transition");
        (await service.SqlAsync("select count(*) from audit_entry where action = 'request-refused'")).ShouldBe(1L);
    }

    [Fact]
    public async Task An_objection_and_a_restriction_are_in_force_once_they_are_entered_and_once()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, occurredAt: TestService.Start.AddDays(-1));
        await service.EventAsync("ben@museum.example", occurredAt: TestService.Start.AddDays(-1));
        var objection = await ReceiveAsync(service, "objection");
        var restriction = await ReceiveAsync(service, "restriction", "ben@museum.example");
        (await service.ReasonAsync(Ada)).ShouldBe("objected");
        (await service.ReasonAsync("ben@museum.example")).ShouldBe("restricted");
        await StepAsync(service, objection, "refuse", "No").ReadProblemAsync(HttpStatusCode.Conflict, "request-transition");
        await StepAsync(service, objection, "pause", "Who are you?").ReadProblemAsync(HttpStatusCode.Conflict, "request-transition");
        service.Clock.Advance(TimeSpan.FromHours(2));

        // However many press the button at once.
        var answers = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => StepAsync(service, objection, "complete")));
        answers.ShouldAllBe(answer => answer.StatusCode == HttpStatusCode.OK);
        await StepAsync(service, restriction, "complete").ReadAsync();

        (await service.ReasonAsync(Ada)).ShouldBe("objected");
        (await service.ReasonAsync("ben@museum.example")).ShouldBe("restricted");
        var history = await service.PostAsync("/v1/subscribers/history", new JsonObject { ["address"] = Ada }).ReadAsync();
        var objected = history["items"]!.AsArray().Where(item => item!.Text("kind") == "objected").ToList();
        objected.Count.ShouldBe(1);
        objected[0]!.Text("occurredAt").ShouldBe("2026-11-22T09:30:00Z");
        objected[0]!["evidence"]!.Text("request").ShouldBe(objection);
    }

    [Fact]
    public async Task A_restriction_that_is_refused_is_lifted_unless_another_stands()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, occurredAt: TestService.Start.AddDays(-1));
        var (first, second) = (await ReceiveAsync(service, "restriction"), "");
        service.Clock.Advance(TimeSpan.FromMinutes(1));
        second = await ReceiveAsync(service, "restriction");
        service.Clock.Advance(TimeSpan.FromMinutes(1));

        await StepAsync(service, first, "refuse", "There is no ground for it (Article 18(1)).").ReadAsync();
        (await service.ReasonAsync(Ada)).ShouldBe("restricted");
        await StepAsync(service, second, "refuse", "There is no ground for it (Article 18(1)).").ReadAsync();

        (await service.ReasonAsync(Ada)).ShouldBe("given");
    }

    [Fact]
    public async Task An_objection_that_came_before_an_erasure_and_is_entered_after_it_is_one()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, occurredAt: TestService.Start.AddDays(-1));
        await service.EraseAsync(Ada);
        (await service.ReasonAsync(Ada)).ShouldBe("revoked");
        var body = Body("objection");
        body["receivedAt"] = "2026-11-20T09:30:00Z";

        await service.PostAsync("/v1/requests", body).ReadAsync(HttpStatusCode.Created);

        (await service.ReasonAsync(Ada)).ShouldBe("objected");
    }

    [Fact]
    public async Task A_pause_and_its_end_can_be_noted_later_and_in_their_order()
    {
        await using var service = await TestService.StartAsync(databases);
        var id = await ReceiveAsync(service);
        service.Clock.Advance(TimeSpan.FromDays(5));
        await AtAsync("pause", TestService.Start.AddDays(-1)).ReadErrorAsync("at");
        await AtAsync("pause", TestService.Start.AddDays(6)).ReadErrorAsync("at");
        await AtAsync("pause", TestService.Start.AddDays(1)).ReadAsync();
        await AtAsync("resume", TestService.Start.AddHours(23)).ReadErrorAsync("at");

        var resumed = await AtAsync("resume", TestService.Start.AddDays(3)).ReadAsync();

        resumed.Text("dueAt").ShouldBe("2026-12-24T09:30:00Z");
        resumed["history"]!.AsArray().Select(step => step!.Text("at")).ShouldBe(["2026-11-22T09:30:00Z", "2026-11-23T09:30:00Z", "2026-11-25T09:30:00Z"]);
        await AtAsync("pause", TestService.Start.AddDays(2)).ReadErrorAsync("at");

        Task<HttpResponseMessage> AtAsync(string step, DateTimeOffset at) =>
            service.PostAsync($"/v1/requests/{id}/{step}", new JsonObject { ["reason"] = "A copy of the passport", ["at"] = at.UtcDateTime.ToString("O") });
    }

    [Fact]
    public async Task Nothing_is_erased_by_a_completion_that_is_wrong_or_that_the_key_may_not()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, occurredAt: TestService.Start.AddDays(-1));
        var id = await ReceiveAsync(service, "erasure");

        await StepAsync(service, id, "complete", new string('x', 2001)).ReadErrorAsync("reason");
        await service.PostAsync($"/v1/requests/{id}/complete", new JsonObject { ["delivered"] = "by-hand" }).ReadErrorAsync("delivered");
        var key = await service.CreateKeyAsync(["rights:write"]);
        var refused = await service.PostAsync($"/v1/requests/{id}/complete", new JsonObject(), key).ReadProblemAsync(HttpStatusCode.Forbidden, "insufficient-scope");

        refused.Text("scope").ShouldBe("subscribers:erase");
        (await service.ReasonAsync(Ada)).ShouldBe("given");
        (await service.CountAsync("erasure")).ShouldBe(0);
        (await service.GetAsync($"/v1/requests/{id}").ReadAsync()).Text("status").ShouldBe("open");
    }

    [Fact]
    public async Task Completing_an_erasure_and_refusing_it_at_once_comes_to_one_of_the_two()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, occurredAt: TestService.Start.AddDays(-1));
        var id = await ReceiveAsync(service, "erasure");
        await using var gate = await Gate.CloseAsync(service, "suppression", "insert");
        var complete = StepAsync(service, id, "complete");
        await gate.ReachedAsync();

        var refuse = StepAsync(service, id, "refuse", "The third within a week (Article 12(5)).");
        await Task.Delay(200, TestContext.Current.CancellationToken);
        refuse.IsCompleted.ShouldBeFalse("It waits for what is being done.");
        await gate.OpenAsync();

        (await complete.ReadAsync()).Text("status").ShouldBe("completed");
        await refuse.ReadProblemAsync(HttpStatusCode.Conflict, "request-transition");
    }

    [Fact]
    public async Task Completing_says_what_a_legal_hold_keeps_and_what_a_new_address_said_no_to()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        var subscriber = (await service.EventAsync(Ada, occurredAt: TestService.Start.AddDays(-1))).Text("subscriberId");
        await service.EventAsync("ben@museum.example", occurredAt: TestService.Start.AddDays(-1));
        await service.EventAsync("ben@archive.example", "withdrawn", occurredAt: TestService.Start.AddDays(-2));
        await service.PutAsync($"/v1/subscribers/{subscriber}/hold", new JsonObject { ["reason"] = "A claim is pending" }).ReadAsync();

        var erasure = await ReceiveAsync(service, "erasure");
        var erased = await StepAsync(service, erasure, "complete").ReadAsync();
        erased["outcome"]!["kept"]![0]!.Text("reason").ShouldBe("A claim is pending");
        (await StepAsync(service, erasure, "complete").ReadAsync())["outcome"].ShouldBeNull("Nothing was done, so it says nothing of what is kept.");

        var moved = await MoveAsync("ben@museum.example").ReadAsync();
        moved["outcome"]!["heldBack"]![0]!.GetValue<string>().ShouldBe("newsletter");
        (await MoveAsync("nobody@museum.example").ReadProblemAsync(HttpStatusCode.Conflict, "request-transition")).Text("detail").ShouldContain("Nothing is known");

        async Task<HttpResponseMessage> MoveAsync(string address) =>
            await service.PostAsync($"/v1/requests/{await ReceiveAsync(service, "rectification", address)}/complete", new JsonObject { ["newAddress"] = "ben@archive.example" });
    }

    [Fact]
    public async Task A_request_that_is_sent_again_after_a_crash_is_one_request_with_one_clock()
    {
        await using var service = await TestService.StartAsync(databases);
        await SendAsync().ReadAsync(HttpStatusCode.Created);
        await service.SqlAsync("update idempotency set status = null, answer = null");
        service.Clock.Advance(TimeSpan.FromMinutes(2));

        var answer = await SendAsync().ReadAsync(HttpStatusCode.Created);

        answer.Text("receivedAt").ShouldBe("2026-11-22T09:30:00Z");
        (await service.CountAsync("rights_request")).ShouldBe(1);
        (await service.CountAsync("rights_request_step")).ShouldBe(1);

        Task<HttpResponseMessage> SendAsync() => service.PostAsync("/v1/requests", Body(), headers: ("Idempotency-Key", "\"request-7\""));
    }

    [Fact]
    public async Task Completing_an_erasure_erases_and_leaves_that_it_was_asked_for()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, occurredAt: TestService.Start.AddDays(-1));
        var id = await ReceiveAsync(service, "erasure");
        await StepAsync(service, id, "pause", "Who are you?").ReadAsync();
        await StepAsync(service, id, "complete").ReadProblemAsync(HttpStatusCode.Conflict, "request-transition");
        (await service.ReasonAsync(Ada)).ShouldBe("given");
        await StepAsync(service, id, "resume").ReadAsync();

        var completed = await StepAsync(service, id, "complete").ReadAsync();

        completed.Text("status").ShouldBe("completed");
        completed["address"].ShouldBeNull();
        (await service.CheckAsync(Ada))["allowed"]!.GetValue<bool>().ShouldBeFalse();
        (await service.SqlAsync("select count(*) from consent_event where kind = 'given'")).ShouldBe(0L);
        (await service.SqlAsync("select count(*) from rights_request where person is not null")).ShouldBe(0L);
        (await StepAsync(service, id, "complete").ReadAsync()).Text("status").ShouldBe("completed");
    }

    [Fact]
    public async Task Completing_a_rectification_carries_the_choices_over_to_the_new_address()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, occurredAt: TestService.Start.AddDays(-1));
        var id = await ReceiveAsync(service, "rectification");
        await service.PostAsync($"/v1/requests/{id}/complete", new JsonObject { ["newAddress"] = "nobody" }).ReadErrorAsync("newAddress");
        await service.PostAsync($"/v1/requests/{id}/complete", new JsonObject { ["newAddress"] = Ada }).ReadErrorAsync("newAddress");

        await service.PostAsync($"/v1/requests/{id}/complete", new JsonObject { ["newAddress"] = "ada@archive.example" }).ReadAsync();

        (await service.ReasonAsync("ada@archive.example")).ShouldBe("given");
        (await service.CheckAsync(Ada))["allowed"]!.GetValue<bool>().ShouldBeFalse();
    }

    [Fact]
    public async Task A_complaint_is_acknowledged_within_thirty_days_and_has_no_other_clock()
    {
        await using var service = await TestService.StartAsync(databases);
        var id = await ReceiveAsync(service, "complaint");
        (await service.GetAsync($"/v1/requests/{id}").ReadAsync()).Text("dueAt").ShouldBe("2026-12-22T09:30:00Z");
        await StepAsync(service, id, "pause", "Who are you?").ReadProblemAsync(HttpStatusCode.Conflict, "request-transition");
        await ExtendAsync(service, id, 1).ReadProblemAsync(HttpStatusCode.Conflict, "request-transition");

        service.Clock.Advance(TimeSpan.FromDays(31));
        (await ListAsync(service, "status=overdue&kind=complaint")).ShouldBe([id]);
        var acknowledged = await StepAsync(service, id, "acknowledge").ReadAsync();
        acknowledged.Text("acknowledgedAt").ShouldBe("2026-12-23T09:30:00Z");
        acknowledged["dueAt"].ShouldBeNull();
        (await ListAsync(service, "status=overdue")).ShouldBeEmpty();
        (await StepAsync(service, id, "complete", "An apology, and the list was corrected").ReadAsync()).Text("status").ShouldBe("completed");
    }

    [Fact]
    public async Task The_list_shows_what_is_due_first_in_pages_and_what_is_due_soon()
    {
        await using var service = await TestService.StartAsync(databases);
        var ids = new List<string>();
        foreach (var days in new[] { -20, -40, -28, -5 })
        {
            var body = Body();
            body["receivedAt"] = TestService.Start.AddDays(days).UtcDateTime.ToString("O");
            ids.Add((await service.PostAsync("/v1/requests", body).ReadAsync(HttpStatusCode.Created)).Text("id"));
        }

        await StepAsync(service, ids[3], "complete", "Sent").ReadAsync();
        await StepAsync(service, ids[2], "pause", "Who are you?").ReadAsync();
        await StepAsync(service, ids[2], "resume").ReadAsync();

        (await ListAsync(service, "")).ShouldBe([ids[1], ids[2], ids[0], ids[3]]);
        (await ListAsync(service, "status=overdue")).ShouldBe([ids[1]]);
        (await ListAsync(service, "status=due-soon")).ShouldBe([ids[2]]);
        (await ListAsync(service, "status=completed")).ShouldBe([ids[3]]);
        (await ListAsync(service, "status=open&dueBefore=2026-11-26T00:00:00Z")).ShouldBe([ids[1], ids[2]]);
        var listed = new List<string>();
        string? cursor = null;
        await StepAsync(service, ids[0], "pause", "Who are you?").ReadAsync();
        do
        {
            // The date of what is paused moves meanwhile, and its place stays.
            service.Clock.Advance(TimeSpan.FromMinutes(1));
            var page = await service.GetAsync($"/v1/requests?limit=1{(cursor is null ? "" : $"&cursor={cursor}")}").ReadAsync();
            listed.AddRange(page["items"]!.AsArray().Select(item => item!.Text("id")));
            cursor = page["nextCursor"]?.GetValue<string>();
        }
        while (cursor is not null);
        listed.ShouldBe([ids[1], ids[2], ids[0], ids[3]]);
    }

    [Fact]
    public async Task A_step_that_is_cut_off_is_not_taken_and_can_be_taken_again()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, occurredAt: TestService.Start.AddDays(-1));
        foreach (var table in new[] { "rights_request", "rights_request_step", "audit_entry", "outbox" })
        {
            await FailAsync(table, () => service.PostAsync("/v1/requests", Body("restriction")));
            (await service.ReasonAsync(Ada)).ShouldBe("given", table);
            (await service.CountAsync("rights_request")).ShouldBe(0, table);
        }

        var id = await ReceiveAsync(service, "restriction");
        foreach (var table in new[] { "rights_request_step", "audit_entry", "outbox" })
        {
            await FailAsync(table, () => StepAsync(service, id, "refuse", "There is no ground for it (Article 18(1))."));
            (await service.ReasonAsync(Ada)).ShouldBe("restricted", table);
            (await service.SqlAsync("select status::text from rights_request")).ShouldBe("open", table);
        }

        await StepAsync(service, id, "refuse", "There is no ground for it (Article 18(1)).").ReadAsync();
        (await service.ReasonAsync(Ada)).ShouldBe("given");

        async Task FailAsync(string table, Func<Task<HttpResponseMessage>> step)
        {
            await service.SqlAsync($"alter table {table} add constraint {table}_full check (false) not valid");
            (await step()).StatusCode.ShouldBe(HttpStatusCode.InternalServerError);
            await service.SqlAsync($"alter table {table} drop constraint {table}_full");
        }
    }

    private static JsonObject Body(string kind = "access", string address = Ada) => new() { ["kind"] = kind, ["address"] = address };

    private static async Task<string> ReceiveAsync(TestService service, string kind = "access", string address = Ada) =>
        (await service.PostAsync("/v1/requests", Body(kind, address)).ReadAsync(HttpStatusCode.Created)).Text("id");

    private static Task<HttpResponseMessage> StepAsync(TestService service, string id, string step, string? reason = null) =>
        service.PostAsync($"/v1/requests/{id}/{step}", reason is null ? new JsonObject() : new JsonObject { ["reason"] = reason });

    private static Task<HttpResponseMessage> ExtendAsync(TestService service, string id, int months) =>
        service.PostAsync($"/v1/requests/{id}/extend", new JsonObject { ["months"] = months, ["reason"] = "Four systems have to be searched" });

    private static async Task<List<string>> ListAsync(TestService service, string query) =>
        [.. (await service.GetAsync($"/v1/requests?{query}").ReadAsync())["items"]!.AsArray().Select(item => item!.Text("id"))];
}
