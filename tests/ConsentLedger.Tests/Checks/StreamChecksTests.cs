using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace ConsentLedger.Tests.Checks;

/// <summary>The stream of checks: any length, in order, while it still arrives, and never half an answer for a whole one.</summary>
public sealed class StreamChecksTests(TestDatabase databases)
{
    private const string Ada = "ada@museum.example";
    private const string Bob = "bob@museum.example";

    private static readonly string TooLong = new string('x', 9_000) + "@museum.example";

    public static TheoryData<string, string> Lists => new()
    {
        { "text/plain", $"\uFEFF{Ada}\r\n\r\n  {Bob}  \r\nnot an address\r\n\r\n{TooLong}\r\nnobody@museum.example" },
        { "text/plain; charset=utf-8", $"{Ada}\n{Bob}\nnot an address\n{TooLong}\nnobody@museum.example\n\n\n" },
        { "text/csv", $"\uFEFFname,Address\r\n\"Lovelace, \"\"Ada\"\"\r\nCountess\",{Ada}\r\n\r\nBob,\"{Bob}\"\r\nx,not an address\r\nx,{TooLong}\r\nx,nobody@museum.example" },
        { "text/csv", $"address\n{Ada}\n{Bob}\nnot an address\n\"{TooLong}\"\nnobody@museum.example\n" },
        { "application/x-ndjson", $"{{\"address\":\"{Ada}\",\"name\":{{\"address\":[1]}}}}\r\n\n\"{Bob}\"\n\"not an address\"\n\"{TooLong}\"\n{{\"address\":\"nobody@museum.example\"}}" },
    };

    [Theory, MemberData(nameof(Lists))]
    public async Task Every_form_of_list_is_answered_in_its_order_with_a_summary_at_the_end(string type, string list)
    {
        await using var service = await SceneAsync();

        var response = await SendAsync(service, list, type);

        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        response.Content.Headers.ContentType!.ToString().ShouldBe("application/x-ndjson");
        var lines = await LinesAsync(response);
        lines.Count.ShouldBe(6);
        lines[0].ShouldBe($$"""{"address":"{{Ada}}","allowed":true,"reason":"given"}""");
        lines[1].ShouldBe($$"""{"address":"{{Bob}}","allowed":false,"reason":"withdrawn"}""");
        lines[2].ShouldBe("""{"address":"not an address","allowed":false,"reason":"invalid-address"}""");
        lines[3].ShouldBe("""{"address":null,"allowed":false,"reason":"invalid-address"}""");
        lines[4].ShouldBe("""{"address":"nobody@museum.example","allowed":false,"reason":"unknown"}""");
        lines[5].ShouldBe("""{"summary":{"received":5,"allowed":1,"denied":2,"invalid":2}}""");
    }

    [Fact]
    public async Task CSV_is_answered_by_Accept_and_its_last_line_can_t_be_mistaken_for_data()
    {
        await using var service = await SceneAsync();

        var response = await SendAsync(
            service, $"\"{Ada}\"\n\"#summary\"\n\"a,\\\"b\\nc\"\n\"=1+1@museum.example\"\n", "application/x-ndjson", "text/csv, application/x-ndjson;q=0.5");

        response.Content.Headers.ContentType!.MediaType.ShouldBe("text/csv");
        (await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).ShouldBe(
            $"""
            address,allowed,reason
            {Ada},true,given
            "#summary",false,invalid-address
            "a,""b
            c",false,invalid-address
            =1+1@museum.example,false,unknown
            #summary,received=4,allowed=1,denied=1,invalid=2

            """.ReplaceLineEndings("\n"));
    }

    [Fact]
    public async Task Links_come_on_request_for_whoever_may_be_written_to()
    {
        await using var service = await SceneAsync();

        var lines = await LinesAsync(await SendAsync(service, $"{Ada}\n{Bob}\n", query: "?purpose=newsletter&links=true"));
        var csv = await LinesAsync(await SendAsync(service, $"{Ada}\n{Bob}\n", accept: "text/csv", query: "?purpose=newsletter&links=true"));

        var url = JsonNode.Parse(lines[0])!.Text("unsubscribeUrl");
        url.ShouldStartWith("https://consent.example/u/");
        lines[1].ShouldNotContain("unsubscribeUrl");
        csv[0].ShouldBe("address,allowed,reason,unsubscribeUrl");
        csv[1].ShouldBe($"{Ada},true,given,{url}");
        csv[2].ShouldBe($"{Bob},false,withdrawn,");
        (await service.SendAsync(HttpMethod.Get, new Uri(url).AbsolutePath)).StatusCode.ShouldBe(HttpStatusCode.OK);
    }

    [Fact]
    public async Task An_empty_list_has_an_answer_too()
    {
        await using var service = await SceneAsync();

        (await LinesAsync(await SendAsync(service, ""))).ShouldBe(["""{"summary":{"received":0,"allowed":0,"denied":0,"invalid":0}}"""]);
        (await LinesAsync(await SendAsync(service, "\uFEFFaddress\r\n", "text/csv"))).Count.ShouldBe(1);
    }

    [Fact]
    public async Task What_can_be_refused_is_refused_before_the_first_byte()
    {
        await using var service = await SceneAsync();
        var bound = await service.CreateKeyAsync(["checks:read"], "events");
        var other = await service.CreateKeyAsync(["events:write"]);

        await SendAsync(service, Ada, query: "?purpose=no-such").ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        await SendAsync(service, Ada, query: "?purpose=No%20Such").ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        await SendAsync(service, Ada, query: "").ReadErrorAsync("purpose");
        await SendAsync(service, Ada, query: "?purpose=newsletter&links=perhaps").ReadErrorAsync("links");
        await SendAsync(service, "mail\nada\n", "text/csv").ReadErrorAsync("address");
        await SendAsync(service, "", "text/csv").ReadErrorAsync("address");
        await SendAsync(service, Ada, "application/json").ReadProblemAsync(HttpStatusCode.UnsupportedMediaType, "unsupported-media-type");
        await SendAsync(service, Ada, "text/plain; charset=utf-16").ReadProblemAsync(HttpStatusCode.UnsupportedMediaType, "unsupported-media-type");
        await SendAsync(service, Ada, key: bound).ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
        await SendAsync(service, Ada, key: other).ReadProblemAsync(HttpStatusCode.Forbidden, "insufficient-scope");
        await SendAsync(service, Ada, key: "none").ReadProblemAsync(HttpStatusCode.Unauthorized, "unauthenticated");
    }

    [Fact]
    public async Task Answers_arrive_before_the_request_has_ended()
    {
        await using var service = await SceneAsync();
        using var call = await StreamCall.OpenAsync(service);

        (await call.ReadHeadAsync()).ShouldBe("HTTP/1.1 200 OK");
        for (var round = 0; round < 3; round++)
        {
            await call.SendAsync($"{Ada}\n{Bob[..3]}");
            (await call.ReadAnswerAsync()).Text("reason").ShouldBe("given");
            await call.SendAsync($"{Bob[3..]}\n");
            (await call.ReadAnswerAsync()).Text("reason").ShouldBe("withdrawn");
        }

        // Nothing is remembered from one line to the next: what happens meanwhile is seen.
        await service.EventAsync(Ada, "withdrawn");
        await call.SendAsync($"{Ada}\n");
        (await call.ReadAnswerAsync()).Text("reason").ShouldBe("withdrawn");
        await call.EndAsync();
        (await call.ReadLineAsync()).ShouldBe("""{"summary":{"received":7,"allowed":3,"denied":4,"invalid":0}}""");
        (await call.ReadLineAsync()).ShouldBeNull();
    }

    [Fact]
    public async Task Two_hundred_thousand_addresses_are_answered_in_order_and_memory_stays_flat()
    {
        const int Count = 200_000;
        await using var service = await SceneAsync();
        using var call = await StreamCall.OpenAsync(service);
        var before = GC.GetTotalMemory(forceFullCollection: true);
        var most = 0L;

        var sending = SendManyAsync(call, Count, _ => { });
        await call.ReadHeadAsync();
        for (var i = 0; i < Count; i++)
        {
            (await call.ReadLineAsync()).ShouldStartWith($"{{\"address\":\"{Name(i)}\",");
            if (i % 50_000 == 25_000)
            {
                most = Math.Max(most, GC.GetTotalMemory(forceFullCollection: true) - before);
            }
        }

        await sending;
        (await call.ReadLineAsync()).ShouldBe($$$"""{"summary":{"received":{{{Count}}},"allowed":0,"denied":{{{Count}}},"invalid":0}}""");
        most.ShouldBeLessThan(24 * 1024 * 1024);
    }

    [Fact]
    public async Task A_client_that_does_not_read_is_not_read_from_and_loses_nothing_when_it_goes_on()
    {
        const int Count = 600_000;

        // The system would take tens of megabytes for the service, and so the whole list.
        await using var service = await SceneAsync(builder => builder.Services.Configure<SocketTransportOptions>(options => options.CreateBoundListenSocket = endpoint =>
        {
            var listener = SocketTransportOptions.CreateDefaultBoundListenSocket(endpoint);
            listener.ReceiveBufferSize = 64 * 1024;
            return listener;
        }));
        using var call = await StreamCall.OpenAsync(service);
        var sent = 0;

        var sending = SendManyAsync(call, Count, number => sent = number);
        int seen;
        do
        {
            seen = Volatile.Read(ref sent);
            await Task.Delay(TimeSpan.FromSeconds(2), TestContext.Current.CancellationToken);
        }
        while (seen != Volatile.Read(ref sent));

        seen.ShouldBeLessThan(Count);
        sending.IsCompleted.ShouldBeFalse();
        await call.ReadHeadAsync();
        for (var i = 0; i < Count; i++)
        {
            (await call.ReadLineAsync()).ShouldStartWith($"{{\"address\":\"{Name(i)}\",");
        }

        await sending;
        (await call.ReadLineAsync()).ShouldNotBeNull().ShouldContain("summary");
    }

    [Theory, InlineData(true), InlineData(false)]
    public async Task An_upload_that_is_cut_gets_no_summary(bool afterAnAnswer)
    {
        await using var service = await SceneAsync();
        using var call = await StreamCall.OpenAsync(service);
        await call.SendAsync($"{Ada}\n{Bob}");
        if (afterAnAnswer)
        {
            await call.ReadHeadAsync();
            await call.ReadAnswerAsync();
        }

        call.Cut();

        await Should.ThrowAsync<EndOfStreamException>(async () =>
        {
            if (!afterAnAnswer)
            {
                await call.ReadHeadAsync();
            }

            while (await call.ReadLineAsync() is { } line)
            {
                line.ShouldNotContain("summary");
            }
        });
    }

    [Fact]
    public async Task When_the_database_goes_away_the_answer_is_cut_without_a_summary()
    {
        await using var service = await SceneAsync();
        using var call = await StreamCall.OpenAsync(service);
        await call.SendAsync($"{Ada}\n");
        await call.ReadHeadAsync();
        (await call.ReadAnswerAsync()).Text("reason").ShouldBe("given");

        await service.CutDatabaseAsync(databases);
        await call.SendAsync($"{Ada}\n");

        await Should.ThrowAsync<EndOfStreamException>(call.ReadLineAsync);
    }

    [Fact]
    public async Task When_the_client_goes_away_the_work_stops()
    {
        await using var service = await SceneAsync();
        await using var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(service.ConnectionString) { Pooling = false }.ConnectionString);
        await connection.OpenAsync(TestContext.Current.CancellationToken);
        await using var transaction = await connection.BeginTransactionAsync(TestContext.Current.CancellationToken);
        await using var command = new NpgsqlCommand("lock table consentledger.consent_state in access exclusive mode", connection, transaction);
        var call = await StreamCall.OpenAsync(service);
        await call.ReadHeadAsync();
        await command.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        await call.SendAsync($"{Ada}\n");
        await UntilAsync(async () => await WaitingAsync(service) == 1);

        call.Dispose();

        await UntilAsync(async () => await WaitingAsync(service) == 0);
    }

    private static async Task<long> WaitingAsync(TestService service) => (long)(await service.SqlAsync(
        "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"))!;

    private static async Task UntilAsync(Func<Task<bool>> holds)
    {
        for (var attempt = 0; attempt < 200; attempt++)
        {
            if (await holds())
            {
                return;
            }

            await Task.Delay(50, TestContext.Current.CancellationToken);
        }

        (await holds()).ShouldBeTrue();
    }

    private async Task<TestService> SceneAsync(Action<WebApplicationBuilder>? configure = null)
    {
        var service = await TestService.StartAsync(databases, configure);
        await service.PurposeAsync();
        await service.EventAsync(Ada);
        await service.EventAsync(Bob, "withdrawn");
        return service;
    }

    private static string Name(int number) => string.Create(CultureInfo.InvariantCulture, $"someone-{number}@museum.example");

    private static async Task SendManyAsync(StreamCall call, int count, Action<int> sent)
    {
        await Task.Yield();
        var piece = new StringBuilder();
        for (var i = 0; i < count; i++)
        {
            piece.Append(Name(i)).Append('\n');
            if (piece.Length > 16_000 || i == count - 1)
            {
                await call.SendAsync(piece.ToString());
                piece.Clear();
                sent(i + 1);
            }
        }

        await call.EndAsync();
    }

    private static Task<HttpResponseMessage> SendAsync(
        TestService service, string list, string type = "text/plain", string? accept = null, string query = "?purpose=newsletter", string? key = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, "/v1/checks/stream" + query) { Content = new ByteArrayContent(Encoding.UTF8.GetBytes(list)) };
        request.Content.Headers.ContentType = MediaTypeHeaderValue.Parse(type);
        request.Headers.TryAddWithoutValidation("Accept", accept ?? "*/*");
        request.Headers.Authorization = key is null ? null : new AuthenticationHeaderValue("Bearer", key);
        return service.Client.SendAsync(request);
    }

    private static async Task<IReadOnlyList<string>> LinesAsync(HttpResponseMessage response) =>
        (await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).TrimEnd('\n').Split('\n');
}
