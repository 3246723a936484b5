using System.Threading.Channels;

namespace ConsentLedger.Database;

/// <summary>
/// Lets concurrent callers share round trips to the database: those that arrive while one is under way go together in
/// the next, so the database's work for each falls as load rises. Nothing waits for company: who comes alone goes at
/// once, and there is no timer.
/// </summary>
/// <remarks>
/// A round trip starts after those it carries have asked, so what was written before somebody asked is always seen by
/// their answer; nothing is cached. What fails, fails for each of those it carried; whoever gives up waiting is left out,
/// or is answered in vain.
/// </remarks>
/// <typeparam name="TRequest">What one caller asks.</typeparam>
/// <typeparam name="TAnswer">What one caller gets.</typeparam>
public sealed class SharedRoundTrips<TRequest, TAnswer> : IAsyncDisposable
{
    private readonly Channel<Pending> waiting;
    private readonly Func<IReadOnlyList<TRequest>, Task<IReadOnlyList<TAnswer>>> go;
    private readonly int most;
    private readonly Task[] carriers;

    /// <summary>Starts the carriers.</summary>
    /// <param name="carriers">How many round trips may be under way at once; more only split the same work into smaller ones.</param>
    /// <param name="most">How many callers one round trip carries at most.</param>
    /// <param name="maxWaiting">How many callers may wait; the next is refused.</param>
    /// <param name="go">Does one round trip, and returns an answer for each request, in their order.</param>
    public SharedRoundTrips(int carriers, int most, int maxWaiting, Func<IReadOnlyList<TRequest>, Task<IReadOnlyList<TAnswer>>> go)
    {
        this.go = go;
        this.most = most;
        waiting = Channel.CreateBounded<Pending>(new BoundedChannelOptions(maxWaiting) { FullMode = BoundedChannelFullMode.Wait });
        this.carriers = [.. Enumerable.Range(0, carriers).Select(_ => Task.Run(CarryAsync))];
    }

    /// <summary>Joins the next round trip.</summary>
    /// <exception cref="RoundTripsFullException">More are waiting than can be carried soon.</exception>
    public Task<TAnswer> AskAsync(TRequest request, CancellationToken cancellation)
    {
        var pending = new Pending(request, cancellation);
        return waiting.Writer.TryWrite(pending) ? pending.Task : Task.FromException<TAnswer>(new RoundTripsFullException());
    }

    /// <summary>Refuses whoever still comes, and returns when everyone who waits has been answered.</summary>
    public async ValueTask DisposeAsync()
    {
        waiting.Writer.TryComplete();
        await Task.WhenAll(carriers);
    }

    private async Task CarryAsync()
    {
        var aboard = new List<Pending>(most);
        while (await waiting.Reader.WaitToReadAsync())
        {
            aboard.Clear();
            while (aboard.Count < most && waiting.Reader.TryRead(out var pending))
            {
                if (!pending.HasLeft())
                {
                    aboard.Add(pending);
                }
            }

            if (aboard.Count > 0)
            {
                await CarryAsync(aboard);
            }
        }
    }

    private async Task CarryAsync(List<Pending> aboard)
    {
        try
        {
            var requests = new TRequest[aboard.Count];
            for (var i = 0; i < requests.Length; i++)
            {
                requests[i] = aboard[i].Request;
            }

            var answers = await go(requests);
            for (var i = 0; i < requests.Length; i++)
            {
                aboard[i].Answer(answers[i]);
            }
        }
#pragma warning disable CA1031 // Each caller gets what went wrong, whatever it is; it must not end the carrier.
        catch (Exception exception)
#pragma warning restore CA1031
        {
            foreach (var pending in aboard)
            {
                pending.Fail(exception);
            }
        }
    }

    private sealed class Pending(TRequest request, CancellationToken cancellation)
    {
        // What a caller does with its answer must not run on the carrier's turn: the next round trip would wait for it.
        private readonly TaskCompletionSource<TAnswer> source = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public TRequest Request => request;

        public Task<TAnswer> Task => source.Task;

        public bool HasLeft() => cancellation.IsCancellationRequested && source.TrySetCanceled(cancellation);

        public void Answer(TAnswer answer) => source.TrySetResult(answer);

        public void Fail(Exception exception) => source.TrySetException(exception);
    }
}

/// <summary>More callers wait for a round trip than can be carried soon.</summary>
public sealed class RoundTripsFullException() : Exception("More callers wait for the database than can be answered soon.");
