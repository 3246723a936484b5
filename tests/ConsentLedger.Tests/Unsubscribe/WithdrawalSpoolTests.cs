using System.Net;
using ConsentLedger.Ledger;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Unsubscribe;

/// <summary>No unsubscribe is lost: what becomes of one while the database is away.</summary>
public sealed class WithdrawalSpoolTests(TestDatabase databases) : IDisposable
{
    private static readonly DateTimeOffset LastYear = TestService.Start.AddYears(-1);

    private readonly DirectoryInfo data = Directory.CreateTempSubdirectory("consentledger-tests-");

    private string Spool => Path.Combine(data.FullName, "unsubscribes");

    public void Dispose() => data.Delete(recursive: true);

    [Fact]
    public async Task Unsubscribes_that_came_while_the_database_was_away_are_each_applied_once_after_a_restart()
    {
        var people = Enumerable.Range(0, 20).Select(number => $"person-{number}@museum.example").ToList();
        var first = await SceneAsync(people);
        var links = await LinksAsync(first, people);
        await first.CutDatabaseAsync(databases);

        first.Clock.Advance(TimeSpan.FromMinutes(1));
        foreach (var link in links)
        {
            (await first.PostFormAsync(link)).StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        // The mail program repeats one of them.
        (await first.PostFormAsync(links[0])).StatusCode.ShouldBe(HttpStatusCode.OK);
        Directory.GetFiles(Spool).Length.ShouldBe(21);
        foreach (var file in Directory.GetFiles(Spool))
        {
            (await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken)).ShouldNotContain("127.0.0.1");
        }

        var refusal = await first.GetAsync("/health/ready").ReadProblemAsync(HttpStatusCode.ServiceUnavailable, "ledger-unavailable");
        refusal.Text("detail").ShouldBe("The database does not answer. Unsubscribes that wait for it on disk: 21.");
        (await (await first.GetAsync("/metrics")).TextAsync()).ShouldContain("consentledger_unsubscribes_spooled");
        await first.DisposeAsync();
        await first.JoinDatabaseAsync(databases);

        first.Clock.Advance(TimeSpan.FromHours(1));
        await using var second = await RestartAsync(first);
        await AppliedAsync();

        foreach (var person in people)
        {
            (await second.ReasonAsync(person)).ShouldBe("withdrawn");
            var history = await second.HistoryAsync(person);
            history.Count.ShouldBe(2);
            history[0].Source.ShouldBe(SourceKind.UnsubscribeLink);
            history[0].OccurredAt.ShouldBe(TestService.Start.AddMinutes(1));
            history[0].RecordedAt.ShouldBe(TestService.Start.AddMinutes(61));
            System.Text.Encoding.UTF8.GetString(history[0].Evidence!.Canonical).ShouldContain("\"ip\":\"127.0.0.1\"");
        }

        (await second.GetAsync("/health/ready").ReadAsync())["unsubscribesSpooled"]!.GetValue<long>().ShouldBe(0);
    }

    [Fact]
    public async Task They_are_applied_without_a_restart_once_the_database_is_back()
    {
        await using var service = await SceneAsync([UnsubscribeScene.Ada]);
        var link = await service.LinkAsync();
        await service.CutDatabaseAsync(databases);
        (await service.PostFormAsync(link)).StatusCode.ShouldBe(HttpStatusCode.OK);
        await service.JoinDatabaseAsync(databases);

        await AppliedAsync();

        (await service.StateAsync())!.Value.Kind.ShouldBe(EventKind.Withdrawn);
    }

    [Fact]
    public async Task A_crash_between_applying_and_removing_makes_no_second_event_even_after_a_new_consent()
    {
        var first = await LeftBehindAsync();
        var record = Directory.GetFiles(Spool).Single();
        var content = await File.ReadAllBytesAsync(record, TestContext.Current.CancellationToken);
        var second = await RestartAsync(first);
        await AppliedAsync();

        // The record is there again, as if it had never been removed; meanwhile the person came back, within minutes.
        await second.ConsentAsync(TestService.Start.AddMinutes(2));
        await second.DisposeAsync();
        await File.WriteAllBytesAsync(record, content, TestContext.Current.CancellationToken);
        await using var third = await RestartAsync(first);
        await AppliedAsync();

        (await third.HistoryAsync()).Select(event_ => event_.Kind).ShouldBe([EventKind.Given, EventKind.Withdrawn, EventKind.Given]);
        (await third.StateAsync())!.Value.Kind.ShouldBe(EventKind.Given);
    }

    [Fact]
    public async Task A_consent_that_was_given_after_a_kept_withdrawal_stands()
    {
        var first = await LeftBehindAsync();
        await using (var other = await TestService.StartAsync(first.ConnectionString, first.Keys, first.Clock))
        {
            other.Clock.Advance(TimeSpan.FromHours(2));
            await other.ConsentAsync(TestService.Start.AddHours(1));
        }

        await using var second = await RestartAsync(first);
        await AppliedAsync();

        (await second.StateAsync())!.Value.Kind.ShouldBe(EventKind.Given);
        (await second.HistoryAsync()).Select(event_ => event_.Kind).ShouldBe([EventKind.Given, EventKind.Withdrawn, EventKind.Given]);
    }

    [Fact]
    public async Task A_torn_record_is_put_aside_and_keeps_no_other_waiting()
    {
        var first = await LeftBehindAsync();
        var whole = await File.ReadAllBytesAsync(Directory.GetFiles(Spool).Single(), TestContext.Current.CancellationToken);
        await File.WriteAllBytesAsync(Path.Combine(Spool, $"{Guid.Empty}.withdrawal"), whole[..^5], TestContext.Current.CancellationToken);
        await File.WriteAllBytesAsync(Path.Combine(Spool, $"{Guid.AllBitsSet}.withdrawal"), [], TestContext.Current.CancellationToken);
        await File.WriteAllBytesAsync(Path.Combine(Spool, "no-id.withdrawal"), whole, TestContext.Current.CancellationToken);

        await using var second = await RestartAsync(first);
        await AppliedAsync();

        (await second.StateAsync())!.Value.Kind.ShouldBe(EventKind.Withdrawn);
        Directory.GetFiles(Spool, "*.unreadable").Length.ShouldBe(3);
        SuiteLog.Lines.Count(line => line.Contains($"{Guid.AllBitsSet}.withdrawal", StringComparison.Ordinal)).ShouldBe(1);
    }

    private Task<TestService> RestartAsync(TestService service) =>
        TestService.StartAsync(service.ConnectionString, service.Keys, service.Clock, dataDirectory: data.FullName);

    private async Task<TestService> SceneAsync(IEnumerable<string> people)
    {
        var service = await TestService.StartAsync(
            await databases.CreateLedgerAsync(), new(ConsentLedger.Security.MasterKey.Generate()), new(TestService.Start), dataDirectory: data.FullName);
        await service.PurposeAsync();
        foreach (var person in people)
        {
            await service.ConsentAsync(LastYear, person);
        }

        return service;
    }

    /// <summary>A service that ended with Ada's withdrawal on its disk; the database is back since.</summary>
    private async Task<TestService> LeftBehindAsync()
    {
        var service = await SceneAsync([UnsubscribeScene.Ada]);
        var link = await service.LinkAsync();
        await service.CutDatabaseAsync(databases);
        (await service.PostFormAsync(link)).StatusCode.ShouldBe(HttpStatusCode.OK);
        await service.DisposeAsync();
        await service.JoinDatabaseAsync(databases);
        return service;
    }

    private static async Task<IReadOnlyList<string>> LinksAsync(TestService service, IEnumerable<string> people)
    {
        var links = new List<string>();
        foreach (var person in people)
        {
            links.Add(await service.LinkAsync(person));
        }

        return links;
    }

    private async Task AppliedAsync()
    {
        for (var attempt = 0; attempt < 300 && Directory.GetFiles(Spool, "*.withdrawal").Length > 0; attempt++)
        {
            await Task.Delay(50, TestContext.Current.CancellationToken);
        }

        Directory.GetFiles(Spool, "*.withdrawal").ShouldBeEmpty();
    }
}
