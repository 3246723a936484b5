using System.Net.Http.Headers;
using System.Text;
using System.Text.Json.Nodes;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;
using ConsentLedger.Tests.Hosting;
using Microsoft.Extensions.DependencyInjection;

namespace ConsentLedger.Tests.Unsubscribe;

/// <summary>A subscriber with a link, and what a mail program does with it.</summary>
internal static class UnsubscribeScene
{
    public const string Ada = "ada@example.org";
    public const string OneClick = "List-Unsubscribe=One-Click";

    // No key, no cookies, no redirects followed, and headers as they come.
    private static readonly HttpClient Bare = new(new SocketsHttpHandler
    {
        AllowAutoRedirect = false,
        UseCookies = false,
        RequestHeaderEncodingSelector = (_, _) => Encoding.UTF8,
    });

    /// <summary>The path of the link that the API makes.</summary>
    public static async Task<string> LinkAsync(this TestService service, string address = Ada, string purpose = "newsletter")
    {
        var link = await service.PostAsync("/v1/unsubscribe-links", new JsonObject { ["address"] = address, ["purpose"] = purpose }).ReadAsync();
        return new Uri(link.Text("url")).AbsolutePath;
    }

    /// <summary>Consent as it was given at some time, straight into the ledger.</summary>
    public static async Task ConsentAsync(this TestService service, DateTimeOffset occurredAt, string address = Ada, EventKind kind = EventKind.Given)
    {
        var purpose = await service.Services.GetRequiredService<PurposeCatalogue>().FindAsync(PurposeKey.Parse("newsletter", null), CancellationToken.None);
        var given = new ConsentEvent
        {
            SubscriberId = service.IdOf(address),
            Id = EventId.New(occurredAt),
            Purpose = purpose!.Id,
            Kind = kind,
            Basis = purpose.Basis,
            Source = SourceKind.WebForm,
            OccurredAt = occurredAt,
            RecordedAt = service.Clock.GetUtcNow(),
        };
        (await service.Ledger().AppendAsync(given, Address.Parse(address, provider: null), CancellationToken.None)).ShouldBe(AppendOutcome.Appended);
    }

    public static LedgerStore Ledger(this TestService service) => service.Services.GetRequiredService<LedgerStore>();

    public static SubscriberId IdOf(this TestService service, string address) => service.Services.GetRequiredService<SubscriberIds>().Of(Address.Parse(address, provider: null));

    public static async Task<ConsentState?> StateAsync(this TestService service, string address = Ada) =>
        (await service.Ledger().ReadStatesAsync(service.IdOf(address), CancellationToken.None)).Select(state => (ConsentState?)state).SingleOrDefault();

    public static Task<IReadOnlyList<ConsentEvent>> HistoryAsync(this TestService service, string address = Ada) =>
        service.Ledger().ReadHistoryAsync(service.IdOf(address), null, null, 100, CancellationToken.None);

    /// <summary>Posts as a mail program does: no key, no cookie, no context.</summary>
    public static Task<HttpResponseMessage> PostFormAsync(this TestService service, string path, string body = OneClick, string type = "application/x-www-form-urlencoded") =>
        service.PostBareAsync(path, new StringContent(body) { Headers = { ContentType = MediaTypeHeaderValue.Parse(type) } });

    public static Task<HttpResponseMessage> PostBareAsync(this TestService service, string path, HttpContent? content) =>
        service.SendBareAsync(HttpMethod.Post, path, content: content);

    /// <summary>Opens a page as a browser does.</summary>
    public static Task<HttpResponseMessage> OpenAsync(this TestService service, string path, string language = "en-GB,en;q=0.9") =>
        service.SendBareAsync(HttpMethod.Get, path, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", language);

    public static async Task<HttpResponseMessage> SendBareAsync(
        this TestService service, HttpMethod method, string path, string? accept = null, string? language = null, HttpContent? content = null, string? userAgent = null)
    {
        using var request = new HttpRequestMessage(method, new Uri(service.Url, path)) { Content = content };
        foreach (var (name, value) in new[] { ("Accept", accept), ("Accept-Language", language), ("User-Agent", userAgent) })
        {
            if (value is not null)
            {
                request.Headers.TryAddWithoutValidation(name, value);
            }
        }

        return await Bare.SendAsync(request);
    }

    /// <summary>The body as text.</summary>
    public static Task<string> TextAsync(this HttpResponseMessage response) =>
        response.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);

    /// <summary>The body of an answer still under way, as text.</summary>
    public static async Task<string> TextAsync(this Task<HttpResponseMessage> response) => await (await response).TextAsync();
}
