using System.Collections.Concurrent;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using ConsentLedger.Tests.Hosting;
using MimeKit;

namespace ConsentLedger.Tests.Mail;

/// <summary>
/// A small SMTP server (RFC 5321) that keeps what it takes and refuses what it is told to: EHLO, STARTTLS with a
/// certificate made for it, AUTH PLAIN, MAIL, RCPT, DATA, RSET, NOOP, QUIT.
/// </summary>
internal sealed class SmtpSink : IDisposable
{
    private readonly TcpListener listener;
    private readonly ConcurrentBag<TcpClient> clients = [];
    private readonly X509Certificate2? certificate;
    private int connections;

    private SmtpSink(int port, X509Certificate2? certificate)
    {
        this.certificate = certificate;
        listener = new TcpListener(IPAddress.Loopback, port);
        listener.Start();
        Port = ((IPEndPoint)listener.LocalEndpoint).Port;
        _ = AcceptAsync();
    }

    public int Port { get; }

    /// <summary>How often somebody connected.</summary>
    public int Connections => connections;

    /// <summary>What it took, in order.</summary>
    public ConcurrentQueue<Taken> Mails { get; } = [];

    /// <summary>Every command it was sent, in order, with the answers to AUTH left out.</summary>
    public ConcurrentQueue<string> Commands { get; } = [];

    /// <summary>What to answer to RCPT for an address; null to take it.</summary>
    public Func<string, string?> Recipients { get; set; } = _ => null;

    /// <summary>What to answer once a message was sent; null to take it.</summary>
    public Func<string?> Messages { get; set; } = () => null;

    /// <summary>What AUTH PLAIN has to carry; null where nobody need log in.</summary>
    public (string User, string Password)? Login { get; set; }

    /// <summary>Starts one, on a free port or a given one.</summary>
    public static SmtpSink Start(int port = 0, X509Certificate2? certificate = null) => new(port, certificate);

    /// <summary>A certificate for this machine that nobody trusts unless told to; it is good whatever the time is.</summary>
    public static X509Certificate2 MakeCertificate(string host = "localhost")
    {
        using var key = RSA.Create(2048);
        var request = new CertificateRequest($"CN={host}", key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1);
        var names = new SubjectAlternativeNameBuilder();
        names.AddDnsName(host);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        using var made = request.CreateSelfSigned(TestService.Start.AddYears(-50), TestService.Start.AddYears(50));
        return X509CertificateLoader.LoadPkcs12(made.Export(X509ContentType.Pfx), null);
    }

    /// <summary>Goes away, as a server does that is shut down: whoever is connected is cut off.</summary>
    public void Dispose()
    {
        listener.Dispose();
        foreach (var client in clients)
        {
            client.Dispose();
        }
    }

    private async Task AcceptAsync()
    {
        try
        {
            while (true)
            {
                var client = await listener.AcceptTcpClientAsync();
                clients.Add(client);
                Interlocked.Increment(ref connections);
                _ = ServeAsync(client);
            }
        }
        catch (Exception end) when (end is SocketException or ObjectDisposedException or InvalidOperationException)
        {
            // It went away.
        }
    }

    private async Task ServeAsync(TcpClient client)
    {
        try
        {
            using (client)
            {
                await ConverseAsync(client.GetStream());
            }
        }
        catch (Exception end) when (end is IOException or ObjectDisposedException or InvalidOperationException or System.Security.Authentication.AuthenticationException)
        {
            // The client hung up, or would not have the certificate.
        }
    }

    private async Task ConverseAsync(Stream stream)
    {
        var encrypted = false;
        var recipients = new List<string>();
        var reader = new StreamReader(stream, Encoding.Latin1);
        await SayAsync("220 localhost ready");
        while (await reader.ReadLineAsync() is { } command)
        {
            var verb = command.Split(' ')[0].ToUpperInvariant();
            Commands.Enqueue(verb == "AUTH" ? verb : command);
            switch (verb)
            {
                case "EHLO":
                    var offers = certificate is not null && !encrypted ? "250-STARTTLS\r\n" : Login is null ? "" : "250-AUTH PLAIN\r\n";
                    await SayAsync($"250-localhost\r\n{offers}250 8BITMIME");
                    break;
                case "STARTTLS":
                    await SayAsync("220 go on");
                    var secure = new SslStream(stream);
                    await secure.AuthenticateAsServerAsync(certificate!);
                    (stream, encrypted, reader) = (secure, true, new StreamReader(secure, Encoding.Latin1));
                    break;
                case "AUTH":
                    var sent = Encoding.UTF8.GetString(Convert.FromBase64String(command.Split(' ')[^1])).Split('\0');
                    await SayAsync(Login == (sent[1], sent[2]) ? "235 welcome" : "535 no");
                    break;
                case "MAIL":
                    recipients.Clear();
                    await SayAsync("250 ok");
                    break;
                case "RCPT":
                    var recipient = command.Split('<', '>')[1];
                    recipients.Add(recipient);
                    await SayAsync(Recipients(recipient) ?? "250 ok");
                    break;
                case "DATA":
                    await SayAsync("354 go on");
                    var data = new StringBuilder();
                    while (await reader.ReadLineAsync() is { } line && line != ".")
                    {
                        data.Append(line.StartsWith('.') ? line[1..] : line).Append("\r\n");
                    }

                    var refusal = Messages();
                    if (refusal is null)
                    {
                        Mails.Enqueue(new Taken(recipients[^1], data.ToString(), encrypted));
                    }

                    await SayAsync(refusal ?? "250 taken");
                    break;
                case "QUIT":
                    await SayAsync("221 bye");
                    return;
                default:
                    await SayAsync("250 ok");
                    break;
            }
        }

        Task SayAsync(string answer) => stream.WriteAsync(Encoding.ASCII.GetBytes(answer + "\r\n")).AsTask();
    }

    /// <summary>A mail it took.</summary>
    internal sealed record Taken(string Recipient, string Source, bool Encrypted)
    {
        public MimeMessage Message => MimeMessage.Load(new MemoryStream(Encoding.Latin1.GetBytes(Source)));
    }
}
