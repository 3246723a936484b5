using System.Runtime.CompilerServices;
using System.Text.Json;
using ConsentLedger.Client.Api;
using Polly.CircuitBreaker;
using Polly.RateLimiting;
using Polly.Timeout;

namespace ConsentLedger.Client;

/// <summary>
/// Asks the ledger. Whatever goes wrong ends in an exception and never in a <see cref="Permission"/>: an error, a timeout
/// and an answer that was cut all mean that nothing is sent.
/// </summary>
public sealed class ConsentLedgerClient(IHttpClientFactory clients, TimeProvider clock)
{
    /// <summary>The name of the HTTP client, for programs that add handlers to it.</summary>
    public const string HttpClientName = "ConsentLedger";

    /// <summary>How long one request may take in all.</summary>
    internal static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    /// <summary>
    /// Every route of the contract, generated from its OpenAPI document. For checks use <see cref="CheckAsync"/> and
    /// <see cref="CheckManyAsync(IEnumerable{string}, string, CancellationToken)"/>: these can't be misread.
    /// </summary>
    public ConsentLedgerApi Api => new(clients.CreateClient(HttpClientName));

    /// <summary>Whether a message may be sent to this address for this purpose, now.</summary>
    /// <exception cref="ConsentLedgerException">That is not known, so it must not.</exception>
    public async Task<Verdict> CheckAsync(string address, string purpose, CancellationToken cancellation = default)
    {
        var askedAt = clock.GetUtcNow();
        CheckAnswer answer;
        try
        {
            answer = await AskAsync(() => Api.CheckAsync(new CheckRequest { Address = address, Purpose = purpose }, cancellation), cancellation);
        }
        catch (ConsentLedgerException refused) when (refused.InnerException is ConsentLedgerApiException<Problem> { StatusCode: 400, Result.Errors: { Count: 1 } errors } && errors.ContainsKey("address"))
        {
            return new Refusal(address, purpose, "invalid-address");
        }

        var reason = JsonNamingPolicy.KebabCaseLower.ConvertName(answer.Reason.ToString());
        return answer.Allowed && answer.Purpose == purpose
            ? new Permission(address, purpose, reason, UrlOf(answer.Unsubscribe?.Url), HeadersOf(answer.Unsubscribe), askedAt, clock)
            : new Refusal(address, purpose, reason);
    }

    /// <summary>As <see cref="CheckAsync"/>, for any number of addresses; answered in their order.</summary>
    /// <exception cref="ConsentLedgerException">
    /// An answer did not come whole. What was handed out before it stands; of the cut one nothing is handed out.
    /// </exception>
    public IAsyncEnumerable<Verdict> CheckManyAsync(IEnumerable<string> addresses, string purpose, CancellationToken cancellation = default) =>
        CheckManyAsync(addresses.ToAsyncEnumerable(), purpose, cancellation);

    /// <inheritdoc cref="CheckManyAsync(IEnumerable{string}, string, CancellationToken)" />
    public async IAsyncEnumerable<Verdict> CheckManyAsync(
        IAsyncEnumerable<string> addresses, string purpose, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        // Over HTTP/1.1 .NET reads an answer only once it has sent the whole request, so a list goes out in parts.
        await foreach (var part in addresses.Chunk(CheckStream.MostAddresses).WithCancellation(cancellation))
        {
            using var client = clients.CreateClient(HttpClientName);
            var stream = new CheckStream(client, purpose, clock);
            foreach (var verdict in await AskAsync(() => stream.CheckAsync(part, cancellation), cancellation))
            {
                yield return verdict;
            }
        }
    }

    /// <summary>
    /// Signs somebody up by one of the ledger's forms, as the website's own page took it. They are asked to confirm by
    /// mail; nothing says whether they were known.
    /// </summary>
    /// <param name="signUp">Who signs up by which form.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="ConsentLedgerException">It was refused, or nobody knows; it may be sent again.</exception>
    public Task SignUpAsync(SignUpRequest signUp, CancellationToken cancellation = default) =>
        AskAsync(() => Api.SignUpAsync(signUp, $"\"{Guid.NewGuid():D}\"", cancellation), cancellation);

    /// <summary>The link by which a subscriber leaves a purpose, and the header fields of the message.</summary>
    /// <exception cref="ConsentLedgerException">It could not be had.</exception>
    public Task<UnsubscribeLink> UnsubscribeLinkAsync(string address, string purpose, CancellationToken cancellation = default) =>
        AskAsync(() => Api.MakeUnsubscribeLinkAsync(new UnsubscribeLinkRequest { Address = address, Purpose = purpose }, cancellation), cancellation);

    private static Uri? UrlOf(string? url) => url is null ? null : new Uri(url);

    private static Dictionary<string, string> HeadersOf(UnsubscribeLink? link) => link is null ? [] : new()
    {
        ["List-Unsubscribe"] = link.Headers.ListUnsubscribe,
        ["List-Unsubscribe-Post"] = link.Headers.ListUnsubscribePost,
        ["List-Id"] = link.Headers.ListId,
    };

    private static async Task<T> AskAsync<T>(Func<Task<T>> ask, CancellationToken cancellation)
    {
        try
        {
            return await ask();
        }
        catch (ConsentLedgerApiException<Problem> refused)
        {
            throw new ConsentLedgerException($"The ledger refused: {refused.Result.Title}. {refused.Result.Detail}".TrimEnd(), refused.StatusCode, refused);
        }
        catch (ConsentLedgerApiException refused)
        {
            throw new ConsentLedgerException($"The ledger's answer ({refused.StatusCode}) is none.", refused.StatusCode);
        }
        catch (Exception fault) when (MeansAway(fault) && !cancellation.IsCancellationRequested)
        {
            throw new ConsentLedgerException("The ledger can't be asked.", inner: fault);
        }
    }

    private static bool MeansAway(Exception fault) =>
        fault is HttpRequestException or IOException or OperationCanceledException or TimeoutRejectedException or BrokenCircuitException or RateLimiterRejectedException or JsonException;
}
