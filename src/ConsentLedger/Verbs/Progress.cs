using System.Globalization;

namespace ConsentLedger.Verbs;

/// <summary>Shows on standard error how far long work has come: a line that renews itself, or now and then one in a log.</summary>
/// <param name="done">What was done to what is counted.</param>
/// <param name="share">How much of the work is done, 0 to 1, where that is known: then there is a bar.</param>
internal sealed class Progress(string done, Func<double>? share = null) : IProgress<long>, IDisposable
{
    private const long LogEvery = 100_000;
    private const int BarLength = 30;

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
        Console.Error.Write(string.Create(CultureInfo.InvariantCulture, $"{(renews ? "\r" : "")}{Bar()}{value:N0} {done}, {value / seconds:N0} a second{(renews ? "   " : "\n")}"));
    }

    private string Bar()
    {
        if (share is null || !renews)
        {
            return string.Empty;
        }

        var filled = (int)(Math.Clamp(share(), 0, 1) * BarLength);
        return $"[{new string('#', filled)}{new string('.', BarLength - filled)}] ";
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
