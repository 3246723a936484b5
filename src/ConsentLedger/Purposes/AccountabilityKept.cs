using ConsentLedger.Database;

namespace ConsentLedger.Purposes;

/// <summary>
/// How long that is kept which shows that the law was kept (Article 5(2)), whatever the purpose: the settings
/// <c>ConsentLedger:Retention:Requests</c> and <c>ConsentLedger:Retention:Audit</c>.
/// </summary>
/// <param name="Requests">What people asked for, after it was closed.</param>
/// <param name="Audit">Who did what, after it happened.</param>
public sealed record AccountabilityKept(Period Requests, Period Audit)
{
    /// <summary>How long requests are kept unless set otherwise: three years, in which a complaint about one still comes.</summary>
    public static readonly Period DefaultRequests = new(36, 0);

    /// <summary>How long the audit trail is kept unless set otherwise: six years, after which a claim is barred.</summary>
    public static readonly Period DefaultAudit = new(72, 0);

    /// <summary>Reads them.</summary>
    /// <exception cref="StartupException">One is no period.</exception>
    public static AccountabilityKept Read(IConfiguration configuration)
    {
        return new AccountabilityKept(Of("ConsentLedger:Retention:Requests", DefaultRequests), Of("ConsentLedger:Retention:Audit", DefaultAudit));

        Period Of(string setting, Period otherwise) =>
            configuration[setting]?.Trim() is not { Length: > 0 } text ? otherwise
            : Period.TryParse(text, provider: null, out var period) ? period
            : throw new StartupException($"{setting} is not a period such as P36M.");
    }
}
