using System.Globalization;
using System.Net;
using System.Threading.RateLimiting;
using ConsentLedger.Database;
using ConsentLedger.Http;

namespace ConsentLedger.Choices;

/// <summary>
/// How many sign-ups and confirmations a minute one network may send: an IPv4 /24 or an IPv6 /64, which is what one
/// connection usually has for itself. Each instance counts for itself.
/// </summary>
internal sealed class NetworkLimit : IDisposable
{
    private const string Setting = "ConsentLedger:SignUps:PerNetworkPerMinute";
    private const int Default = 60;
    private static readonly TimeSpan Window = TimeSpan.FromMinutes(1);

    private readonly int limit;
    private readonly PartitionedRateLimiter<IPAddress> limiter;

    public NetworkLimit(IConfiguration configuration)
    {
        var text = configuration[Setting];
        limit = string.IsNullOrWhiteSpace(text) ? Default
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= 1 ? number
            : throw new StartupException($"{Setting} is not a number from 1 up.");
        limiter = PartitionedRateLimiter.Create<IPAddress, IPNetwork>(address => RateLimitPartition.GetFixedWindowLimiter(
            NetworkOf(address), _ => new FixedWindowRateLimiterOptions { PermitLimit = limit, Window = Window }));
    }

    /// <summary>Counts one; the refusal if there were too many. Whoever calls from nowhere is one network.</summary>
    public Problem? Take(IPAddress? from, HttpResponse response)
    {
        using var lease = limiter.AttemptAcquire(from ?? IPAddress.None);
        if (lease.IsAcquired)
        {
            return null;
        }

        var wait = lease.TryGetMetadata(MetadataName.RetryAfter, out var told) ? told : Window;
        response.Headers["RateLimit-Policy"] = string.Create(CultureInfo.InvariantCulture, $"\"network\";q={limit};w={Window.TotalSeconds:0}");
        response.Headers["RateLimit"] = string.Create(CultureInfo.InvariantCulture, $"\"network\";r=0;t={Math.Ceiling(wait.TotalSeconds):0}");
        return new Problem(ProblemType.RateLimited) { RetryAfter = wait };
    }

    public void Dispose() => limiter.Dispose();

    private static IPNetwork NetworkOf(IPAddress address)
    {
        var plain = address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
        var bytes = plain.GetAddressBytes();
        var kept = bytes.Length == 4 ? 3 : 8;
        Array.Clear(bytes, kept, bytes.Length - kept);
        return new IPNetwork(new IPAddress(bytes), 8 * kept);
    }
}
