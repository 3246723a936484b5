using System.Globalization;
using System.Net;
using ConsentLedger.Database;

namespace ConsentLedger.Hosting;

/// <summary>
/// The settings of an installation (API "Service"), read and checked once at the start. A wrong one stops the start with
/// one clear line; so does one that does not exist, because a misspelt setting is one that is not heeded.
/// </summary>
public sealed record ServiceSettings
{
    private const string Section = "ConsentLedger";

    /// <summary>Every setting that there is, also those that are read elsewhere; a list's members have numbers behind its name.</summary>
    public static readonly IReadOnlyList<string> Known =
    [
        "DataDirectory", "JournalDirectory", "PublicUrl", "MasterKey", "MasterKeyFile", "KeyGeneration", "TrustedProxies",
        "Controller:Name", "Controller:Address", "Controller:Email", "Controller:Phone", "Controller:DataProtectionOfficer", "Controller:RegistrationNumber",
        "Brand:Colour", "Brand:Logo", "ProcessingRecord:People", "ProcessingRecord:Transfers", "ProcessingRecord:Security",
        "Mail:From", "Mail:Smtp:Host", "Mail:Smtp:Port", "Mail:Smtp:User", "Mail:Smtp:Password", "Mail:Smtp:Security", "Mail:Smtp:CertificateAuthority",
        "Feedback:Ses:Topics", "Feedback:SendGrid:PublicKey", "Feedback:Mailgun:SigningKey", "Feedback:SoftBounceLimit", "Feedback:SoftBounceDays",
        "Retention:Schedule", "Retention:Requests", "Retention:Audit", "Retention:BatchSize", "Renewals:Schedule", "SignUps:PerNetworkPerMinute",
    ];

    /// <summary>The server to use; null for a private cluster under the data directory.</summary>
    public string? ConnectionString { get; init; }

    /// <summary>Where the installation keeps what is not in the database: its key, the private cluster.</summary>
    public required string DataDirectory { get; init; }

    /// <summary>Where the service is reached from outside; null for where it listens.</summary>
    public Uri? PublicUrl { get; init; }

    /// <summary>The master key in base64, if it is given as a setting.</summary>
    public string? MasterKey { get; init; }

    /// <summary>The file that holds the master key.</summary>
    public required string MasterKeyFile { get; init; }

    /// <summary>True if the file was named, and is therefore not made when it is missing.</summary>
    public bool MasterKeyFileIsNamed { get; init; }

    /// <summary>Id of the newest sealing and token key, 1 to 255: one more than before rotates them.</summary>
    public byte KeyGeneration { get; init; } = 1;

    /// <summary>Proxies whose word on the client's address is taken: addresses and networks.</summary>
    public IReadOnlyList<IPNetwork> TrustedProxies { get; init; } = [];

    /// <summary>Reads them from a configuration.</summary>
    /// <exception cref="StartupException">One of them is wrong.</exception>
    public static ServiceSettings Read(IConfiguration configuration)
    {
        var section = configuration.GetSection(Section);
        if (section.AsEnumerable(makePathsRelative: true).FirstOrDefault(setting => setting.Value is not null && !IsKnown(setting.Key)).Key is { } unknown)
        {
            throw new StartupException($"There is no setting {Section}:{unknown}.");
        }

        var dataDirectory = Path.GetFullPath(section["DataDirectory"] is { Length: > 0 } given ? given : DefaultDataDirectory());
        var keyFile = section["MasterKeyFile"];
        if (keyFile is { Length: > 0 } && section["MasterKey"] is { Length: > 0 })
        {
            throw new StartupException($"{Section}:MasterKey and {Section}:MasterKeyFile are both set; set one of them.");
        }

        return new ServiceSettings
        {
            ConnectionString = configuration.GetConnectionString("Ledger"),
            DataDirectory = dataDirectory,
            PublicUrl = ReadPublicUrl(section["PublicUrl"]),
            MasterKey = section["MasterKey"] is { Length: > 0 } key ? key : null,
            MasterKeyFile = keyFile is { Length: > 0 } ? Path.GetFullPath(keyFile) : Path.Combine(dataDirectory, "master.key"),
            MasterKeyFileIsNamed = keyFile is { Length: > 0 },
            KeyGeneration = ReadGeneration(section["KeyGeneration"]),
            TrustedProxies = [.. ReadList(section.GetSection("TrustedProxies")).Select(ReadProxy)],
        };
    }

    private static bool IsKnown(string setting) => Known.Any(known =>
        setting.Equals(known, StringComparison.OrdinalIgnoreCase) || setting.StartsWith($"{known}:", StringComparison.OrdinalIgnoreCase));

    /// <summary>
    /// Where data lies unless a setting says otherwise: with the user's own application data, and for root where
    /// services keep theirs, which the account that runs PostgreSQL can reach.
    /// </summary>
    private static string DefaultDataDirectory() =>
        Environment.IsPrivilegedProcess && !OperatingSystem.IsWindows()
            ? "/var/lib/consentledger"
            : Path.Combine(
                Environment.GetFolderPath(Environment.SpecialFolder.LocalApplicationData, Environment.SpecialFolderOption.Create), "consentledger");

    private static Uri? ReadPublicUrl(string? text)
    {
        if (string.IsNullOrWhiteSpace(text))
        {
            return null;
        }

        return Uri.TryCreate(text, UriKind.Absolute, out var url) && url.Scheme is "http" or "https" && url.Query.Length == 0 && url.Fragment.Length == 0
            ? url
            : throw new StartupException($"{Section}:PublicUrl is not an http or https URL such as https://consent.example.org.");
    }

    private static byte ReadGeneration(string? text) =>
        string.IsNullOrWhiteSpace(text) ? (byte)1
        : byte.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var generation) && generation > 0 ? generation
        : throw new StartupException($"{Section}:KeyGeneration is a number from 1 to 255.");

    /// <summary>A list as configuration has them: an array, or one text with commas.</summary>
    private static IEnumerable<string> ReadList(IConfigurationSection section) =>
        section.Value is { } text
            ? text.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries)
            : section.GetChildren().Select(child => child.Value ?? string.Empty);

    private static IPNetwork ReadProxy(string text) =>
        IPNetwork.TryParse(text, out var network) ? network
        : IPAddress.TryParse(text, out var address) ? new IPNetwork(address, address.GetAddressBytes().Length * 8)
        : throw new StartupException($"{Section}:TrustedProxies holds something that is no IP address and no network such as 10.0.0.0/8.");
}
