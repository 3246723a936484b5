using ConsentLedger.Database;
using ConsentLedger.Tests.Hosting;
using Microsoft.Extensions.Logging.Abstractions;

namespace ConsentLedger.Tests.Database;

public sealed class EmbeddedPostgresSupervisorTests : IDisposable
{
    private readonly TemporaryDataDirectory data = new();

    [Fact]
    public async Task A_killed_server_process_comes_back_on_the_same_port_with_its_rows()
    {
        await using var server = await data.StartAsync(data.Options with { Durable = true });
        using var supervisor = new EmbeddedPostgresSupervisor(server, TimeProvider.System, NullLogger<EmbeddedPostgresSupervisor>.Instance);
        await supervisor.StartAsync(TestContext.Current.CancellationToken);
        await server.ExecuteAsync("create table kept (what text); insert into kept values ('here')");
        var killed = data.Postmaster.ShouldNotBeNull();

        data.KillPostmaster();
        for (var tries = 0; data.Postmaster is not { Status: "ready" } alive || alive.ProcessId == killed.ProcessId; tries++)
        {
            tries.ShouldBeLessThan(200, "The server was not started again within 10 seconds.");
            await Task.Delay(50, TestContext.Current.CancellationToken);
        }

        data.Postmaster.ShouldNotBeNull().Port.ShouldBe(killed.Port);
        (await server.ScalarAsync("select what from kept")).ShouldBe("here");
        await supervisor.StopAsync(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task A_server_that_was_given_up_is_not_started_again()
    {
        var server = await data.StartAsync();
        await server.DisposeAsync();

        await server.RestartAsync(TestContext.Current.CancellationToken);

        data.Postmaster.ShouldBeNull();
    }

    public void Dispose() => data.Dispose();
}
