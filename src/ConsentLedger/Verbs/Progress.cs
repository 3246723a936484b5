using System.Globalization;

namespace ConsentLedger.Verbs;

/// <summary>Shows on standard error how far long work has come: a line that renews itself, or now and then one in a log.</summary>
internal sealed class Progress(string done) : IProgress<long>, IDisposable
{
    private const long LogEvery = 100_000;

    private readonly long start = TimeProvider.System.GetTimestamp();
    private readonly bool renews = !Console.IsErrorRedirected;
    private long shown;
    private bool open;

    public void Report(long value)
    {
        if (!renews && value / LogEvery == shown / LogEvery)
        {
            return;
        }

        shown = value;
        open = renews;
        var seconds = Math.Max(TimeProvider.System.GetElapsedTime(start).TotalSeconds, 0.001);
        Console.Error.Write(string.Create(CultureInfo.InvariantCulture, $"{(renews ? "\r" : "")}{value:N0} {done}, {value / seconds:N0} a second{(renews ? "   " : "\n")}"));
    }

    /// <summary>Ends the line.</summary>
    public void Dispose()
    {
        if (open)
        {
            open = false;
            Console.Error.WriteLine();
        }
    }
}
