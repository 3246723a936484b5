using System.Net.Http.Headers;
using ConsentLedger.Database;
using ConsentLedger.Hosting;
using ConsentLedger.Http;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace ConsentLedger.Tests.Http;

/// <summary>
/// The service's conventions around two routes of the test's own, so that a test decides what a handler does:
/// <c>POST /probe</c>, whose body is held, and <c>POST /probe/stream</c>, whose body is passed on.
/// </summary>
internal sealed class ProbeService : IAsyncDisposable
{
    private readonly WebApplication app;
    private readonly LedgerDatabase database;

    private ProbeService(WebApplication app, LedgerDatabase database, FakeTimeProvider clock, string connectionString, HttpClient client)
    {
        this.app = app;
        this.database = database;
        Clock = clock;
        ConnectionString = connectionString;
        Client = client;
    }

    public FakeTimeProvider Clock { get; }

    public string ConnectionString { get; }

    public HttpClient Client { get; }

    /// <summary>How often a handler was reached.</summary>
    public int Runs { get; private set; }

    /// <summary>What the handler answers, given which run this is.</summary>
    public Func<HttpContext, int, Task<IResult>> Handler { get; set; } = (_, run) => Task.FromResult<IResult>(TypedResults.Created($"/things/{run}", new { run }));

    public static async Task<ProbeService> StartAsync(TestDatabase databases)
    {
        var connectionString = await databases.CreateLedgerAsync();
        var database = new LedgerDatabase(connectionString);
        var clock = new FakeTimeProvider(TestService.Start);
        var builder = WebApplication.CreateSlimBuilder();
        builder.Services.AddLedger(new PublicUrl(new Uri("https://consent.example")), database, new KeyRing(MasterKey.Generate()), clock).AddHttpConventions();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        builder.Logging.ClearProviders();
        builder.Logging.AddProvider(new SuiteLog());
        var app = builder.Build();
        app.UseHttpConventions();
        ProbeService service = null!;
        Delegate handle = (HttpContext context) => service.HandleAsync(context);
        app.MapPost("/probe", handle).RequireScope(Scope.EventsWrite).AcceptsIdempotencyKey();
        app.MapPost("/probe/stream", handle).RequireScope(Scope.EventsWrite).AcceptsIdempotencyKey().StreamsBody();
        await app.StartAsync();
        service = new ProbeService(app, database, clock, connectionString, new HttpClient { BaseAddress = new Uri(app.Urls.Single()) });
        service.Client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", await service.CreateKeyAsync());
        return service;
    }

    public async Task<string> CreateKeyAsync() =>
        (await app.Services.GetRequiredService<ApiKeyCatalogue>().CreateAsync(Actor.Service, "test", [Scope.EventsWrite], null, null, CancellationToken.None)).Key;

    public async Task<HttpResponseMessage> PostAsync(string path, string body, string? idempotencyKey = "first", string? key = null)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path) { Content = new StringContent(body) };
        if (idempotencyKey is not null)
        {
            request.Headers.TryAddWithoutValidation("Idempotency-Key", idempotencyKey);
        }

        if (key is not null)
        {
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        }

        return await Client.SendAsync(request);
    }

    /// <summary>Makes the handler wait: the first task ends when one has been reached, the other lets it go on.</summary>
    public (Task Reached, TaskCompletionSource Release) HoldHandler()
    {
        var reached = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var release = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var handler = Handler;
        Handler = async (context, run) =>
        {
            reached.TrySetResult();
            await release.Task;
            return await handler(context, run);
        };
        return (reached.Task, release);
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await app.StopAsync();
        await app.DisposeAsync();
        await database.DisposeAsync();
    }

    private Task<IResult> HandleAsync(HttpContext context) => Handler(context, ++Runs);
}
