using System.Globalization;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using ConsentLedger.Database;
using ConsentLedger.Security;
using MimeKit;

namespace ConsentLedger.Mail;

/// <summary>The settings under <c>ConsentLedger:Mail</c>: who mails are from, and the server that takes them.</summary>
/// <param name="From">The sender: <c>museum@example.org</c> or <c>The Museum &lt;museum@example.org&gt;</c>.</param>
/// <param name="Smtp">The server; null to write mails as files.</param>
public sealed record MailSettings(MailboxAddress From, SmtpSettings? Smtp)
{
    private const string Section = "ConsentLedger:Mail";

    /// <summary>Reads them.</summary>
    /// <exception cref="StartupException">One of them is wrong or missing.</exception>
    public static MailSettings Read(IConfiguration configuration, PublicUrl publicUrl)
    {
        var section = configuration.GetSection(Section);
        var smtp = SmtpSettings.Read(section.GetSection("Smtp"));
        var from = section["From"]?.Trim();
        if (string.IsNullOrEmpty(from))
        {
            return smtp is null
                ? new MailSettings(new MailboxAddress(null, $"no-reply@{publicUrl.Host}"), null)
                : throw new StartupException($"{Section}:From is missing: the address that mails are sent from.");
        }

        var sender = from.Any(char.IsControl) || !MailboxAddress.TryParse(from, out var parsed) || !Subscribers.Address.TryParse(parsed.Address, null, out _)
            ? throw new StartupException($"{Section}:From is not a sender such as museum@example.org or The Museum <museum@example.org>.")
            : parsed;
        return new MailSettings(sender, smtp);
    }
}

/// <summary>How the mail server is reached.</summary>
public enum SmtpSecurity
{
    /// <summary>In the clear: for a server on this machine or a trusted network.</summary>
    None,

    /// <summary>Encrypted before anything is sent, or not at all.</summary>
    Starttls,

    /// <summary>Encrypted from the first byte.</summary>
    Tls,
}

/// <summary>The settings under <c>ConsentLedger:Mail:Smtp</c>.</summary>
/// <param name="Host">Its name.</param>
/// <param name="Port">Unless set: 587 with STARTTLS, 465 with TLS, 25 without either.</param>
/// <param name="Security">Unless set: STARTTLS when there is a user to log in as, else none.</param>
/// <param name="User">Who logs in; null for nobody.</param>
/// <param name="Password">With what.</param>
/// <param name="Authorities">Certificates trusted beside the system's, from the PEM file <c>CertificateAuthority</c>.</param>
public sealed record SmtpSettings(
    string Host, int Port, SmtpSecurity Security, string? User, string? Password, X509Certificate2Collection Authorities)
{
    /// <summary>Reads them; null if none is set.</summary>
    /// <exception cref="StartupException">One of them is wrong or missing.</exception>
    internal static SmtpSettings? Read(IConfigurationSection section)
    {
        if (Value(section, "Host") is not { } host)
        {
            return section.GetChildren().Any(child => !string.IsNullOrWhiteSpace(child.Value))
                ? throw new StartupException($"{section.Path}:Host is missing, and other settings of the mail server are there.")
                : null;
        }

        if (Uri.CheckHostName(host) == UriHostNameType.Unknown)
        {
            throw new StartupException($"{section.Path}:Host is not the name of a host such as smtp.example.org.");
        }

        var user = Value(section, "User");
        var password = Value(section, "Password");
        if (user is null != password is null)
        {
            throw new StartupException($"{section.Path}:User and {section.Path}:Password go together: set both or neither.");
        }

        var security = Value(section, "Security") is not { } label
            ? user is null ? SmtpSecurity.None : SmtpSecurity.Starttls
            : Label<SmtpSecurity>.TryParse(label, out var chosen) ? chosen
            : throw new StartupException($"{section.Path}:Security is one of: {string.Join(", ", Label<SmtpSecurity>.All)}.");
        return user is not null && security == SmtpSecurity.None
            ? throw new StartupException($"{section.Path}:Security is none, and the password would cross the network in the clear: set it to starttls or tls.")
            : new SmtpSettings(host, ReadPort(section, security), security, user, password, ReadAuthorities(section));
    }

    /// <summary>Says where the server is, and never the password.</summary>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Host}:{Port}");

    private static int ReadPort(IConfigurationSection section, SmtpSecurity security) =>
        Value(section, "Port") is not { } text
            ? security switch { SmtpSecurity.Starttls => 587, SmtpSecurity.Tls => 465, _ => 25 }
            : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var port) && port is >= 1 and <= 65535 ? port
            : throw new StartupException($"{section.Path}:Port is a number from 1 to 65535.");

    private static X509Certificate2Collection ReadAuthorities(IConfigurationSection section)
    {
        var authorities = new X509Certificate2Collection();
        if (Value(section, "CertificateAuthority") is not { } file)
        {
            return authorities;
        }

        try
        {
            authorities.ImportFromPemFile(file);
        }
        catch (Exception unreadable) when (unreadable is IOException or UnauthorizedAccessException or CryptographicException)
        {
            throw new StartupException($"{section.Path}:CertificateAuthority can't be read as a PEM file: {file}", unreadable);
        }

        return authorities.Count > 0 ? authorities : throw new StartupException($"{section.Path}:CertificateAuthority holds no certificate: {file}");
    }

    private static string? Value(IConfigurationSection section, string name) =>
        section[name]?.Trim() is { Length: > 0 } value ? value : null;
}
