using System.Net;
using System.Net.Sockets;
using System.Text;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Events;

/// <summary>What can go wrong while a list is imported, and what it leaves.</summary>
public sealed class ImportFaultTests(TestDatabase databases)
{
    private const int Rows = 25_000;

    /// <summary>More than two batches of subscribers who agreed, and some who then withdrew.</summary>
    private static byte[] LongList { get; } = Encoding.UTF8.GetBytes(Lists.Header + string.Concat(Enumerable.Range(0, Rows).Select(number =>
        number % 5 == 4
            ? $"person{number - 1}@museum.example,newsletter,withdrawn,2026-02-01T00:00:00Z,\n"
            : $"person{number}@museum.example,newsletter,given,2026-01-01T00:00:00Z,1\n")));

    [Theory]
    [InlineData("perform pg_terminate_backend(pg_backend_pid());", HttpStatusCode.ServiceUnavailable)]
    [InlineData("raise 'a fault' using errcode = '23514';", HttpStatusCode.InternalServerError)]
    [InlineData("raise 'a fault' using errcode = '40P01';", HttpStatusCode.ServiceUnavailable)]
    public async Task An_import_that_dies_while_it_is_applied_leaves_whole_events_and_is_completed_by_another(string fault, HttpStatusCode status)
    {
        await using var service = await Lists.StartAsync(databases);
        await service.SqlAsync(
            $"""
            create function fail() returns trigger language plpgsql security definer as $$
            begin
                if (select count(*) from consentledger.consent_event) > 12000 then
                    {fault}
                end if;
                return null;
            end $$;
            create trigger fail after insert on consent_state for each statement execute function fail();
            """);

        await service.SendAsync(LongList).ReadAsync(status);

        (await service.CountAsync("consent_event")).ShouldBeInRange(9_000, 11_000);
        await service.ShouldBeWholeAsync();
        await service.SqlAsync("drop trigger fail on consent_state");
        var applied = await service.CountAsync("consent_event");
        (await service.ImportAsync(LongList)).Counts().ShouldBe($"{Rows} {Rows - applied} {applied} 0 0");
        await service.ShouldBeWholeAsync();
        (await service.ImportAsync(LongList)).Counts().ShouldBe($"{Rows} 0 {Rows} 0 0");
    }

    [Fact]
    public async Task A_deadlock_with_another_writer_is_tried_again()
    {
        await using var service = await Lists.StartAsync(databases);
        await service.SqlAsync(
            """
            create sequence attempts; grant usage on sequence attempts to consentledger_service;
            create function fail() returns trigger language plpgsql security definer as $$
            begin
                if nextval('consentledger.attempts') < 3 then raise 'a deadlock' using errcode = '40P01'; end if;
                return null;
            end $$;
            create trigger fail after insert on consent_state for each statement execute function fail();
            """);

        (await service.ImportAsync(Lists.Newsletter)).Counts().ShouldBe("2000 1612 102 25 261");
    }

    [Theory]
    [InlineData("Content-Length: 10000000")]
    [InlineData("Transfer-Encoding: chunked")]
    public async Task An_upload_that_is_cut_changes_nothing(string framing)
    {
        await using var service = await Lists.StartAsync(databases);
        var cancellation = TestContext.Current.CancellationToken;
        var key = service.Client.DefaultRequestHeaders.Authorization!;
        using (var socket = new Socket(SocketType.Stream, ProtocolType.Tcp))
        {
            await socket.ConnectAsync(service.Url.Host, service.Url.Port, cancellation);
            await using var stream = new NetworkStream(socket);
            await stream.WriteAsync(Encoding.ASCII.GetBytes(
                $"POST /v1/events/import HTTP/1.1\r\nHost: localhost\r\nAuthorization: {key}\r\nContent-Type: text/csv\r\n{framing}\r\n\r\n"), cancellation);
            await stream.WriteAsync(Encoding.ASCII.GetBytes(framing.StartsWith('T') ? $"{LongList.Length:x}\r\n" : ""), cancellation);
            await stream.WriteAsync(LongList, cancellation);
            await stream.FlushAsync(cancellation);
            for (var wait = 0; wait < 200 && await IsOverAsync(service); wait++)
            {
                await Task.Delay(50, cancellation);
            }

            (await IsOverAsync(service)).ShouldBeFalse("It did not begin.");
        }

        // The session of the import ends with it, and its stage with the session.
        for (var wait = 0; wait < 200 && !await IsOverAsync(service); wait++)
        {
            await Task.Delay(50, cancellation);
        }

        (await IsOverAsync(service)).ShouldBeTrue();
        (await service.CountAsync("consent_event")).ShouldBe(0);
        (await service.ImportAsync(LongList)).Counts().ShouldBe($"{Rows} {Rows} 0 0 0");
    }

    [Fact]
    public async Task Two_imports_of_one_list_at_once_append_each_row_once()
    {
        await using var service = await Lists.StartAsync(databases);

        var reports = await Task.WhenAll(service.ImportAsync(LongList), service.ImportAsync(LongList));

        reports.Sum(report => report["appended"]!.GetValue<long>()).ShouldBe(Rows);
        reports.Sum(report => report["unchanged"]!.GetValue<long>()).ShouldBe(Rows);
        (await service.CountAsync("consent_event")).ShouldBe(Rows);
        await service.ShouldBeWholeAsync();
    }

    [Fact]
    public async Task A_withdrawal_that_races_an_import_is_never_undone()
    {
        await using var service = await Lists.StartAsync(databases);
        var list = Encoding.UTF8.GetBytes(Lists.Header + string.Concat(Enumerable.Range(0, 5000).Select(number =>
            $"person{number}@museum.example,newsletter,given,2026-01-01T00:00:00Z,1\n")));
        var importing = service.ImportAsync(list);

        await Parallel.ForAsync(0, 200, new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (number, _) =>
            await service.EventAsync($"person{number}@museum.example", "withdrawn", occurredAt: new DateTimeOffset(2026, 6, 1, 0, 0, 0, TimeSpan.Zero)));

        (await importing).Counts().ShouldBe("5000 5000 0 0 0");
        (await service.SqlAsync("select count(*) from consent_state where kind = 'withdrawn'")).ShouldBe(200L);
        await service.ShouldBeWholeAsync();
    }

    private static async Task<bool> IsOverAsync(TestService service) =>
        (long)(await service.SqlAsync("select count(*) from pg_class where relname = 'staged' and relpersistence = 't'"))! == 0
        && (long)(await service.SqlAsync("select count(*) from pg_stat_activity where datname = current_database() and query like '%staged%' and pid <> pg_backend_pid()"))! == 0;
}
