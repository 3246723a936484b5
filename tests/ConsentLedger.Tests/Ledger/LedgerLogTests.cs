using ConsentLedger.Ledger;
using ConsentLedger.Tests.Events;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Retention;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;

namespace ConsentLedger.Tests.Ledger;

public sealed class LedgerLogTests(TestDatabase databases)
{
    private const string Ada = "ada@museum.example";

    private static readonly DateTimeOffset Start = TestService.Start;

    [Fact]
    public async Task Every_event_gets_the_next_position_once_whoever_enters_it_and_while_others_come()
    {
        await using var service = await StartAsync();
        var log = service.Services.GetRequiredService<LedgerLog>();
        var other = new LedgerLog(service.Database);

        var appending = Task.WhenAll(Enumerable.Range(0, 8).Select(async writer =>
        {
            for (var n = 0; n < 25; n++)
            {
                await service.EventAsync($"{writer}-{n}@museum.example");
            }
        }));
        while (!appending.IsCompleted)
        {
            await Task.WhenAll(log.CatchUpAsync(Cancellation), other.CatchUpAsync(Cancellation));
        }

        await appending;
        await Task.WhenAll(log.CatchUpAsync(Cancellation), other.CatchUpAsync(Cancellation));
        await ShouldBeWholeAsync(service, 200);
    }

    [Fact]
    public async Task A_list_of_more_than_a_batch_is_entered_without_a_gap()
    {
        await using var service = await StartAsync();
        var rows = (2 * LedgerLog.Batch) + 1;
        var list = "address,purpose,kind,occurredAt\n" + string.Concat(Enumerable.Range(0, rows).Select(n => $"{n}@museum.example,newsletter,given,2026-01-01T00:00:00Z\n"));
        (await service.ImportAsync(list))["appended"]!.GetValue<int>().ShouldBe(rows);

        await service.Services.GetRequiredService<LedgerLog>().CatchUpAsync(Cancellation);

        await ShouldBeWholeAsync(service, rows);
    }

    [Fact]
    public async Task The_service_enters_what_is_recorded_by_itself()
    {
        await using var service = await StartAsync();
        await service.EventAsync(Ada);

        for (var waited = 0; await service.CountAsync("outbox", "true") > 0; waited++)
        {
            waited.ShouldBeLessThan(300, "tenths of a second");
            await Task.Delay(100, Cancellation);
        }

        await ShouldBeWholeAsync(service, 1);
    }

    [Fact]
    public async Task A_batch_that_fails_half_way_is_entered_whole_the_next_time()
    {
        await using var service = await StartAsync();
        var log = service.Services.GetRequiredService<LedgerLog>();
        await service.EventAsync("first@museum.example");
        await log.CatchUpAsync(Cancellation);
        foreach (var (table, moment) in new[] { ("log_entry", "insert"), ("outbox", "delete") })
        {
            await service.SqlAsync($"""
                create function fail() returns trigger language plpgsql as $$ begin raise 'a fault' using errcode = '23514'; end $$;
                create trigger fail before {moment} on {table} for each row execute function fail();
                """);
            await service.EventAsync($"{moment}@museum.example");
            await Should.ThrowAsync<PostgresException>(log.CatchUpAsync(Cancellation));
            (await service.CountAsync("outbox", "true")).ShouldBe(1);
            await service.SqlAsync("drop function fail cascade");
            await log.CatchUpAsync(Cancellation);
        }

        await ShouldBeWholeAsync(service, 3);
    }

    [Fact]
    public async Task What_was_purged_keeps_its_place_and_has_a_second_one_when_it_is_imported_again()
    {
        await using var service = await StartAsync();
        var list = $"address,purpose,kind,occurredAt\n{Ada},newsletter,withdrawn,{Start.AddYears(-3):yyyy-MM-dd'T'HH:mm:ss'Z'}\n";
        await service.EventAsync("grace@museum.example");
        // The clock stands still, and events of one instant have no order but by their ids: hers is to be first.
        await service.Services.GetRequiredService<LedgerLog>().CatchUpAsync(Cancellation);
        await service.ImportAsync(list);
        var first = (await service.PurgeAsync()).Text("id");
        (await PositionsAsync(first)).ShouldBe("""{"from":2,"to":2}""");

        service.Clock.SetUtcNow(Start.AddMinutes(1));
        await service.ImportAsync(list);
        var second = (await service.PurgeAsync()).Text("id");

        (await PositionsAsync(second)).ShouldBe("""{"from":3,"to":3}""");
        (await PositionsAsync(first)).ShouldBe("""{"from":2,"to":2}""");

        async Task<string> PositionsAsync(string run) =>
            (await service.GetAsync($"/v1/retention/runs/{run}/certificate").ReadAsync())["certificate"]!["purged"]!["newsletter"]!["lapsed"]!["positions"]!.ToJsonString();
    }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private async Task<TestService> StartAsync()
    {
        var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        return service;
    }

    /// <summary>Every event once, by its own commitment, at the positions from one to their number.</summary>
    private static async Task ShouldBeWholeAsync(TestService service, long events)
    {
        (await service.CountAsync("outbox", "true")).ShouldBe(0);
        (await service.SqlAsync("select count(*) from log_entry join consent_event using (subscriber_id, event_id, commitment)")).ShouldBe(events);
        (await service.SqlAsync("select concat_ws(' ', count(*), count(distinct event_id), min(position), max(position)) from log_entry")).ShouldBe($"{events} {events} 1 {events}");
    }
}
