using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Events;

public sealed class ImportTests(TestDatabase databases)
{
    private static readonly int[] HeldBackLines =
    [
        79, 229, 341, 561, 563, 624, 813, 1055, 1057, 1204, 1268, 1341, 1651, 1692, 1713, 1735, 1737, 1762, 1819, 1838, 1992,
        2413, 2420, 2506, 2524,
    ];

    [Theory]
    [InlineData("dryRun=", "dryRun")]
    [InlineData("dryRun=yes", "dryRun")]
    [InlineData("dryRun=true&allowResubscribe=1", "allowResubscribe")]
    public async Task A_flag_that_cannot_be_read_is_not_taken_for_its_default(string query, string named)
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();

        await service.SendAsync("address,purpose,kind,occurredAt\nada@museum.example,newsletter,refused,2026-01-01T00:00:00Z\n"u8.ToArray(), $"?{query}").ReadErrorAsync(named);
        (await service.CountAsync("consent_event")).ShouldBe(0);
    }

    [Fact]
    public async Task A_real_list_is_appended_row_by_row_and_every_row_left_out_is_accounted_for()
    {
        await using var service = await Lists.StartAsync(databases);

        var report = await service.ImportAsync(Lists.Newsletter);

        report.Counts().ShouldBe("2000 1612 102 25 261");
        report["problems"]!.AsArray().CountBy(problem => problem!["code"]!.GetValue<string>()).OrderBy(code => code.Key, StringComparer.Ordinal)
            .Select(code => $"{code.Key} {code.Value}").ShouldBe(
            [
                "conditions-missing 28", "invalid-address 65", "invalid-time 38", "notice-required 23", "occurred-in-future 12",
                "resubscribes 25", "unknown-kind 23", "unknown-notice 19", "unknown-purpose 53",
            ]);
        report.Problems().Where(problem => problem.EndsWith(" resubscribes", StringComparison.Ordinal))
            .ShouldBe(HeldBackLines.Select(line => $"{line} resubscribes"));
        var lines = report["problems"]!.AsArray().Select(problem => problem!["line"]!.GetValue<long>()).ToList();
        lines.ShouldBe(lines.Order());
        (await service.CountAsync("consent_event")).ShouldBe(1612);
        await service.ShouldBeWholeAsync();
    }

    [Fact]
    public async Task The_same_list_again_appends_nothing()
    {
        await using var service = await Lists.StartAsync(databases);
        await service.ImportAsync(Lists.Newsletter);

        (await service.ImportAsync(Lists.Newsletter)).Counts().ShouldBe("2000 0 1714 25 261");

        (await service.CountAsync("consent_event")).ShouldBe(1612);

        // Two of the 25 say the same.
        (await service.ImportAsync(Lists.Newsletter, "?allowResubscribe=true")).Counts().ShouldBe("2000 24 1715 0 261");
        await service.ShouldBeWholeAsync();
    }

    [Fact]
    public async Task A_dry_run_counts_the_same_and_leaves_nothing()
    {
        await using var service = await Lists.StartAsync(databases);

        var rehearsal = await service.ImportAsync(Lists.Newsletter, "?dryRun=true");

        foreach (var table in (string[])["consent_event", "consent_state", "subscriber", "evidence", "outbox", "log_entry"])
        {
            (await service.CountAsync(table)).ShouldBe(0, table);
        }

        (await service.SqlAsync("select count(*) from purpose where first_event_at is not null")).ShouldBe(0L);
        rehearsal.ToJsonString().ShouldBe((await service.ImportAsync(Lists.Newsletter)).ToJsonString());
        (await service.ImportAsync(Lists.Newsletter, "?dryRun=true")).Counts().ShouldBe("2000 0 1714 25 261");
        (await service.ImportAsync(Lists.Newsletter, "?dryRun=true&allowResubscribe=true")).Counts().ShouldBe("2000 24 1715 0 261");
    }

    [Theory]
    [InlineData("not-an-address,newsletter,given,2026-01-01T00:00:00Z,1", "invalid-address")]
    [InlineData(",newsletter,given,2026-01-01T00:00:00Z,1", "invalid-address")]
    [InlineData("tel:+442079460000,newsletter,given,2026-01-01T00:00:00Z,1", "wrong-channel")]
    [InlineData("ada@museum.example,,given,2026-01-01T00:00:00Z,1", "unknown-purpose")]
    [InlineData("ada@museum.example,newsleter,given,2026-01-01T00:00:00Z,1", "unknown-purpose")]
    [InlineData("ada@museum.example,newsletter,,2026-01-01T00:00:00Z,1", "unknown-kind")]
    [InlineData("ada@museum.example,newsletter,Given,2026-01-01T00:00:00Z,1", "unknown-kind")]
    [InlineData("ada@museum.example,newsletter,suppressed,2026-01-01T00:00:00Z,", "unknown-kind")]
    [InlineData("ada@museum.example,*,given,2026-01-01T00:00:00Z,", "unknown-kind")]
    [InlineData("ada@museum.example,newsletter,given,,1", "invalid-time")]
    [InlineData("ada@museum.example,newsletter,given,2026-01-01,1", "invalid-time")]
    [InlineData("ada@museum.example,newsletter,given,1969-12-31T23:59:59Z,1", "invalid-time")]
    [InlineData("ada@museum.example,newsletter,given,2026-11-22T09:35:01Z,1", "occurred-in-future")]
    [InlineData("ada@museum.example,newsletter,given,2026-01-01T00:00:00Z,", "notice-required")]
    [InlineData("ada@museum.example,newsletter,given,2026-01-01T00:00:00Z,2", "unknown-notice")]
    [InlineData("ada@museum.example,newsletter,given,2026-01-01T00:00:00Z,one", "unknown-notice")]
    [InlineData("ada@museum.example,appeals,given,2026-01-01T00:00:00Z,1", "unknown-notice")]
    [InlineData("ada@museum.example,newsletter,permitted,2026-01-01T00:00:00Z,1", "conditions-missing")]
    [InlineData("ada@museum.example,appeals,permitted,2026-03-01T00:00:00Z,", "conditions-missing")]
    [InlineData("ada@museum.example,newsletter,given", "malformed")]
    [InlineData("ada@museum.example,newsletter,given,2026-01-01T00:00:00Z,1,more", "malformed")]
    [InlineData("\"ada@museum.example\"x,newsletter,given,2026-01-01T00:00:00Z,1", "malformed")]
    public async Task A_row_that_can_not_be_an_event_is_skipped_and_named_by_its_line(string row, string code)
    {
        await using var service = await Lists.StartAsync(databases);

        var report = await service.ImportAsync($"{Lists.Header}bob@museum.example,newsletter,given,2026-11-22T09:35:00Z,1\n{row}\nada@museum.example,newsletter,withdrawn,2026-01-01T00:00:00Z,\n");

        report.Counts().ShouldBe("3 2 0 0 1");
        report.Problems().ShouldBe([$"3 {code}"]);
        var detail = report["problems"]![0]!.Text("detail");
        detail.ShouldEndWith(".");
        detail.ShouldNotContain("ada@");
    }

    [Fact]
    public async Task The_other_columns_are_checked_too()
    {
        await using var service = await Lists.StartAsync(databases);
        const string Row = "ada@museum.example,newsletter,given,2026-01-01T00:00:00Z,1,";

        var report = await service.ImportAsync(
            "address,purpose,kind,occurredAt,noticeVersion,sourceKind,sourceUrl,expiresAt,evidence.note\n"
            + $"{Row}carrier-pigeon,,,\n{Row},javascript:alert(1),,\n{Row},,2025-12-31T00:00:00Z,\n{Row},,soon,\n{Row},,,{new string('x', 5000)}\n{Row},,,{new string('x', 70000)}\n{Row}paper,https://museum.example/join,2028-01-01T00:00:00Z,ticked");

        report.Problems().ShouldBe(["2 malformed", "3 malformed", "4 invalid-time", "5 invalid-time", "6 evidence-too-large", "7 malformed"]);
        report.Counts().ShouldBe("7 1 0 0 6");
        (await service.CheckAsync("ada@museum.example")).Text("expiresAt").ShouldBe("2028-01-01T00:00:00Z");
    }

    [Fact]
    public async Task A_charitable_soft_opt_in_is_taken_with_its_conditions_on_record()
    {
        await using var service = await Lists.StartAsync(databases);
        const string Header = "address,purpose,kind,occurredAt,evidence.obtainedDirectly,evidence.optOutOffered,evidence.context\n";

        var report = await service.ImportAsync(
            Header + "ada@museum.example,appeals,permitted,2026-02-05T00:00:00Z,yes,true,gave at the open day\n"
            + "bob@museum.example,appeals,permitted,2026-02-04T23:59:59Z,yes,true,gave at the open day\n"
            + "cy@museum.example,appeals,permitted,2026-02-05T00:00:00Z,no,true,gave at the open day\n");

        report.Problems().ShouldBe(["3 conditions-missing", "4 conditions-missing"]);
        (await service.ReasonAsync("ada@museum.example", "appeals")).ShouldBe("permitted");
    }

    [Fact]
    public async Task A_row_names_what_was_shown_where_it_came_from_and_what_shows_it()
    {
        await using var service = await Lists.StartAsync(databases);

        await service.ImportAsync(
            "evidence.ip,address,sourceReference,purpose,sourceUrl,kind,occurredAt,sourceKind,noticeVersion,evidence.empty\n"
            + "192.0.2.7,Ada@Museum.Example,\"Form \"\"A\"\", page 2\",newsletter,https://museum.example/join,given,2026-01-01T01:00:00+01:00,paper,1,\n");

        var history = await service.PostAsync("/v1/subscribers/history", new JsonObject { ["address"] = "ada@museum.example" }).ReadAsync();
        var item = history["items"]![0]!;
        item.Text("kind").ShouldBe("given");
        item.Text("occurredAt").ShouldBe("2026-01-01T00:00:00Z");
        item["source"]!.Text("reference").ShouldBe("Form \"A\", page 2");
        item["source"]!.Text("url").ShouldBe("https://museum.example/join");
        item["source"]!.Text("kind").ShouldBe("paper");
        item["evidence"]!.ToJsonString().ShouldBe("""{"ip":"192.0.2.7"}""");
        item["notice"]!["version"]!.GetValue<int>().ShouldBe(1);
    }

    [Theory]
    [InlineData("\n")]
    [InlineData("\r\n")]
    [InlineData("\r")]
    public async Task A_byte_order_mark_quotes_blank_lines_and_any_line_end_are_normal(string end)
    {
        await using var service = await Lists.StartAsync(databases);
        string[] lines =
        [
            "\uFEFF\"address\",purpose,kind,occurredAt,noticeVersion,evidence.note", "", "  ",
            "ada@museum.example,newsletter,given,2026-01-01T00:00:00Z,1,\"one", "", "three, \"\"four\"\"\"",
            "nobody,newsletter,given,2026-01-01T00:00:00Z,1,", "",
            "\"bob@museum.example\",\"newsletter\",\"given\",\"2026-01-01T00:00:00Z\",\"1\",\"\"", "none,,,,,",
        ];

        var report = await service.ImportAsync(string.Join(end, lines));

        report.Counts().ShouldBe("4 2 0 0 2");
        report.Problems().ShouldBe(["7 invalid-address", "10 invalid-address"]);
        var history = await service.PostAsync("/v1/subscribers/history", new JsonObject { ["address"] = "ada@museum.example" }).ReadAsync();
        history["items"]![0]!["evidence"]!.Text("note").ShouldBe($"one{end}{end}three, \"four\"");
    }

    [Fact]
    public async Task A_quote_that_is_never_closed_costs_its_own_record_and_what_it_swallows()
    {
        await using var service = await Lists.StartAsync(databases);

        var report = await service.ImportAsync($"{Lists.Header}ada@museum.example,newsletter,given,2026-01-01T00:00:00Z,1\n\"bob@museum.example,newsletter,given,2026-01-01T00:00:00Z,1\ncy@museum.example,x,y,z,1\n");

        report.Counts().ShouldBe("2 1 0 0 1");
        report.Problems().ShouldBe(["3 malformed"]);
    }

    [Fact]
    public async Task Other_spellings_of_one_address_make_one_event()
    {
        await using var service = await Lists.StartAsync(databases);

        var report = await service.ImportAsync(
            Lists.Header + "Ada@bücher.example,newsletter,given,2026-01-01T00:00:00Z,1\n"
            + "ada@XN--BCHER-KVA.example,newsletter,given,2026-01-01T00:00:00.000Z,1\n ADA@bücher.example,newsletter,given,2026-01-01T01:00:00+01:00,1\n");

        report.Counts().ShouldBe("3 1 2 0 0");
    }

    [Fact]
    public async Task NdJson_says_the_same_as_Csv()
    {
        await using var service = await Lists.StartAsync(databases);
        var csv = await service.ImportAsync(
            "address,purpose,kind,occurredAt,noticeVersion,sourceKind,sourceReference,evidence.ip,evidence.note\n"
            + "ada@museum.example,newsletter,given,2026-01-01T00:00:00Z,1,paper,Open day,192.0.2.1,\n"
            + "bob@museum.example,newsletter,withdrawn,2026-01-01T00:00:00Z,,,,,\n");
        csv.Counts().ShouldBe("2 2 0 0 0");

        var report = await service.ImportAsync(
            """
            {"address":"ada@museum.example","purpose":"newsletter","kind":"given","occurredAt":"2026-01-01T00:00:00Z","noticeVersion":1,"sourceKind":"paper","sourceReference":"Open day","evidence":{"ip":"192.0.2.1"}}

            {"address":"ada@museum.example","purpose":"newsletter","kind":"given","occurredAt":"2026-01-01T00:00:00Z","noticeVersion":"1","sourceKind":"paper","sourceReference":"Open day","evidence.ip":"192.0.2.1","evidence.note":""}
            {"address":"bob@museum.example","purpose":"newsletter","kind":"withdrawn","occurredAt":"2026-01-01T00:00:00Z","expiresAt":null}
            {"address":"cy@museum.example","purpose":"newsletter","kind":"given","occurredAt":"2026-01-01T00:00:00Z","noticeVersion":1,"evidence":{"age":30,"agreed":true,"form":{"page":2}}}
            {"address":"cy@museum.example","purpose":"newsletter","kind":"given","occurredAt":"2026-01-01T00:00:00Z","noticeVersion":1,"colour":"red"}
            {"address":"cy@museum.example","address":"cy@museum.example","purpose":"newsletter","kind":"given","occurredAt":"2026-01-01T00:00:00Z"}
            {"address":"cy@museum.example","purpose":"newsletter","kind":"given"
            ["cy@museum.example"]
            {"address":42,"purpose":"newsletter","kind":"given","occurredAt":"2026-01-01T00:00:00Z"}
            {"address":"cy@museum.example","purpose":"newsletter","kind":"given","occurredAt":"2026-01-01T00:00:00Z","evidence":[1]}
            {"address":"cy@museum.example","purpose":"newsletter","kind":"given","occurredAt":"2026-01-01T00:00:00Z","sourceReference":"\u0000"}
            {"address":"\ud800@museum.example","purpose":"newsletter","kind":"given","occurredAt":"2026-01-01T00:00:00Z"}
            {}
            """,
            type: "application/x-ndjson");

        report.Problems().ShouldBe([.. Enumerable.Range(6, 8).Select(line => $"{line} malformed"), "14 invalid-address"]);
        report.Counts().ShouldBe("13 1 3 0 9");
    }

    [Theory]
    [InlineData("", "body")]
    [InlineData("address,purpose,kind\nada@museum.example,newsletter,given\n", "occurredAt")]
    [InlineData("address,purpose,kind,occurredAt,colour\n", "colour")]
    [InlineData("address,purpose,kind,occurredAt,kind\n", "kind")]
    [InlineData("address,purpose,kind,occurredAt,evidence.\n", "evidence.")]
    [InlineData("ada@museum.example,newsletter,given,2026-01-01T00:00:00Z\n", "address")]
    [InlineData("address,purpose,kind,occurredAt,ada@museum.example\n", "column 5")]
    [InlineData("\"address,purpose,kind,occurredAt\n", "body")]
    [InlineData("address,purpose,kind,occurredAt\nada@museum.example,newsletter,withdrawn,2026-01-01T00:00:00Z\nb\0b@museum.example,,,\n", "body")]
    public async Task A_file_that_is_no_list_changes_nothing(string list, string path)
    {
        await using var service = await Lists.StartAsync(databases);

        var error = await service.SendAsync(Encoding.UTF8.GetBytes(list)).ReadErrorAsync(path);

        error.ShouldNotContain("ada@");
        (await service.CountAsync("consent_event")).ShouldBe(0);
    }

    [Fact]
    public async Task A_file_in_another_encoding_or_format_changes_nothing()
    {
        await using var service = await Lists.StartAsync(databases);
        var list = $"{Lists.Header}ada@museum.example,newsletter,withdrawn,2026-01-01T00:00:00Z,\nbob@bücher.example,newsletter,withdrawn,2026-01-01T00:00:00Z,\n";

        await service.SendAsync(Encoding.Latin1.GetBytes(list)).ReadErrorAsync("body");
        await service.SendAsync(Encoding.Unicode.GetBytes(list)).ReadErrorAsync("body");
        await service.SendAsync(Encoding.UTF8.GetBytes(list), type: "application/x-ndjson").ReadErrorAsync("body");
        foreach (var type in (string[])["application/json", "text/plain", "text/csv; charset=windows-1252", "application/zip"])
        {
            await service.SendAsync(Encoding.UTF8.GetBytes(list), type: type).ReadProblemAsync(HttpStatusCode.UnsupportedMediaType, "unsupported-media-type");
        }

        (await service.CountAsync("consent_event")).ShouldBe(0);
        (await service.SendAsync(Encoding.UTF8.GetBytes(list), type: "text/csv; charset=\"UTF-8\"; header=present").ReadAsync()).Counts().ShouldBe("2 2 0 0 0");
    }

    [Fact]
    public async Task An_old_list_never_undoes_a_later_withdrawal()
    {
        await using var service = await Lists.StartAsync(databases);
        await service.EventAsync("ada@museum.example", "withdrawn", occurredAt: new DateTimeOffset(2026, 6, 1, 0, 0, 0, TimeSpan.Zero));

        var report = await service.ImportAsync($"{Lists.Header}ada@museum.example,newsletter,given,2026-01-01T00:00:00Z,1\n");

        report.Counts().ShouldBe("1 1 0 0 0");
        (await service.ReasonAsync("ada@museum.example")).ShouldBe("withdrawn");
        (await service.ImportAsync($"{Lists.Header}ada@museum.example,newsletter,given,2026-07-01T00:00:00Z,1\n")).Problems().ShouldBe(["2 resubscribes"]);
        (await service.ReasonAsync("ada@museum.example")).ShouldBe("withdrawn");
        (await service.ImportAsync($"{Lists.Header}ada@museum.example,newsletter,given,2026-07-01T00:00:00Z,1\n", "?allowResubscribe=true")).Counts().ShouldBe("1 1 0 0 0");
        (await service.ReasonAsync("ada@museum.example")).ShouldBe("given");
    }

    [Fact]
    public async Task A_request_that_nobody_confirmed_does_not_open_the_door_that_a_refusal_shut()
    {
        await using var service = await Lists.StartAsync(databases);
        const string List = $"{Lists.Header}ada@museum.example,newsletter,given,2026-08-01T00:00:00Z,1\n";
        await service.EventAsync("ada@museum.example", "withdrawn", occurredAt: new DateTimeOffset(2026, 6, 1, 0, 0, 0, TimeSpan.Zero));
        await service.EventAsync("ada@museum.example", "requested", occurredAt: new DateTimeOffset(2026, 7, 1, 0, 0, 0, TimeSpan.Zero));

        (await service.ImportAsync(List)).Problems().ShouldBe(["2 resubscribes"]);
        (await service.ImportAsync(List, "?dryRun=true")).Problems().ShouldBe(["2 resubscribes"]);
        (await service.ReasonAsync("ada@museum.example")).ShouldBe("pending");

        // Once the person has answered the request, what they said last is a consent.
        await service.EventAsync(
            "ada@museum.example", "given", occurredAt: new DateTimeOffset(2026, 7, 2, 0, 0, 0, TimeSpan.Zero), with: new() { ["notice"] = new JsonObject { ["version"] = 1 } });
        (await service.ImportAsync(List)).Counts().ShouldBe("1 1 0 0 0");
        (await service.ReasonAsync("ada@museum.example")).ShouldBe("given");
        await service.ShouldBeWholeAsync();
    }

    [Fact]
    public async Task An_objection_to_everything_holds_back_every_purpose()
    {
        await using var service = await Lists.StartAsync(databases);

        var report = await service.ImportAsync(
            Lists.Header + "ada@museum.example,newsletter,given,2025-01-01T00:00:00Z,1\nada@museum.example,*,objected,2026-01-01T00:00:00Z,\n"
            + "ada@museum.example,newsletter,given,2025-06-01T00:00:00Z,1\nada@museum.example,newsletter,given,2026-02-01T00:00:00Z,1\n"
            + "ada@museum.example,newsletter,requested,2026-02-02T00:00:00Z,\nada@museum.example,newsletter,given,2026-02-03T00:00:00Z,1\n"
            + "ada@museum.example,events,renewed,2026-02-03T00:00:00Z,1\nada@museum.example,*,suppressed,2026-02-04T00:00:00Z,\n");

        report.Problems().ShouldBe(["5 resubscribes", "7 resubscribes", "8 resubscribes"]);
        report.Counts().ShouldBe("8 5 0 3 0");
    }

    [Fact]
    public async Task A_list_of_more_problems_than_are_shown_shows_the_first_thousand()
    {
        await using var service = await Lists.StartAsync(databases);
        await service.EventAsync("ada@museum.example", "withdrawn", occurredAt: new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));

        var report = await service.ImportAsync(
            $"{Lists.Header}ada@museum.example,newsletter,given,2026-07-01T00:00:00Z,1\n" + string.Concat(Enumerable.Repeat("nobody,newsletter,given,2026-01-01T00:00:00Z,1\n", 1500)));

        report.Counts().ShouldBe("1501 0 0 1 1500");
        report.Problems().Count.ShouldBe(1000);
        report.Problems()[0].ShouldBe("2 resubscribes");
        report.Problems()[^1].ShouldBe("1001 invalid-address");
    }

    [Fact]
    public async Task Only_a_key_for_imports_imports_and_only_for_its_purposes()
    {
        await using var service = await Lists.StartAsync(databases);
        var writer = await service.CreateKeyAsync([Scope.EventsWrite]);
        var bound = await service.CreateKeyAsync([Scope.EventsImport], "events");
        const string List = $"{Lists.Header}ada@museum.example,newsletter,withdrawn,2026-01-01T00:00:00Z,\nada@museum.example,events,withdrawn,2026-01-01T00:00:00Z,\nada@museum.example,*,objected,2026-01-01T00:00:00Z,\n";

        await service.SendAsync(new StringContent(List), key: writer).ReadProblemAsync(HttpStatusCode.Forbidden, "insufficient-scope");
        var report = await service.SendAsync(new StringContent(List), key: bound).ReadAsync();

        report.Counts().ShouldBe("3 1 0 0 2");
        report.Problems().ShouldBe(["2 unknown-purpose", "4 unknown-purpose"]);
    }
}
