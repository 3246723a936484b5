using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;

namespace ConsentLedger.Tests.Hosting;

/// <summary>
/// The program as it is installed, in a process of its own: <c>consentledger</c> with a data directory and a free port.
/// What it prints goes to <see cref="SuiteLog"/> too.
/// </summary>
internal sealed class ServiceProcess : IDisposable
{
    private static readonly TimeSpan LongestStart = TimeSpan.FromMinutes(3);
    private readonly Process process;
    private readonly long began = TimeProvider.System.GetTimestamp();

    private ServiceProcess(Process process, int port)
    {
        this.process = process;
        Client = new HttpClient(new SocketsHttpHandler { UseCookies = false }) { BaseAddress = new Uri($"http://127.0.0.1:{port}"), Timeout = TimeSpan.FromMinutes(2) };
    }

    public HttpClient Client { get; }

    /// <summary>From its start until now.</summary>
    public TimeSpan Age => TimeProvider.System.GetElapsedTime(began);

    /// <summary>Starts <c>serve</c>; it does not answer yet.</summary>
    public static ServiceProcess Start(string dataDirectory, params string[] settings)
    {
        var port = FreePort();
        var process = Launch(dataDirectory, ["serve", .. settings], new() { ["ASPNETCORE_URLS"] = string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}") });
        process.OutputDataReceived += Log;
        process.ErrorDataReceived += Log;
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return new ServiceProcess(process, port);

        static void Log(object sender, DataReceivedEventArgs line)
        {
            if (!string.IsNullOrEmpty(line.Data))
            {
                SuiteLog.Lines.Enqueue("Process " + line.Data);
            }
        }
    }

    /// <summary>Starts another verb, for a test that ends it, or talks with it.</summary>
    public static Process Begin(string dataDirectory, params string[] arguments) => Launch(dataDirectory, arguments, []);

    /// <summary>Runs another verb to its end.</summary>
    public static async Task<(int ExitCode, string Output, string Errors)> RunAsync(string dataDirectory, params string[] arguments)
    {
        using var process = Launch(dataDirectory, arguments, []);
        var output = process.StandardOutput.ReadToEndAsync();
        var errors = process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        return (process.ExitCode, await output, await errors);
    }

    /// <summary>Waits until it answers, and calls it with a key from then on.</summary>
    public async Task<ServiceProcess> AnswersAsync(string? key = null)
    {
        Client.DefaultRequestHeaders.Authorization = key is null ? null : new AuthenticationHeaderValue("Bearer", key);
        while (true)
        {
            try
            {
                using var answer = await Client.GetAsync("/v1/purposes");
                answer.StatusCode.ShouldBeOneOf(HttpStatusCode.OK, HttpStatusCode.Unauthorized);
                return this;
            }
            catch (HttpRequestException)
            {
                process.HasExited.ShouldBeFalse($"It ended before it answered: {string.Join('\n', SuiteLog.Lines.Where(line => line.StartsWith("Process", StringComparison.Ordinal)).TakeLast(5))}");
                Age.ShouldBeLessThan(LongestStart);
                await Task.Delay(20);
            }
        }
    }

    /// <summary>Ends it as <c>kill -9</c> does.</summary>
    public void Kill()
    {
        process.Kill();
        process.WaitForExit();
    }

    /// <summary>Asks it to stop, as Ctrl-C (INT) and the system (TERM) do, and returns its exit code.</summary>
    public async Task<int> StopAsync(string signal = "TERM")
    {
        using var kill = Process.Start("kill", ["-" + signal, process.Id.ToString(CultureInfo.InvariantCulture)]);
        await kill.WaitForExitAsync();
        using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        await process.WaitForExitAsync(patience.Token);
        return process.ExitCode;
    }

    public void Dispose()
    {
        if (!process.HasExited)
        {
            Kill();
        }

        Client.Dispose();
        process.Dispose();
    }

    /// <summary>
    /// How to start a program that is to hear Ctrl-C: whoever runs the tests in the background makes their children deaf
    /// to it.
    /// </summary>
    public static ProcessStartInfo Hearing(string program, params IEnumerable<string> arguments) =>
        OperatingSystem.IsLinux()
            ? new ProcessStartInfo("env", ["--default-signal=INT", program, .. arguments])
            : new ProcessStartInfo(program, arguments);

    private static Process Launch(string dataDirectory, string[] arguments, Dictionary<string, string> environment)
    {
        // The tests and the program are built alike: …/bin/Debug/net10.0.
        var built = Path.GetRelativePath(Repository.PathOf("tests", "ConsentLedger.Tests"), AppContext.BaseDirectory);
        var program = Path.Combine(Repository.PathOf("src", "ConsentLedger", built), OperatingSystem.IsWindows() ? "consentledger.exe" : "consentledger");

        var start = Hearing(program, arguments);
        start.RedirectStandardInput = start.RedirectStandardOutput = start.RedirectStandardError = true;
        start.Environment.Remove("ConnectionStrings__Ledger");
        start.Environment["ConsentLedger__DataDirectory"] = dataDirectory;
        foreach (var (name, value) in environment)
        {
            start.Environment[name] = value;
        }

        return Process.Start(start) ?? throw new InvalidOperationException("It could not be started.");
    }

    private static int FreePort()
    {
        using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}
