using System.Globalization;
using ConsentLedger.Database;

namespace ConsentLedger.Tests.Database;

public sealed class BackgroundThreadsTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    [Fact]
    public async Task What_is_awaited_on_them_goes_on_on_them()
    {
        using var background = new BackgroundThreads(2);

        var names = await background.RunAsync(async () =>
        {
            var before = Thread.CurrentThread.Name;
            await Task.Delay(1);
            return (before, Thread.CurrentThread.Name);
        }).WaitAsync(Patience, TestContext.Current.CancellationToken);

        names.ShouldBe(("Background", "Background"));
        Thread.CurrentThread.Name.ShouldNotBe("Background");
    }

    [Fact]
    public async Task What_goes_wrong_on_them_is_told_to_who_waits()
    {
        using var background = new BackgroundThreads(1);

        var failing = background.RunAsync<int>(async () =>
        {
            await Task.Yield();
            throw new InvalidOperationException("lost");
        });

        (await Should.ThrowAsync<InvalidOperationException>(failing.WaitAsync(Patience, TestContext.Current.CancellationToken))).Message.ShouldBe("lost");
    }

    [Fact]
    public async Task On_Linux_they_and_nobody_else_run_after_the_others()
    {
        Assert.SkipUnless(OperatingSystem.IsLinux(), "Only there a thread has a priority of its own.");
        using var background = new BackgroundThreads(1);
        var ours = Niceness();

        (await background.RunAsync(() => Task.FromResult(Niceness()))).ShouldBe(10);
        Niceness().ShouldBe(ours);
    }

    /// <summary>Of the calling thread: the nineteenth field, the name in brackets being the second.</summary>
    private static int Niceness()
    {
        var fields = File.ReadAllText("/proc/thread-self/stat");
        return int.Parse(fields[(fields.LastIndexOf(')') + 2)..].Split(' ')[16], CultureInfo.InvariantCulture);
    }
}
