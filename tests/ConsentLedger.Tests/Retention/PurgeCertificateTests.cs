using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;
using NSec.Cryptography;

namespace ConsentLedger.Tests.Retention;

public sealed class PurgeCertificateTests(TestDatabase databases)
{
    private static readonly DateTimeOffset Start = TestService.Start;

    [Fact]
    public async Task A_certificate_says_what_went_and_anybody_verifies_it_by_the_public_key()
    {
        await using var service = await StartAsync();
        var run = await PurgeAsync(service);

        var signed = await service.GetAsync($"/v1/retention/runs/{run}/certificate").ReadAsync();

        var certificate = signed["certificate"]!;
        certificate["purged"]!.ToJsonString().ShouldBe(
            """{"*":{"address":{"count":1,"from":null,"positions":null,"to":null}},"newsletter":{"lapsed":{"count":2,"from":"2023-11-22T09:30:00.000000Z","positions":{"from":1,"to":2},"to":"2024-11-12T09:30:00.000000Z"}}}""");
        certificate["records"]!["count"]!.GetValue<int>().ShouldBe(3);
        certificate.Text("organisation").ShouldBe("Hafod Museum");
        signed.ToJsonString().ShouldNotContain("ada@");

        // What stands in the answer is the canonical form itself: no other program has to make it again.
        using var anyone = new HttpClient { BaseAddress = service.Url };
        var key = JsonNode.Parse(await anyone.GetStringAsync(new Uri("/.well-known/consentledger-key", UriKind.Relative), TestContext.Current.CancellationToken))!;
        key.Text("publicKey").ShouldBe(signed.Text("publicKey"));
        Verifies(key, certificate.ToJsonString(), signed.Text("signature")).ShouldBeTrue();
        Verifies(key, certificate.ToJsonString().Replace("\"count\":2", "\"count\":1", StringComparison.Ordinal), signed.Text("signature")).ShouldBeFalse();
        (await service.GetAsync($"/v1/retention/runs/{run}/certificate").ReadAsync()).ToJsonString().ShouldBe(signed.ToJsonString());
    }

    [Fact]
    public async Task The_certificate_binds_the_very_records_of_the_run()
    {
        await using var service = await StartAsync();
        var run = await PurgeAsync(service);
        var before = (await service.GetAsync($"/v1/retention/runs/{run}/certificate").ReadAsync())["certificate"]!["records"]!.Text("sha256");

        var expected = await service.SqlAsync(
            "select encode(sha256(convert_to(string_agg(subscriber_id || ' ' || event_id || ' ' || rule || ' ' || coalesce((select max(position) from log_entry where log_entry.event_id = purge_record.event_id)::text, '-') || E'\\n', '' order by subscriber_id, event_id, rule), 'UTF8')), 'hex') from purge_record");
        before.ShouldBe(expected);
        await service.SqlAsync("update purge_record set event_id = gen_random_uuid() where rule = 'lapsed'");
        (await service.GetAsync($"/v1/retention/runs/{run}/certificate").ReadAsync())["certificate"]!["records"]!.Text("sha256").ShouldNotBe(before);
    }

    [Fact]
    public async Task It_is_a_page_to_print_in_English_and_Welsh()
    {
        await using var service = await StartAsync();
        var run = await PurgeAsync(service);

        (await PageAsync("en")).ShouldContain("Hafod Museum deleted 3 records for good");
        (await PageAsync("cy")).ShouldContain("Tystysgrif dileu");

        async Task<string> PageAsync(string language)
        {
            var response = await service.GetAsync($"/v1/retention/runs/{run}/certificate", headers: [("Accept", "text/html"), ("Accept-Language", language)]);
            response.Content.Headers.ContentType!.MediaType.ShouldBe("text/html");
            return WebUtility.HtmlDecode(await response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken));
        }
    }

    [Fact]
    public async Task What_deleted_nothing_for_good_is_not_certified()
    {
        await using var service = await StartAsync();
        var dry = (await service.PurgeAsync(dryRun: true)).Text("id");

        await service.GetAsync($"/v1/retention/runs/{dry}/certificate").ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        await service.GetAsync($"/v1/retention/runs/{Guid.NewGuid()}/certificate").ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
        await service.GetAsync($"/v1/retention/runs/{dry}/certificate", await service.CreateKeyAsync(["retention:read"], "newsletter"))
            .ReadProblemAsync(HttpStatusCode.Forbidden, "purpose-not-permitted");
    }

    private async Task<TestService> StartAsync()
    {
        var service = await TestService.StartAsync(databases, builder => builder.Configuration["ConsentLedger:Controller:Name"] = "Hafod Museum");
        await service.PurposeAsync();
        await service.EventAsync("ada@museum.example", occurredAt: Start.AddYears(-3));
        await service.EventAsync("ada@museum.example", "withdrawn", occurredAt: Start.AddMonths(-24).AddDays(-10));
        return service;
    }

    private static async Task<string> PurgeAsync(TestService service) => (await service.PurgeAsync()).Text("id");

    private static bool Verifies(JsonNode key, string message, string signature) => SignatureAlgorithm.Ed25519.Verify(
        PublicKey.Import(SignatureAlgorithm.Ed25519, Convert.FromBase64String(key.Text("publicKey")), KeyBlobFormat.RawPublicKey),
        Encoding.UTF8.GetBytes(message),
        Convert.FromBase64String(signature));
}
