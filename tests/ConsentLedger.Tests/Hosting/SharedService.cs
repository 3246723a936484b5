namespace ConsentLedger.Tests.Hosting;

/// <summary>One service for all tests of a class that leave nothing behind which another of them could see.</summary>
public sealed class SharedService(TestDatabase databases) : IAsyncLifetime
{
    internal TestService Service { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Service = await TestService.StartAsync(databases);

    public ValueTask DisposeAsync() => Service.DisposeAsync();
}
