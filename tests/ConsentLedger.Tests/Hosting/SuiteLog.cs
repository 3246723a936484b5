using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;

namespace ConsentLedger.Tests.Hosting;

/// <summary>
/// Keeps every line that any service of the run logged, at every level, so that the last test can search them for what
/// must never be in a log.
/// </summary>
internal sealed class SuiteLog : ILoggerProvider, ILogger
{
    public static ConcurrentQueue<string> Lines { get; } = [];

    public ILogger CreateLogger(string categoryName) => this;

    public IDisposable? BeginScope<TState>(TState state)
        where TState : notnull => null;

    public bool IsEnabled(LogLevel logLevel) => logLevel != LogLevel.None;

    public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
        Lines.Enqueue($"{logLevel} {formatter(state, exception)} {exception}");

    public void Dispose()
    {
        // Nothing to release: the lines outlive every service.
    }
}
