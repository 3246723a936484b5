namespace ConsentLedger.Security;

/// <summary>
/// Where the service is reached from outside: the start of every link it makes. It comes from the settings and never
/// from a request's Host header, which whoever calls can choose (FACTS 62).
/// </summary>
public sealed class PublicUrl
{
    private readonly string start;

    /// <summary>An absolute http or https URL; a final slash makes no difference.</summary>
    public PublicUrl(Uri url)
    {
        start = url.GetLeftPart(UriPartial.Path).TrimEnd('/');
        Host = url.IdnHost;
    }

    /// <summary>The host's name, for identifiers such as List-Id.</summary>
    public string Host { get; }

    /// <summary>An absolute link to a path of this service.</summary>
    public string Link(string path) => start + path;

    /// <inheritdoc />
    public override string ToString() => start;
}
