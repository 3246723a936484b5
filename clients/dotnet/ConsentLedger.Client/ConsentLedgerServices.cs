using System.Net.Http.Headers;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;
using Microsoft.Extensions.Http.Resilience;
using Microsoft.Extensions.Options;
using Polly;

namespace ConsentLedger.Client;

/// <summary>Adds the client to a program.</summary>
public static class ConsentLedgerServices
{
    private static readonly string[] Questions = ["/v1/checks", "/v1/unsubscribe-links", "/v1/subscribers/lookup", "/v1/subscribers/history"];

    /// <summary>
    /// Adds <see cref="ConsentLedgerClient"/>. What can be repeated without harm is, three times at most: questions, and
    /// writes with an Idempotency-Key. Whatever takes longer than half a minute is given up. Wrong options end the start.
    /// </summary>
    public static IServiceCollection AddConsentLedger(this IServiceCollection services, Action<ConsentLedgerOptions> configure)
    {
        services.AddOptions<ConsentLedgerOptions>()
            .Configure(configure)
            .Validate(options => options.UrlIsValid, "ConsentLedger: Url has to be an https URL, such as https://consent.example.org.")
            .Validate(options => options.KeyIsValid, "ConsentLedger: Key has to be an API key, clk_….")
            .ValidateOnStart();
        services.TryAddSingleton(TimeProvider.System);
        services.TryAddSingleton<ConsentLedgerClient>();
        services.AddHttpClient(ConsentLedgerClient.HttpClientName, SetUp)
            .ConfigurePrimaryHttpMessageHandler(() => new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false, PooledConnectionLifetime = TimeSpan.FromMinutes(5) })
            .AddStandardResilienceHandler(options =>
            {
                options.AttemptTimeout.Timeout = TimeSpan.FromSeconds(10);
                options.TotalRequestTimeout.Timeout = TimeSpan.FromSeconds(30);
                options.Retry.Delay = TimeSpan.FromMilliseconds(200);

                // Somebody waits for the answer: it is repeated over a blink of the service, and not over an outage.
                options.Retry.ShouldRetryAfterHeader = false;
                options.Retry.ShouldHandle = attempt => ValueTask.FromResult(
                    attempt.Context.GetRequestMessage() is { } request && MayBeRepeated(request) && HttpClientResiliencePredicates.IsTransient(attempt.Outcome));
            });
        return services;
    }

    private static void SetUp(IServiceProvider provider, HttpClient client)
    {
        var options = provider.GetRequiredService<IOptions<ConsentLedgerOptions>>().Value;
        client.BaseAddress = new Uri(options.Url!.AbsoluteUri.TrimEnd('/') + "/");
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", options.Key);
        client.Timeout = ConsentLedgerClient.Patience;
    }

    private static bool MayBeRepeated(HttpRequestMessage request) =>
        request.Method != HttpMethod.Post
        || request.Headers.Contains("Idempotency-Key")
        || Questions.Any(path => request.RequestUri!.AbsolutePath.Contains(path, StringComparison.Ordinal));
}
