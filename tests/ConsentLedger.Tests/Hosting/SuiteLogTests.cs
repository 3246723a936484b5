using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using ConsentLedger.Tests.Hosting;
using Xunit.Sdk;
using Xunit.v3;

[assembly: TestCollectionOrderer(typeof(SuiteLogLast))]

namespace ConsentLedger.Tests.Hosting;

/// <summary>
/// Collections that run alone run after all the others; of those this one is the last. By then every service of the run
/// has logged what it had to, at every level.
/// </summary>
public sealed class SuiteLogLast : ITestCollectionOrderer
{
    public IReadOnlyCollection<TTestCollection> OrderTestCollections<TTestCollection>(IReadOnlyCollection<TTestCollection> testCollections)
        where TTestCollection : ITestCollection =>
        [.. testCollections.OrderBy(collection => collection.TestCollectionDisplayName == SuiteLogTests.Collection)];
}

[CollectionDefinition(SuiteLogTests.Collection, DisableParallelization = true)]
public sealed class AfterEverything;

[Collection(Collection)]
public sealed partial class SuiteLogTests(TestDatabase databases)
{
    public const string Collection = "After everything";

    [Fact]
    public async Task No_line_that_any_service_of_this_run_logged_shows_an_address_a_key_or_a_token()
    {
        await MakeTroubleAsync();

        var lines = SuiteLog.Lines.ToArray();
        lines.Length.ShouldBeGreaterThan(20, "Too little was logged for this to be a test.");
        lines.ShouldContain(line => line.StartsWith("Debug", StringComparison.Ordinal) || line.StartsWith("Trace", StringComparison.Ordinal), "Nothing below Information was kept.");
        lines.ShouldContain(line => line.Contains("A request ended in a defect", StringComparison.Ordinal), "The trouble that was made is not in the log.");
        var telling = lines.Where(Tells).Distinct().Take(20).ToList();
        telling.ShouldBeEmpty(string.Join('\n', telling));
    }

    [Theory]
    [InlineData("Key (address)=(ada@museum.example) already exists.", true)]
    [InlineData("Ada.Lovelace@Museum.Example", true)]
    [InlineData("ŵyn@amgueddfa.cymru", true)]
    [InlineData("post%40museum.example", true)]
    [InlineData("tel:+442079460000", true)]
    [InlineData("ref:MEM-1234", true)]
    [InlineData("Bearer clk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", true)]
    [InlineData("GET /u/AQEAAAABAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0e", true)]
    [InlineData("Password=hush", true)]
    [InlineData("a…@…", false)]
    [InlineData("PostgreSQL 15 (embedded, /var/lib/consentledger/postgres-15, port 5432)", false)]
    [InlineData("Now listening on: http://127.0.0.1:40001", false)]
    [InlineData("   at ConsentLedger.Ledger.LedgerStore.AppendAsync(ConsentEvent event, Address address, CancellationToken cancellation)", false)]
    [InlineData("System.Runtime.CompilerServices.AsyncTaskMethodBuilder`1.AsyncStateMachineBox", false)]
    public void The_search_finds_what_must_not_be_in_a_log_and_nothing_else(string line, bool tells) => Tells(line).ShouldBe(tells);

    private static bool Tells(string line) => Address().IsMatch(line) || Secret().IsMatch(line);

    /// <summary>Everything that is known to log: refusals, a defect whose cause quotes a value, a database that is away.</summary>
    private async Task MakeTroubleAsync()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync("ada@museum.example");
        await service.PostAsync("/v1/events", Given.Event("ada lovelace@museum.example"));
        await service.PostAsync("/v1/events", new JsonObject { ["ada@museum.example"] = "bob@museum.example" });
        await service.GetAsync("/v1/ada@museum.example?address=ada@museum.example");
        await service.GetAsync("/v1/purposes", key: "clk_" + new string('A', 43));
        await service.GetAsync("/u/" + new string('A', 51));

        // PostgreSQL quotes the row in the detail of its error, and the statement is the service's own.
        await service.SqlAsync("alter table subscriber add constraint nobody check (address is null) not valid");
        (await service.PostAsync("/v1/events", Given.Event("bob@museum.example"))).StatusCode.ShouldBe(HttpStatusCode.InternalServerError);
    }

    [GeneratedRegex(@"[\p{L}\p{N}._+-](@|%40)[\p{L}\p{N}-]+\.(example|museum|cymru|org|com|pl|ελ)\b|tel:\+?\d|ref:[A-Z0-9]", RegexOptions.IgnoreCase)]
    private static partial Regex Address();

    [GeneratedRegex(@"clk_[A-Za-z0-9_-]{10}|/(u|confirm|preferences)/[A-Za-z0-9_-]{40}|Password=|(?<![A-Za-z0-9_/.`+-])AQ[A-Za-z0-9_-]{49}(?![A-Za-z0-9_-])")]
    private static partial Regex Secret();
}
