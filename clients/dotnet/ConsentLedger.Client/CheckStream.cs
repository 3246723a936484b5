using System.Net.Http.Headers;
using System.Text.Json;

namespace ConsentLedger.Client;

/// <summary>
/// One request to <c>/v1/checks/stream</c>. Its answers are handed out once the last line has come and agrees with what was
/// asked: without it the answer was cut.
/// </summary>
internal sealed class CheckStream(HttpClient client, string purpose, TimeProvider clock)
{
    /// <summary>How many addresses one request holds: about a megabyte, answered in a fraction of a second.</summary>
    public const int MostAddresses = 10_000;

    private const string NdJson = "application/x-ndjson";

    private static readonly Dictionary<string, string> NoHeaders = [];

    public async Task<IReadOnlyList<Verdict>> CheckAsync(string[] addresses, CancellationToken cancellation)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(ConsentLedgerClient.Patience);
        var askedAt = clock.GetUtcNow();
        using var request = new HttpRequestMessage(HttpMethod.Post, $"v1/checks/stream?purpose={Uri.EscapeDataString(purpose)}&links=true");
        request.Headers.Accept.Add(new MediaTypeWithQualityHeaderValue(NdJson));
        request.Content = Write(addresses);
        using var response = await client.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, patience.Token);
        if (!response.IsSuccessStatusCode || response.Content.Headers.ContentType?.MediaType != NdJson)
        {
            throw new ConsentLedgerException($"The ledger refused the list: {(int)response.StatusCode}.", (int)response.StatusCode);
        }

        using var lines = new StreamReader(await response.Content.ReadAsStreamAsync(patience.Token));
        var verdicts = new List<Verdict>(addresses.Length);
        var allowed = 0;
        while (await lines.ReadLineAsync(patience.Token) is { } line)
        {
            using var json = JsonDocument.Parse(line);
            if (json.RootElement.TryGetProperty("summary", out var summary))
            {
                return Count(summary, "received") == addresses.Length && verdicts.Count == addresses.Length && Count(summary, "allowed") == allowed
                    && string.IsNullOrEmpty(await lines.ReadToEndAsync(patience.Token))
                        ? verdicts
                        : throw Cut();
            }

            if (verdicts.Count == addresses.Length)
            {
                throw Cut();
            }

            var verdict = Read(json.RootElement, addresses[verdicts.Count], askedAt);
            allowed += verdict is Permission ? 1 : 0;
            verdicts.Add(verdict);
        }

        throw Cut();
    }

    private static ByteArrayContent Write(string[] addresses)
    {
        using var body = new MemoryStream();
        foreach (var address in addresses)
        {
            JsonSerializer.Serialize(body, address);
            body.WriteByte((byte)'\n');
        }

        var content = new ByteArrayContent(body.ToArray());
        content.Headers.ContentType = new MediaTypeHeaderValue(NdJson);
        return content;
    }

    private Verdict Read(JsonElement line, string asked, DateTimeOffset askedAt)
    {
        var answered = line.GetProperty("address");
        var allowed = line.GetProperty("allowed").ValueKind == JsonValueKind.True;
        var reason = line.GetProperty("reason").GetString() ?? throw Cut();

        // What can't be an address may come back as nothing; one that may be written to comes back as itself.
        if (!(answered.ValueKind == JsonValueKind.Null && !allowed) && answered.GetString() != asked)
        {
            throw Cut();
        }

        if (!allowed)
        {
            return new Refusal(asked, purpose, reason);
        }

        var url = line.TryGetProperty("unsubscribeUrl", out var link) && link.ValueKind == JsonValueKind.String ? new Uri(link.GetString()!) : null;
        return new Permission(asked, purpose, reason, url, HeadersOf(url), askedAt, clock);
    }

    private Dictionary<string, string> HeadersOf(Uri? url) => url is null ? NoHeaders : new()
    {
        ["List-Unsubscribe"] = $"<{url.AbsoluteUri}>",
        ["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click",
        ["List-Id"] = $"<{purpose}.{url.Host}>",
    };

    private static int Count(JsonElement summary, string name) =>
        summary.TryGetProperty(name, out var count) && count.TryGetInt32(out var value) ? value : -1;

    private static ConsentLedgerException Cut() => new("The answer to a list was cut, or is of another list: none of it may be used.");
}
