namespace ConsentLedger.Client;

/// <summary>Where the ledger is, and what it knows this program by.</summary>
public sealed class ConsentLedgerOptions
{
    /// <summary>Where the ledger is reached: <c>https://consent.example.org</c>. Plain http is for this machine alone.</summary>
    public Uri? Url { get; set; }

    /// <summary>An API key, <c>clk_…</c>, with the scopes this program needs: <c>checks:read</c> for checks.</summary>
    public string? Key { get; set; }

    internal bool UrlIsValid => Url is { IsAbsoluteUri: true } && (Url.Scheme == Uri.UriSchemeHttps || (Url.Scheme == Uri.UriSchemeHttp && Url.IsLoopback));

    internal bool KeyIsValid => Key?.StartsWith("clk_", StringComparison.Ordinal) == true;
}
