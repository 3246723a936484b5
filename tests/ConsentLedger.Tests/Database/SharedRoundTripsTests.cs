using System.Collections.Concurrent;
using ConsentLedger.Database;

namespace ConsentLedger.Tests.Database;

public sealed class SharedRoundTripsTests
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    private static CancellationToken Token => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Who_comes_alone_goes_at_once_and_those_who_come_meanwhile_go_together()
    {
        var line = new Line();
        await using var trips = line.Open(carriers: 1);

        var first = trips.AskAsync(1, CancellationToken.None);
        var departed = await line.DepartedAsync();
        departed.ShouldBe([1]);
        var later = Enumerable.Range(2, 5).Select(n => trips.AskAsync(n, CancellationToken.None)).ToList();
        line.Arrive();
        (await first.WaitAsync(Patience, Token)).ShouldBe(10);
        (await line.DepartedAsync()).ShouldBe([2, 3, 4, 5, 6]);
        line.Arrive();

        (await Task.WhenAll(later).WaitAsync(Patience, Token)).ShouldBe([20, 30, 40, 50, 60]);
    }

    [Fact]
    public async Task What_fails_fails_for_those_it_carried_and_the_next_ones_go_on()
    {
        var line = new Line();
        await using var trips = line.Open(carriers: 1);

        var first = trips.AskAsync(1, CancellationToken.None);
        await line.DepartedAsync();
        var second = trips.AskAsync(2, CancellationToken.None);
        line.Fail(new InvalidOperationException("lost"));
        (await Should.ThrowAsync<InvalidOperationException>(first.WaitAsync(Patience, Token))).Message.ShouldBe("lost");
        await line.DepartedAsync();
        line.Arrive();

        (await second.WaitAsync(Patience, Token)).ShouldBe(20);
    }

    [Fact]
    public async Task Whoever_has_left_is_not_carried()
    {
        var line = new Line();
        await using var trips = line.Open(carriers: 1);
        using var leaving = new CancellationTokenSource();

        var first = trips.AskAsync(1, CancellationToken.None);
        await line.DepartedAsync();
        var left = trips.AskAsync(2, leaving.Token);
        var stayed = trips.AskAsync(3, CancellationToken.None);
        await leaving.CancelAsync();
        line.Arrive();
        (await line.DepartedAsync()).ShouldBe([3]);
        line.Arrive();

        await Should.ThrowAsync<OperationCanceledException>(left.WaitAsync(Patience, Token));
        (await stayed.WaitAsync(Patience, Token)).ShouldBe(30);
        (await first.WaitAsync(Patience, Token)).ShouldBe(10);
    }

    [Fact]
    public async Task One_too_many_is_refused_at_once()
    {
        var line = new Line();
        await using var trips = line.Open(carriers: 1, maxWaiting: 2);

        var first = trips.AskAsync(1, CancellationToken.None);
        await line.DepartedAsync();
        Task<int>[] waiting = [trips.AskAsync(2, CancellationToken.None), trips.AskAsync(3, CancellationToken.None)];

        await Should.ThrowAsync<RoundTripsFullException>(trips.AskAsync(4, CancellationToken.None).WaitAsync(Patience, Token));
        line.Arrive();
        await line.DepartedAsync();
        line.Arrive();
        (await Task.WhenAll([first, .. waiting]).WaitAsync(Patience, Token)).ShouldBe([10, 20, 30]);
    }

    /// <summary>Round trips that leave and arrive when the test says so; an answer is ten times its request.</summary>
    private sealed class Line
    {
        private readonly BlockingCollection<(IReadOnlyList<int> Requests, TaskCompletionSource Arrival)> departures = [];
        private (IReadOnlyList<int> Requests, TaskCompletionSource Arrival) underWay;

        public SharedRoundTrips<int, int> Open(int carriers, int maxWaiting = 100) => new(carriers, 50, maxWaiting, async requests =>
        {
            var arrival = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            departures.Add((requests, arrival));
            await arrival.Task;
            return [.. requests.Select(n => n * 10)];
        });

        public async Task<IReadOnlyList<int>> DepartedAsync()
        {
            underWay = await Task.Run(() => departures.TryTake(out var next, Patience) ? next : throw new TimeoutException("Nothing left."));
            return underWay.Requests;
        }

        public void Arrive() => underWay.Arrival.SetResult();

        public void Fail(Exception fault) => underWay.Arrival.SetException(fault);
    }
}
