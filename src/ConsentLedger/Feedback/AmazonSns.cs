using System.Collections.Concurrent;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace ConsentLedger.Feedback;

/// <summary>Whether something is Amazon's.</summary>
internal enum SnsVerdict
{
    /// <summary>It is.</summary>
    Valid,

    /// <summary>It is not.</summary>
    Invalid,

    /// <summary>Amazon can't be asked just now.</summary>
    Unverifiable,
}

/// <summary>
/// Amazon's notification service: whether a message is from it, and the confirmation it asks for. A message names the URL
/// of the certificate it was signed with and the URL that confirms; both are followed to Amazon's own hosts over https and
/// nowhere else, without redirects, so that nobody can have this service fetch what they like.
/// </summary>
internal sealed partial class AmazonSns(IHttpClientFactory clients, TimeProvider clock, ILogger<AmazonSns> log)
{
    /// <summary>The client that talks to Amazon.</summary>
    public const string ClientName = "amazon-sns";

    // Amazon signs a region's messages with one certificate and changes it about once a year.
    private const int MostCertificates = 64;

    private static readonly string[] OfNotification = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"];
    private static readonly string[] OfConfirmation = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];

    private readonly ConcurrentDictionary<Uri, X509Certificate2> certificates = new();

    /// <summary>Adds the client. Its log would show the tokens in the URLs.</summary>
    public static void AddClient(IServiceCollection services) => services
        .AddHttpClient(ClientName, client =>
        {
            client.Timeout = TimeSpan.FromSeconds(5);
            client.MaxResponseContentBufferSize = 64 * 1024;
        })
        .ConfigurePrimaryHttpMessageHandler(() => new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false })
        .RemoveAllLoggers();

    /// <summary>Holds a message against its signature (SignatureVersion 1: SHA-1; 2: SHA-256).</summary>
    public async Task<SnsVerdict> VerifyAsync(JsonElement message, CancellationToken cancellation)
    {
        var algorithm = message.Text("SignatureVersion") switch
        {
            // What Amazon signs with unless a topic is set to 2; the signature is checked here, not made.
            "1" => HashAlgorithmName.SHA1,
            "2" => HashAlgorithmName.SHA256,
            _ => default,
        };
        var text = message.Text("Signature") ?? string.Empty;
        var signature = new byte[text.Length];
        if (algorithm == default || !Convert.TryFromBase64String(text, signature, out var length) || Amazons(message.Text("SigningCertURL")) is not { } url
            || !url.AbsolutePath.EndsWith(".pem", StringComparison.Ordinal))
        {
            return SnsVerdict.Invalid;
        }

        if (await FindCertificateAsync(url, cancellation) is not { } certificate)
        {
            return SnsVerdict.Unverifiable;
        }

        using var key = certificate.GetRSAPublicKey();
        var now = clock.GetUtcNow();
        return key is not null && certificate.NotBefore <= now && now <= certificate.NotAfter
            && key.VerifyData(Encoding.UTF8.GetBytes(Signed(message)), signature.AsSpan(0, length), algorithm, RSASignaturePadding.Pkcs1)
                ? SnsVerdict.Valid
                : SnsVerdict.Invalid;
    }

    /// <summary>Confirms the subscription that a verified message asks about. Asked again, Amazon says yes again.</summary>
    public async Task<SnsVerdict> ConfirmAsync(JsonElement message, CancellationToken cancellation)
    {
        if (Amazons(message.Text("SubscribeURL")) is not { } url)
        {
            return SnsVerdict.Invalid;
        }

        return await GetAsync(url, cancellation) is null ? SnsVerdict.Unverifiable : SnsVerdict.Valid;
    }

    private static string Signed(JsonElement message)
    {
        var signed = new StringBuilder();
        foreach (var name in message.Text("Type") == "Notification" ? OfNotification : OfConfirmation)
        {
            if (message.Text(name) is { } value)
            {
                signed.Append(name).Append('\n').Append(value).Append('\n');
            }
        }

        return signed.ToString();
    }

    private async Task<X509Certificate2?> FindCertificateAsync(Uri url, CancellationToken cancellation)
    {
        if (certificates.TryGetValue(url, out var known))
        {
            return known;
        }

        if (await GetAsync(url, cancellation) is not { } pem)
        {
            return null;
        }

        try
        {
            var certificate = X509Certificate2.CreateFromPem(pem);
            if (certificates.Count >= MostCertificates)
            {
                certificates.Clear();
            }

            return certificates.GetOrAdd(url, certificate);
        }
        catch (CryptographicException)
        {
            LogUnavailable("not a certificate");
            return null;
        }
    }

    /// <summary>What is at one of Amazon's URLs, or null.</summary>
    private async Task<string?> GetAsync(Uri url, CancellationToken cancellation)
    {
        try
        {
            using var client = clients.CreateClient(ClientName);
            using var response = await client.GetAsync(url, cancellation);
            if (response.IsSuccessStatusCode)
            {
                return await response.Content.ReadAsStringAsync(cancellation);
            }

            LogUnavailable(response.StatusCode.ToString());
        }
        catch (Exception fault) when (fault is HttpRequestException or TaskCanceledException && !cancellation.IsCancellationRequested)
        {
            LogUnavailable(fault.GetType().Name);
        }

        return null;
    }

    private static Uri? Amazons(string? text) =>
        Uri.TryCreate(text, UriKind.Absolute, out var url) && url.Scheme == Uri.UriSchemeHttps && url.IsDefaultPort && url.UserInfo.Length == 0 && Host().IsMatch(url.Host)
            ? url
            : null;

    [GeneratedRegex(@"\Asns\.[a-z]{2}(-[a-z]+)+-\d\.amazonaws\.com(\.cn)?\z")]
    private static partial Regex Host();

    [LoggerMessage(LogLevel.Warning, "Amazon SNS can't be asked: {Reason}")]
    private partial void LogUnavailable(string reason);
}
