using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using ConsentLedger.Database;
using ConsentLedger.Hosting;
using ConsentLedger.Security;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;
using Npgsql;

namespace ConsentLedger.Tests.Hosting;

/// <summary>
/// The real service on a database of its own, reached over real HTTP. Its clock stands at <see cref="Start"/> until a
/// test moves it, and everything it logs goes to <see cref="SuiteLog"/>.
/// </summary>
internal sealed class TestService : IAsyncDisposable
{
    /// <summary>When every test begins.</summary>
    public static readonly DateTimeOffset Start = new(2026, 11, 22, 9, 30, 0, TimeSpan.Zero);

    /// <summary>In a <c>from</c>: every event that has its place in the log or waits for it.</summary>
    public const string Logged =
        "(select subscriber_id, event_id, commitment from outbox union all select subscriber_id, event_id, commitment from log_entry) logged";

    private readonly WebApplication app;
    private readonly DirectoryInfo? folder;
    private readonly LentLedger? lent;
    private readonly NpgsqlDataSource superuser;

    private TestService(
        WebApplication app, DirectoryInfo? folder, string dataDirectory, LedgerDatabase database, KeyRing keys, FakeTimeProvider clock,
        string connectionString, LentLedger? lent, HttpClient client)
    {
        this.app = app;
        this.folder = folder;
        this.lent = lent;
        superuser = lent?.Superuser ?? OpenSuperuser(connectionString);
        DataDirectory = dataDirectory;
        Database = database;
        Keys = keys;
        Clock = clock;
        ConnectionString = connectionString;
        Client = client;
    }

    public LedgerDatabase Database { get; }

    public KeyRing Keys { get; }

    public FakeTimeProvider Clock { get; }

    /// <summary>What it keeps outside the database. It goes with the service unless the test gave it.</summary>
    public string DataDirectory { get; }

    /// <summary>Connects as the server's superuser.</summary>
    public string ConnectionString { get; }

    /// <summary>Calls with a key that has every scope.</summary>
    public HttpClient Client { get; }

    public Uri Url => Client.BaseAddress!;

    public IServiceProvider Services => app.Services;

    /// <summary>Starts the service on an empty database, for all of a class on a new one.</summary>
    public static async Task<TestService> StartAsync(TestDatabase databases, Action<WebApplicationBuilder>? configure = null)
    {
        var (keys, clock) = (new KeyRing(MasterKey.Generate()), new FakeTimeProvider(Start));
        if (TestContext.Current.Test is null)
        {
            return await StartAsync(await databases.CreateLedgerAsync(), keys, clock, configure);
        }

        var lent = await databases.LendLedgerAsync();
        return await StartAsync(lent.ConnectionString, lent, keys, clock, configure, null);
    }

    /// <summary>Starts the service on a database that is there: a second instance, or the same one again.</summary>
    public static Task<TestService> StartAsync(
        string connectionString, KeyRing keys, FakeTimeProvider clock, Action<WebApplicationBuilder>? configure = null, string? dataDirectory = null) =>
        StartAsync(connectionString, null, keys, clock, configure, dataDirectory);

    /// <summary>As <see cref="SqlAsync"/> connects.</summary>
    public static NpgsqlDataSource OpenSuperuser(string connectionString) => NpgsqlDataSource.Create(new NpgsqlConnectionStringBuilder(connectionString)
    {
        ApplicationName = "tests",
        Options = "-c search_path=consentledger -c timezone=UTC",
    });

    private static async Task<TestService> StartAsync(
        string connectionString, LentLedger? lent, KeyRing keys, FakeTimeProvider clock, Action<WebApplicationBuilder>? configure, string? dataDirectory)
    {
        var folder = dataDirectory is null ? Directory.CreateTempSubdirectory("consentledger-tests-") : null;
        dataDirectory ??= folder!.FullName;
        var database = lent?.Enter() ?? new LedgerDatabase(connectionString);
        WebApplication app;
        try
        {
            app = LedgerService.Build([], new PublicUrl(new Uri("https://consent.example")), database, keys, new DataDirectory(dataDirectory), clock, builder =>
            {
                builder.WebHost.UseUrls("http://127.0.0.1:0");
                builder.Logging.ClearProviders();
                builder.Logging.SetMinimumLevel(LogLevel.Trace);
                builder.Logging.AddProvider(new SuiteLog());
                builder.Configuration["ConsentLedger:Retention:Schedule"] = "off";
                builder.Configuration["ConsentLedger:Renewals:Schedule"] = "off";
                configure?.Invoke(builder);
            });
            await app.StartAsync();
        }
        catch
        {
            lent?.Leave();
            folder?.Delete(recursive: true);
            throw;
        }

        var client = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false }) { BaseAddress = new Uri(app.Urls.Single()) };
        var service = new TestService(app, folder, dataDirectory, database, keys, clock, connectionString, lent, client);
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", await service.CreateKeyAsync([.. Scope.All]));
        return service;
    }

    /// <summary>Makes a key with these scopes, for all purposes or for some.</summary>
    public async Task<string> CreateKeyAsync(string[] scopes, params string[] purposes)
    {
        var catalogue = app.Services.GetRequiredService<ApiKeyCatalogue>();
        var (key, _) = await catalogue.CreateAsync(Actor.Service, "test", scopes, purposes.Length == 0 ? null : purposes, null, CancellationToken.None);
        return key;
    }

    /// <summary>Sends JSON, by a client with a key that has every scope unless another is named.</summary>
    public async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, JsonNode? body = null, string? key = null, params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(method, path);
        if (body is not null)
        {
            request.Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json");
        }

        if (key is not null)
        {
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", key);
        }

        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return await Client.SendAsync(request);
    }

    public Task<HttpResponseMessage> PostAsync(string path, JsonNode body, string? key = null, params (string Name, string Value)[] headers) =>
        SendAsync(HttpMethod.Post, path, body, key, headers);

    public Task<HttpResponseMessage> PutAsync(string path, JsonNode body, string? key = null, params (string Name, string Value)[] headers) =>
        SendAsync(HttpMethod.Put, path, body, key, headers);

    public Task<HttpResponseMessage> GetAsync(string path, string? key = null, params (string Name, string Value)[] headers) =>
        SendAsync(HttpMethod.Get, path, null, key, headers);

    /// <summary>Runs one statement as the server's superuser, past every grant.</summary>
    public async Task<object?> SqlAsync(string sql)
    {
        try
        {
            await using var command = superuser.CreateCommand(sql);
            return await command.ExecuteScalarAsync();
        }
        catch (NpgsqlException cut) when (DatabaseResilience.IsAway(cut))
        {
            // A test that cuts connections cuts these too.
            superuser.Clear();
            await using var command = superuser.CreateCommand(sql);
            return await command.ExecuteScalarAsync();
        }
    }

    public async ValueTask DisposeAsync()
    {
        Client.Dispose();
        await app.StopAsync();
        await app.DisposeAsync();
        if (lent is null)
        {
            await Database.DisposeAsync();
            await superuser.DisposeAsync();
        }

        lent?.Leave();
        folder?.Delete(recursive: true);
    }
}
