using System.Threading.Channels;

namespace ConsentLedger.Database;

/// <summary>
/// Lets whoever has left work somewhere call whoever does it. A call that comes while nobody waits is kept for the next who
/// does, and several of them count as one; each call wakes one waiter.
/// </summary>
public sealed class WakeUp(TimeProvider clock)
{
    private readonly Channel<bool> calls = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });

    /// <summary>Wakes who waits, or who waits next.</summary>
    public void Call() => calls.Writer.TryWrite(true);

    /// <summary>Waits for a call, or this long.</summary>
    /// <exception cref="OperationCanceledException">It is to stop.</exception>
    public async Task WaitAsync(TimeSpan atMost, CancellationToken stop)
    {
        using var time = new CancellationTokenSource(atMost, clock);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(time.Token, stop);
        await ((Task)calls.Reader.ReadAsync(either.Token).AsTask()).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        stop.ThrowIfCancellationRequested();
    }
}
