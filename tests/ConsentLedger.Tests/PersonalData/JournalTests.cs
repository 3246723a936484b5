using System.Net;
using ConsentLedger.Ledger;
using ConsentLedger.PersonalData;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.Retention;
using ConsentLedger.Tests.Unsubscribe;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;

namespace ConsentLedger.Tests.PersonalData;

/// <summary>What a database that was put back learns from the journal.</summary>
public sealed class JournalTests(TestDatabase databases) : IDisposable
{
    private const string Ada = UnsubscribeScene.Ada;
    private const string Newsletter = "newsletter";

    private readonly TemporaryDataDirectory data = new();

    [Theory]
    [InlineData(2)]
    [InlineData(60)]
    public async Task Who_refused_and_was_then_erased_is_erased_however_late_it_is_learned(int minutes)
    {
        await using var service = await BeforeAsync();
        var now = service.Clock.GetUtcNow();
        await WriteAsync(Line(service, EventKind.Withdrawn, Newsletter, now.AddMinutes(-1)), Line(service, null, JournalEntry.Everything, now));
        service.Clock.Advance(TimeSpan.FromMinutes(minutes));

        await using var next = await RestartAsync(service);

        (await next.CountAsync("erasure", "completed_at is not null")).ShouldBe(1);
        (await next.CountAsync("consent_event")).ShouldBe(0);
        (await next.CountAsync("subscriber")).ShouldBe(0);
    }

    [Fact]
    public async Task A_suppression_and_a_restriction_are_learned_also_behind_a_later_erasure()
    {
        await using var service = await BeforeAsync();
        var now = service.Clock.GetUtcNow();
        await WriteAsync(
            Line(service, null, JournalEntry.Everything, now),
            Line(service, EventKind.Suppressed, "*-1", now.AddSeconds(-1)),
            Line(service, EventKind.Restricted, "*-2", now.AddSeconds(-1)));
        service.Clock.Advance(TimeSpan.FromHours(1));

        await using var next = await RestartAsync(service);
        await next.EventAsync(Ada, occurredAt: service.Clock.GetUtcNow());

        (await next.ReasonAsync(Ada)).ShouldBe("restricted");
        (await next.CountAsync("consent_state", "kind = 'suppressed'")).ShouldBe(1);
    }

    [Fact]
    public async Task What_was_said_of_a_purpose_that_the_back_up_lacks_waits_until_it_is_made_again_whatever_its_number()
    {
        await using var service = await BeforeAsync();
        var now = service.Clock.GetUtcNow();
        await WriteAsync(Line(service, EventKind.Withdrawn, "appeal", now));
        await using (var next = await RestartAsync(service))
        {
            (await next.CountAsync("journal_waiting")).ShouldBe(1);
        }

        await using var later = await RestartAsync(service);
        await later.PurposeAsync("lectures");
        await later.PurposeAsync("appeal");
        await MailScene.UntilAsync(async () => await later.CountAsync("journal_waiting", "true") == 0, "learned");
        await later.EventAsync(Ada, "given", "appeal", now.AddDays(-1));

        (await later.ReasonAsync(Ada, "appeal")).ShouldBe("withdrawn");
        (await later.ReasonAsync(Ada, "lectures")).ShouldBe("unknown");
    }

    [Fact]
    public async Task A_ledger_that_is_put_back_underneath_the_service_learns_again()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, occurredAt: TestService.Start.AddDays(-1));
        await service.SqlAsync("create table kept_event as table consent_event; create table kept_state as table consent_state");
        await service.EventAsync(Ada, "withdrawn");
        await MailScene.UntilAsync(async () => await service.CountAsync("journal_queue", "true") == 0, "journalled");

        await service.SqlAsync("""
            begin;
            delete from journal_position;
            delete from consent_event; delete from consent_state; delete from outbox; delete from log_entry;
            insert into consent_event table kept_event; insert into consent_state table kept_state;
            commit;
            """);

        await MailScene.UntilAsync(async () => await service.ReasonAsync(Ada) == "withdrawn", "learned");
    }

    [Fact]
    public async Task A_journal_of_another_process_that_is_taken_over_is_read_before_it_is_gone_on_with()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, occurredAt: TestService.Start.AddDays(-1));
        await service.EventAsync("ben@museum.example", occurredAt: TestService.Start.AddDays(-1));
        using (var other = new ErasureJournal(Path.Combine(service.DataDirectory, "journal")))
        {
            // It was killed before it told the database.
            await other.WriteAsync([Line(service, null, JournalEntry.Everything, TestService.Start)], applied: false, TestContext.Current.CancellationToken);
        }

        await service.EventAsync("ben@museum.example", "withdrawn");

        await MailScene.UntilAsync(async () => await service.ReasonAsync(Ada) == "revoked", "learned");
    }

    [Fact]
    public async Task A_journal_that_is_gone_or_was_cut_is_missed()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada, "withdrawn");
        await MailScene.UntilAsync(async () => await service.CountAsync("journal_queue", "true") == 0, "journalled");
        var keeper = service.Services.GetRequiredService<JournalKeeper>();
        (await keeper.FindMissingAsync(TestContext.Current.CancellationToken)).ShouldBeEmpty();

        await service.SqlAsync("update journal_position set position = position + 1");
        (await keeper.FindMissingAsync(TestContext.Current.CancellationToken)).ShouldHaveSingleItem();
        await service.SqlAsync($"delete from journal_position; insert into journal_position values ('{Guid.NewGuid()}', 1)");
        (await keeper.FindMissingAsync(TestContext.Current.CancellationToken)).ShouldHaveSingleItem();
    }

    [Fact]
    public async Task What_is_recorded_of_a_purpose_that_is_lost_can_be_read()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync(Ada);
        (await service.PostFormAsync($"/u/{new UnsubscribeToken(new PurposeId(7), service.IdOf(Ada)).Sign(service.Keys)}")).StatusCode.ShouldBe(HttpStatusCode.OK);
        var address = new System.Text.Json.Nodes.JsonObject { ["address"] = Ada };

        (await service.ExportAsync(Ada))["events"]!.AsArray().Select(item => item!.Text("purpose")).ShouldContain("unknown-7");
        (await service.PostAsync("/v1/subscribers/lookup", address.DeepClone()).ReadAsync())["states"]!.AsArray().Count.ShouldBe(2);
        (await service.PostAsync("/v1/subscribers/history", address.DeepClone()).ReadAsync())["items"]!.AsArray().Count.ShouldBe(2);
    }

    public void Dispose() => data.Dispose();

    /// <summary>The ledger as the back-up has it: Ada consents. An hour later it is put back.</summary>
    private async Task<TestService> BeforeAsync()
    {
        // All instances share the folder of the journal.
        var service = await TestService.StartAsync(
            await databases.CreateLedgerAsync(), new KeyRing(MasterKey.Generate()), new FakeTimeProvider(TestService.Start), dataDirectory: data.Path);
        await service.PurposeAsync();
        await service.EventAsync(Ada, occurredAt: TestService.Start.AddDays(-1), with: Purges.WithEvidence());
        service.Clock.Advance(TimeSpan.FromHours(1));
        return service;
    }

    private static JournalEntry Line(TestService service, EventKind? kind, string purpose, DateTimeOffset at) =>
        new(kind, service.IdOf(Ada), purpose, Guid.CreateVersion7(at), at);

    private async Task WriteAsync(params JournalEntry[] entries)
    {
        using var journal = new ErasureJournal(Path.Combine(data.Path, "journal"));
        await journal.WriteAsync(entries, applied: false, TestContext.Current.CancellationToken);
    }

    private Task<TestService> RestartAsync(TestService service) =>
        TestService.StartAsync(service.ConnectionString, service.Keys, service.Clock, dataDirectory: data.Path);
}
