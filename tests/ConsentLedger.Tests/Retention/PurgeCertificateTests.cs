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
        const string Digest =
            "select encode(sha256(convert_to(string_agg(subscriber_id || ' ' || event_id || ' ' || rule || ' ' || coalesce((select max(position) from log_entry where log_entry.event_id = purge_record.event_id)::text, '-') || E'\\n', '' order by subscriber_id, event_id, rule), 'UTF8')), 'hex') from purge_record";
        var certified = (await service.GetAsync($"/v1/retention/runs/{run}/certificate").ReadAsync())["certificate"]!["records"]!.Text("sha256");

        certified.ShouldBe(await service.SqlAsync(Digest));
        await service.SqlAsync("update purge_record set event_id = gen_random_uuid() where rule = 'lapsed'");
        certified.ShouldNotBe(await service.SqlAsync(Digest));
    }

    [Fact]
    public async Task A_certificate_that_somebody_changed_in_the_database_does_not_verify()
    {
        await using var service = await StartAsync();
        var run = await PurgeAsync(service);
        await service.SqlAsync("update purge_run set certificate = replace(convert_from(certificate, 'UTF8'), '\"heldBack\":0', '\"heldBack\":1')::bytea");

        var signed = await service.GetAsync($"/v1/retention/runs/{run}/certificate").ReadAsync();

        signed["certificate"]!["heldBack"]!.GetValue<int>().ShouldBe(1);
        Verifies(signed, signed["certificate"]!.ToJsonString(), signed.Text("signature")).ShouldBeFalse();
    }

    [Fact]
    public async Task A_run_that_failed_after_it_had_deleted_has_a_certificate_of_that()
    {
        await using var service = await StartAsync();
        service.Clock.Advance(TimeSpan.FromMinutes(1));
        await service.EventAsync("ben@museum.example", "objected", "*", Start.AddYears(-3));
        await service.SqlAsync("alter table suppression add constraint no_facets check (purpose_id > 0) not valid");

        var run = (await service.PostAsync("/v1/retention/runs", new JsonObject()).ReadAsync(HttpStatusCode.Accepted)).Text("id");
        (await service.DoneAsync(run)).Text("status").ShouldBe("failed");

        var certificate = (await service.GetAsync($"/v1/retention/runs/{run}/certificate").ReadAsync())["certificate"]!;
        certificate.Text("status").ShouldBe("failed");
        certificate["purged"]!["newsletter"]!["lapsed"]!["positions"]!.ToJsonString().ShouldBe("""{"from":1,"to":2}""");
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
