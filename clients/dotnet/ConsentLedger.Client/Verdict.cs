namespace ConsentLedger.Client;

/// <summary>
/// The answer to a check: a <see cref="Permission"/> or a <see cref="Refusal"/>, and nothing between. It is no boolean
/// that could be forgotten or mixed up; code that sends asks for a permission, and only the ledger makes one.
/// </summary>
public abstract class Verdict
{
    private protected Verdict(string address, string purpose, string reason)
    {
        Address = address;
        Purpose = purpose;
        Reason = reason;
    }

    /// <summary>The address that was asked about.</summary>
    public string Address { get; }

    /// <summary>The purpose that was asked about.</summary>
    public string Purpose { get; }

    /// <summary>Why, in the words of the API: <c>given</c>, <c>withdrawn</c>, <c>suppressed</c>, ….</summary>
    public string Reason { get; }
}

/// <summary>A message may be sent to this address for this purpose, now.</summary>
public sealed class Permission : Verdict
{
    /// <summary>How long a permission is good for; who was asked about longer ago has to be asked about again.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(15);

    private readonly DateTimeOffset askedAt;
    private readonly TimeProvider clock;

    internal Permission(string address, string purpose, string reason, Uri? unsubscribeUrl, IReadOnlyDictionary<string, string> headers, DateTimeOffset askedAt, TimeProvider clock)
        : base(address, purpose, reason)
    {
        UnsubscribeUrl = unsubscribeUrl;
        Headers = headers;
        this.askedAt = askedAt;
        this.clock = clock;
    }

    /// <summary>How the recipient leaves; null for what nobody can leave, and for addresses other than e-mail.</summary>
    public Uri? UnsubscribeUrl { get; }

    /// <summary>The header fields to put into the message, by name (RFC 8058); a DKIM signature has to cover them.</summary>
    public IReadOnlyDictionary<string, string> Headers { get; }

    /// <summary>True once it is too old to send by.</summary>
    public bool HasExpired => clock.GetUtcNow() - askedAt > Lifetime;
}

/// <summary>No message may be sent to this address for this purpose.</summary>
public sealed class Refusal : Verdict
{
    internal Refusal(string address, string purpose, string reason)
        : base(address, purpose, reason)
    {
    }
}
