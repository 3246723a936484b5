using System.Globalization;
using System.Net;
using System.Threading.RateLimiting;
using ConsentLedger.Database;
using ConsentLedger.Http;

namespace ConsentLedger.Choices;

/// <summary>
/// How many sign-ups and confirmations one network may send in a time: an IPv4 /24 or an IPv6 /64, which is what one
/// connection usually has for itself. Each instance counts for itself.
/// </summary>
internal sealed class NetworkLimit : IDisposable
{
    private const string Setting = "ConsentLedger:SignUps:PerNetworkPerMinute";
    private const int Default = 60;

    private readonly int limit;
    private readonly TimeSpan window;
    private readonly string name;
    private readonly PartitionedRateLimiter<IPAddress> limiter;

    /// <summary>The limit of the settings, by the minute.</summary>
    public NetworkLimit(IConfiguration configuration)
        : this(ReadLimit(configuration[Setting]), TimeSpan.FromMinutes(1), "network")
    {
    }

    /// <summary>Another limit, under a name of its own.</summary>
    public NetworkLimit(int limit, TimeSpan window, string name)
    {
        (this.limit, this.window, this.name) = (limit, window, name);
        limiter = PartitionedRateLimiter.Create<IPAddress, IPNetwork>(address => RateLimitPartition.GetFixedWindowLimiter(
            NetworkOf(address), _ => new FixedWindowRateLimiterOptions { PermitLimit = limit, Window = window }));
    }

    /// <summary>Counts one; the refusal if there were too many. Whoever calls from nowhere is one network.</summary>
    public Problem? Take(IPAddress? from, HttpResponse response)
    {
        using var lease = limiter.AttemptAcquire(from ?? IPAddress.None);
        if (lease.IsAcquired)
        {
            return null;
        }

        var wait = lease.TryGetMetadata(MetadataName.RetryAfter, out var told) ? told : window;
        response.Headers["RateLimit-Policy"] = string.Create(CultureInfo.InvariantCulture, $"\"{name}\";q={limit};w={window.TotalSeconds:0}");
        response.Headers["RateLimit"] = string.Create(CultureInfo.InvariantCulture, $"\"{name}\";r=0;t={Math.Ceiling(wait.TotalSeconds):0}");
        return new Problem(ProblemType.RateLimited) { RetryAfter = wait };
    }

    public void Dispose() => limiter.Dispose();

    private static int ReadLimit(string? text) =>
        string.IsNullOrWhiteSpace(text) ? Default
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number >= 1 ? number
        : throw new StartupException($"{Setting} is not a number from 1 up.");

    private static IPNetwork NetworkOf(IPAddress address)
    {
        var plain = address.IsIPv4MappedToIPv6 ? address.MapToIPv4() : address;
        var bytes = plain.GetAddressBytes();
        var kept = bytes.Length == 4 ? 3 : 8;
        Array.Clear(bytes, kept, bytes.Length - kept);
        return new IPNetwork(new IPAddress(bytes), 8 * kept);
    }
}
