using System.Net;
using System.Text;
using ConsentLedger.Client;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;
using Microsoft.Extensions.DependencyInjection;

namespace ConsentLedger.Tests.Clients;

/// <summary>Sets a scene with the .NET client in it.</summary>
internal static class DotNetClientScene
{
    /// <summary>The client, as a program has it that asks this service.</summary>
    public static async Task<ServiceProvider> ClientAsync(this TestService service, params string[] scopes) =>
        ClientAt(service.Url.AbsoluteUri, await service.CreateKeyAsync(scopes.Length == 0 ? [Scope.ChecksRead] : scopes));

    public static ServiceProvider ClientAt(string url, string key, Action<IServiceCollection>? configure = null)
    {
        var services = new ServiceCollection();
        services.AddConsentLedger(options =>
        {
            options.Url = new Uri(url);
            options.Key = key;
        });
        configure?.Invoke(services);
        return services.BuildServiceProvider();
    }

    public static ConsentLedgerClient Ledger(this ServiceProvider program) => program.GetRequiredService<ConsentLedgerClient>();

    /// <summary>The client, with something else in the ledger's place.</summary>
    public static ServiceProvider ClientOf(Func<HttpRequestMessage, HttpResponseMessage> ledger) =>
        ClientAt("https://consent.example", "clk_key", services =>
            services.AddHttpClient(ConsentLedgerClient.HttpClientName).ConfigurePrimaryHttpMessageHandler(() => new StandIn(ledger)));

    public static HttpResponseMessage Answer(string body, string type = "application/json", HttpStatusCode status = HttpStatusCode.OK) =>
        new(status) { Content = new StringContent(body, Encoding.UTF8, type) };

    private sealed class StandIn(Func<HttpRequestMessage, HttpResponseMessage> ledger) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken) =>
            Task.FromResult(ledger(request));
    }
}
