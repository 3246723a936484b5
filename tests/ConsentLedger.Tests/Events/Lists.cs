using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using ConsentLedger.Database;
using ConsentLedger.Tests.Hosting;
using Npgsql;

namespace ConsentLedger.Tests.Events;

/// <summary>Sends lists and reads off what became of them.</summary>
internal static class Lists
{
    public const string Header = "address,purpose,kind,occurredAt,noticeVersion\n";

    /// <summary>A list as a museum might bring it: 2,000 rows of three purposes, with everything that can be wrong.</summary>
    public static byte[] Newsletter => File.ReadAllBytes(Path.Combine(AppContext.BaseDirectory, "Events", "newsletter-list.csv"));

    /// <summary>The purposes and notices that <see cref="Newsletter"/> is about.</summary>
    public static async Task<TestService> StartAsync(TestDatabase databases)
    {
        var service = await TestService.StartAsync(databases);
        await service.PurposeAsync("newsletter");
        await service.NoticeAsync("newsletter");
        await service.PurposeAsync("events");
        await service.NoticeAsync("events");
        await service.PurposeAsync("appeals", "charitable-soft-opt-in");
        return service;
    }

    public static Task<HttpResponseMessage> SendAsync(
        this TestService service, HttpContent list, string query = "", string type = "text/csv", string? key = null)
    {
        var request = new HttpRequestMessage(HttpMethod.Post, "/v1/events/import" + query) { Content = list };
        list.Headers.ContentType = MediaTypeHeaderValue.Parse(type);
        request.Headers.Authorization = key is null ? null : new AuthenticationHeaderValue("Bearer", key);
        return service.Client.SendAsync(request);
    }

    public static Task<HttpResponseMessage> SendAsync(this TestService service, byte[] list, string query = "", string type = "text/csv") =>
        service.SendAsync(new ByteArrayContent(list), query, type);

    public static Task<JsonNode> ImportAsync(this TestService service, byte[] list, string query = "", string type = "text/csv") =>
        service.SendAsync(list, query, type).ReadAsync();

    public static Task<JsonNode> ImportAsync(this TestService service, string list, string query = "", string type = "text/csv") =>
        service.ImportAsync(Encoding.UTF8.GetBytes(list), query, type);

    /// <summary>The five counts, in the order of the contract.</summary>
    public static string Counts(this JsonNode report) => string.Join(
        ' ', new[] { "received", "appended", "unchanged", "heldBack", "rejected" }.Select(name => report[name]!.GetValue<long>()));

    /// <summary>Each problem as <c>line code</c>.</summary>
    public static IReadOnlyList<string> Problems(this JsonNode report) =>
        [.. report["problems"]!.AsArray().Select(problem => $"{problem!["line"]} {problem["code"]}")];

    /// <summary>How many rows a table has.</summary>
    public static async Task<long> CountAsync(this TestService service, string table) => (long)(await service.SqlAsync($"select count(*) from {table}"))!;

    /// <summary>Each event has its place in the log, or waits for it, and is followed by its state, and nothing else is there.</summary>
    public static async Task ShouldBeWholeAsync(this TestService service)
    {
        (await service.SqlAsync($"select count(*) from consent_event full join {TestService.Logged} using (subscriber_id, event_id) where logged.commitment is distinct from consent_event.commitment")).ShouldBe(0L);
        (await service.SqlAsync("select count(*) from consent_event event left join evidence using (subscriber_id, event_id) where (event.evidence_digest is null) <> (evidence.sealed is null)")).ShouldBe(0L);
        (await service.SqlAsync("select count(*) from consent_event event left join subscriber using (subscriber_id) where subscriber.address is null")).ShouldBe(0L);
        await using var owner = service.Database.OpenAsOwner();
        await owner.OpenAsync();
        await using var transaction = await owner.BeginTransactionAsync();
        await using var rebuild = new NpgsqlCommand(EmbeddedSql.Read("rebuild_state.sql"), owner);
        await using var reader = await rebuild.ExecuteReaderAsync();
        await reader.ReadAsync();
        (reader.GetInt64(1), reader.GetInt64(2)).ShouldBe((0, 0));
    }
}
