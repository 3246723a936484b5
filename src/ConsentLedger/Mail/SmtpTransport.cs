using System.Globalization;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography.X509Certificates;
using MailKit;
using MailKit.Net.Smtp;
using MailKit.Security;
using MimeKit;

namespace ConsentLedger.Mail;

/// <summary>
/// Hands mails to a server over SMTP. One connection carries any number of mails, until there are none left; with
/// STARTTLS or TLS nothing is said before it is encrypted to a server whose certificate is trusted for its name.
/// </summary>
internal sealed class SmtpTransport(SmtpSettings settings) : IMailTransport
{
    // Longer than any server that means to answer; RFC 5321 §4.5.3.2 would wait minutes, and so would everybody's mail.
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60);

    private SmtpClient? client;

    public async Task<Handover> SendAsync(MimeMessage message, CancellationToken cancellation)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        deadline.CancelAfter(Patience);
        await ConnectAsync(deadline.Token, cancellation);
        try
        {
            var options = FormatOptions.Default.Clone();
            options.International = message.To.Mailboxes.Any(mailbox => !System.Text.Ascii.IsValid(mailbox.LocalPart));
            await client!.SendAsync(options, message, deadline.Token);
            return new Handover(HandoverResult.Accepted);
        }
        catch (SmtpCommandException refusal) when (IsAboutThisMail(refusal))
        {
            var code = (int)refusal.StatusCode;
            return new Handover(code >= 500 ? HandoverResult.Never : HandoverResult.Later, code);
        }
        catch (NotSupportedException)
        {
            // An address in letters that this server can't take (RFC 6531); 553 is what it would say.
            return new Handover(HandoverResult.Never, (int)SmtpStatusCode.MailboxNameNotAllowed);
        }
        catch (Exception fault) when (IsServerTrouble(fault, cancellation))
        {
            Drop();
            throw new MailServerException(Reason(fault), duringMail: true, fault);
        }
    }

    public async Task RestAsync(CancellationToken cancellation)
    {
        if (client is { IsConnected: true })
        {
            try
            {
                await client.DisconnectAsync(quit: true, cancellation);
            }
            catch (Exception fault) when (IsServerTrouble(fault, cancellation))
            {
                // It hung up first; everything it took, it took.
            }
        }

        Drop();
    }

    public ValueTask DisposeAsync()
    {
        Drop();
        return default;
    }

    private async Task ConnectAsync(CancellationToken deadline, CancellationToken cancellation)
    {
        if (client is { IsConnected: true })
        {
            return;
        }

        Drop();
        client = new SmtpClient
        {
            // A relay that is set by name is trusted by its certificate; lists of revoked ones are often out of a server's reach.
            CheckCertificateRevocation = false,
        };
        if (settings.Authorities.Count > 0)
        {
            client.ServerCertificateValidationCallback = IsTrusted;
        }

        try
        {
            await client.ConnectAsync(settings.Host, settings.Port, Options(settings.Security), deadline);
            if (settings.User is not null)
            {
                await client.AuthenticateAsync(settings.User, settings.Password!, deadline);
            }
        }
        catch (Exception fault) when (IsServerTrouble(fault, cancellation) || fault is NotSupportedException)
        {
            Drop();
            throw new MailServerException(Reason(fault), duringMail: false, fault);
        }
    }

    private void Drop()
    {
        client?.Dispose();
        client = null;
    }

    private static SecureSocketOptions Options(SmtpSecurity security) => security switch
    {
        SmtpSecurity.Starttls => SecureSocketOptions.StartTls,
        SmtpSecurity.Tls => SecureSocketOptions.SslOnConnect,
        _ => SecureSocketOptions.None,
    };

    /// <summary>The system's authorities, or those of the settings; the name has to be right in any case.</summary>
    private bool IsTrusted(object sender, X509Certificate? certificate, X509Chain? chain, SslPolicyErrors errors)
    {
        if (errors == SslPolicyErrors.None)
        {
            return true;
        }

        if (certificate is null || errors != SslPolicyErrors.RemoteCertificateChainErrors)
        {
            return false;
        }

        using var own = new X509Chain();
        own.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        own.ChainPolicy.CustomTrustStore.AddRange(settings.Authorities);
        own.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        using var server = new X509Certificate2(certificate);
        return own.Build(server);
    }

    /// <summary>
    /// A refusal of the recipient or the message is about the mail. One of the sender, or 421, is about us: every mail
    /// would meet it.
    /// </summary>
    private static bool IsAboutThisMail(SmtpCommandException refusal) =>
        refusal.ErrorCode is SmtpErrorCode.RecipientNotAccepted or SmtpErrorCode.MessageNotAccepted
        && refusal.StatusCode is not (SmtpStatusCode.ServiceNotAvailable or SmtpStatusCode.AuthenticationRequired);

    private static bool IsServerTrouble(Exception fault, CancellationToken cancellation) =>
        fault is SmtpCommandException or SmtpProtocolException or ServiceNotConnectedException or ServiceNotAuthenticatedException
            or System.Security.Authentication.AuthenticationException or MailKit.Security.AuthenticationException or SslHandshakeException
            or IOException or SocketException or TimeoutException
        || (fault is OperationCanceledException && !cancellation.IsCancellationRequested);

    // Never a server's own words: they may repeat an address.
    private static string Reason(Exception fault) => fault switch
    {
        SmtpCommandException refusal => string.Create(CultureInfo.InvariantCulture, $"it refuses with {(int)refusal.StatusCode}"),
        SslHandshakeException => "its certificate is not trusted for its name, or it speaks no TLS there",
        MailKit.Security.AuthenticationException => "it refuses the user name or the password",
        NotSupportedException => "it does not offer what the settings ask for: STARTTLS, or a way to log in",
        OperationCanceledException or TimeoutException => "it does not answer in time",
        _ => $"it can't be reached ({fault.GetType().Name})",
    };
}
