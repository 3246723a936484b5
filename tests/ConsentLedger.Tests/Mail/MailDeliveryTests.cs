using System.Diagnostics;
using System.Net;
using System.Text;
using ConsentLedger.Database;
using ConsentLedger.Mail;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using ConsentLedger.Tests.Hosting;
using Microsoft.Extensions.Configuration;
using Microsoft.Extensions.DependencyInjection;
using MimeKit;

namespace ConsentLedger.Tests.Mail;

public sealed class MailDeliveryTests(TestDatabase databases)
{
    [Fact]
    public async Task A_mail_that_was_committed_is_sent_once_with_its_headers_and_both_its_bodies()
    {
        using var sink = SmtpSink.Start();
        await using var service = await TestService.StartAsync(databases, MailScene.To(sink));

        await service.QueueAsync(subject: "Ydych chi’n siŵr?");

        await service.UntilMailsAsync(1);
        var taken = sink.Mails.ShouldHaveSingleItem();
        taken.Recipient.ShouldBe(MailScene.Ada);
        var message = taken.Message;
        message.From.ToString().ShouldBe("\"The Museum\" <museum@example.org>");
        message.Subject.ShouldBe("Ydych chi’n siŵr?");
        message.Date.ShouldBe(TestService.Start);
        message.MessageId.ShouldEndWith("@consent.example");
        message.Headers[HeaderId.AutoSubmitted].ShouldBe("auto-generated");
        message.Headers.Contains(HeaderId.ListUnsubscribe).ShouldBeFalse();
        message.TextBody!.ShouldContain("Is this you?");
        message.HtmlBody!.ShouldContain("<p>Is this you?</p>");
    }

    [Fact]
    public async Task A_mail_whose_transaction_is_given_up_is_never_sent()
    {
        using var sink = SmtpSink.Start();
        await using var service = await TestService.StartAsync(databases, MailScene.To(sink));

        await service.QueueAsync("never@example.org", commit: false);
        await service.QueueAsync();

        await service.UntilMailsAsync(1);
        sink.Mails.ShouldHaveSingleItem().Recipient.ShouldBe(MailScene.Ada);
    }

    [Fact]
    public async Task Neither_words_nor_recipient_are_readable_in_the_database_and_both_are_gone_once_it_is_sent()
    {
        using var sink = SmtpSink.Start();
        sink.Recipients = _ => "451 not now";
        await using var service = await TestService.StartAsync(databases, MailScene.To(sink));
        await service.QueueAsync();
        await MailScene.UntilAsync(async () => 451.Equals(await service.SqlAsync("select smtp_code from mail_outbox")), "refused");

        var stored = (string)(await service.SqlAsync("select encode(recipient || content, 'escape') from mail_outbox"))!;
        stored.ShouldNotContain("ada@");
        stored.ShouldNotContain("Is this you");
        sink.Recipients = _ => null;
        service.Later(TimeSpan.FromMinutes(1));

        await service.UntilMailsAsync(1);
        (await service.SqlAsync("select recipient is null and content is null from mail_outbox")).ShouldBe(true);
    }

    [Fact]
    public async Task A_refusal_for_now_is_tried_again_ever_later_under_the_same_Message_ID()
    {
        using var sink = SmtpSink.Start();
        var refusals = 2;
        sink.Messages = () => refusals-- > 0 ? "451 not now" : null;
        await using var service = await TestService.StartAsync(databases, MailScene.To(sink));
        await service.QueueAsync();
        var delays = new List<double>();

        for (var attempt = 1; attempt <= 2; attempt++)
        {
            await MailScene.UntilAsync(
                async () => (string?)await service.SqlAsync("select attempts || ':' || (next_attempt_at < created_at + interval '9 minutes') from mail_outbox") == $"{attempt}:true", "put off");
            var next = new DateTimeOffset((DateTime)(await service.SqlAsync("select next_attempt_at from mail_outbox"))!, TimeSpan.Zero);
            delays.Add((next - service.Clock.GetUtcNow()).TotalSeconds);
            service.Later(next - service.Clock.GetUtcNow());
        }

        await service.UntilMailsAsync(1);
        delays[0].ShouldBeInRange(15, 30);
        delays[1].ShouldBeInRange(30, 60);
        sink.Mails.ShouldHaveSingleItem().Message.MessageId.ShouldBe((string)(await service.SqlAsync("select message_id from mail_outbox"))!);
    }

    [Fact]
    public async Task A_refusal_for_good_sets_the_mail_aside_and_shows_its_code_and_never_its_address()
    {
        using var sink = SmtpSink.Start();
        sink.Recipients = recipient => recipient.StartsWith("gone", StringComparison.Ordinal) ? $"550 no such user {recipient}" : null;
        await using var service = await TestService.StartAsync(databases, MailScene.To(sink));
        await service.QueueAsync("gone-for-good@example.org");
        await service.QueueAsync();

        await service.UntilMailsAsync(1, "poison");
        await service.UntilMailsAsync(1);

        var shown = await service.GetAsync("/v1/mail").ReadAsync();
        var poison = shown["items"]!.AsArray().ShouldHaveSingleItem()!;
        poison.Text("status").ShouldBe("poison");
        poison["smtpCode"]!.GetValue<int>().ShouldBe(550);
        poison["attempts"]!.GetValue<int>().ShouldBe(1);
        shown.ToJsonString().ShouldNotContain("gone-for");
        SuiteLog.Lines.ShouldNotContain(line => line.Contains("gone-for-good", StringComparison.Ordinal));
        service.Later(TimeSpan.FromSeconds(6));
        await MailScene.UntilAsync(async () => (await service.GetAsync("/health/ready").ReadAsync())["mail"]!["poison"]!.GetValue<int>() == 1, "shown in health");
        (await service.GetAsync("/v1/mail?status=waiting").ReadAsync())["items"]!.AsArray().ShouldBeEmpty();
        (await service.GetAsync("/v1/mail?status=all")).StatusCode.ShouldBe(HttpStatusCode.BadRequest);
        (await service.GetAsync("/v1/mail", await service.CreateKeyAsync([Scope.ChecksRead]))).StatusCode.ShouldBe(HttpStatusCode.Forbidden);
    }

    [Fact]
    public async Task A_hundred_mails_that_waited_for_a_server_that_was_away_are_each_sent_once_over_few_connections()
    {
        int port;
        using (var reserved = SmtpSink.Start())
        {
            port = reserved.Port;
        }

        await using var service = await TestService.StartAsync(databases, builder =>
        {
            builder.Configuration["ConsentLedger:Mail:From"] = "museum@example.org";
            builder.Configuration["ConsentLedger:Mail:Smtp:Host"] = "localhost";
            builder.Configuration["ConsentLedger:Mail:Smtp:Port"] = $"{port}";
        });
        for (var i = 0; i < 100; i++)
        {
            await service.QueueAsync($"reader{i}@example.org");
        }

        await MailScene.UntilAsync(() => SuiteLog.Lines.Any(line => line.Contains("Mails wait, because the mail server can't be used", StringComparison.Ordinal)), "away");
        using var sink = SmtpSink.Start(port);
        await MailScene.UntilAsync(
            async () =>
            {
                service.Later(TimeSpan.FromSeconds(10));
                await Task.Delay(100);
                return sink.Connections > 0;
            },
            "the server is asked again");
        await service.UntilMailsAsync(100);

        sink.Mails.Select(mail => mail.Recipient).Order().ShouldBe(Enumerable.Range(0, 100).Select(i => $"reader{i}@example.org").Order());
        sink.Connections.ShouldBeLessThan(5);
    }

    [Fact]
    public async Task Two_instances_send_each_mail_once()
    {
        using var sink = SmtpSink.Start();
        await using var service = await TestService.StartAsync(databases, MailScene.To(sink));
        await using var other = await TestService.StartAsync(service.ConnectionString, service.Keys, service.Clock, MailScene.To(sink));

        await Parallel.ForAsync(0, 60, TestContext.Current.CancellationToken, async (i, _) => await (i % 2 == 0 ? service : other).QueueAsync($"reader{i}@example.org"));

        await service.UntilMailsAsync(60);
        sink.Mails.Count.ShouldBe(60);
        sink.Mails.Select(mail => mail.Message.MessageId).ShouldBeUnique();
    }

    [Fact]
    public async Task A_mail_that_a_crash_left_half_sent_is_sent_again_under_the_same_Message_ID()
    {
        using var sink = SmtpSink.Start();
        await using var service = await TestService.StartAsync(databases, MailScene.To(sink));
        await using (var connection = await service.Database.Service.OpenConnectionAsync(TestContext.Current.CancellationToken))
        {
            // Queued and taken by an instance that died after the server had taken it: it was never marked.
            await service.Services.GetRequiredService<MailOutbox>().EnqueueAsync(
                connection,
                new OutgoingMail { Kind = "test", Recipient = Address.Parse(MailScene.Ada, provider: null), Subject = "Hello", Text = "x", Html = "x" },
                CancellationToken.None);
            await service.SqlAsync("update mail_outbox set attempts = 1, next_attempt_at = created_at + interval '10 minutes' where attempts = 0");
        }

        service.Later(TimeSpan.FromMinutes(9));
        service.Later(TimeSpan.FromMinutes(2));

        await service.UntilMailsAsync(1);
        sink.Mails.ShouldHaveSingleItem().Message.MessageId.ShouldBe((string)(await service.SqlAsync("select message_id from mail_outbox"))!);
    }

    [Fact]
    public async Task Over_STARTTLS_nothing_is_said_before_it_is_encrypted_and_a_certificate_nobody_trusts_is_refused()
    {
        using var certificate = SmtpSink.MakeCertificate();
        using var sink = SmtpSink.Start(certificate: certificate);
        sink.Login = ("museum", "secret");
        await using (var wary = await TestService.StartAsync(
            databases, MailScene.To(sink, ("Mail:Smtp:User", "museum"), ("Mail:Smtp:Password", "secret"))))
        {
            await wary.QueueAsync();
            await MailScene.UntilAsync(() => SuiteLog.Lines.Any(line => line.Contains("its certificate is not trusted", StringComparison.Ordinal)), "refused");
            sink.Mails.ShouldBeEmpty();
            sink.Commands.ShouldNotContain("AUTH");
        }

        await using var service = await TestService.StartAsync(
            databases,
            MailScene.To(sink, ("Mail:Smtp:User", "museum"), ("Mail:Smtp:Password", "secret"), ("Mail:Smtp:CertificateAuthority", Pem(certificate))));
        await service.QueueAsync();

        await service.UntilMailsAsync(1);
        sink.Mails.ShouldHaveSingleItem().Encrypted.ShouldBeTrue();
        sink.Commands.ShouldContain("AUTH");
    }

    [Fact]
    public async Task A_server_that_offers_no_encryption_gets_no_password()
    {
        using var sink = SmtpSink.Start();
        sink.Login = ("museum", "secret");
        await using var service = await TestService.StartAsync(
            databases, MailScene.To(sink, ("Mail:Smtp:User", "museum"), ("Mail:Smtp:Password", "secret")));

        await service.QueueAsync();

        await MailScene.UntilAsync(() => SuiteLog.Lines.Any(line => line.Contains("it does not offer what the settings ask for", StringComparison.Ordinal)), "refused");
        sink.Commands.ShouldNotContain("AUTH");
        sink.Mails.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_mail_goes_through_a_real_server_over_STARTTLS()
    {
        using var certificate = SmtpSink.MakeCertificate();
        await using var server = await DebianSmtpServer.StartAsync(certificate);
        await using var service = await TestService.StartAsync(databases, builder =>
        {
            builder.Configuration["ConsentLedger:Mail:From"] = "museum@example.org";
            builder.Configuration["ConsentLedger:Mail:Smtp:Host"] = "localhost";
            builder.Configuration["ConsentLedger:Mail:Smtp:Port"] = $"{server.Port}";
            builder.Configuration["ConsentLedger:Mail:Smtp:Security"] = "starttls";
            builder.Configuration["ConsentLedger:Mail:Smtp:CertificateAuthority"] = server.CertificateFile;
        });

        await service.QueueAsync(subject: "Ydych chi’n siŵr?");
        await service.QueueAsync("refused@example.org");

        await service.UntilMailsAsync(1);
        await service.UntilMailsAsync(1, "poison");
        var message = (await server.MailsAsync()).ShouldHaveSingleItem();
        message.Subject.ShouldBe("Ydych chi’n siŵr?");
        message.To.ToString().ShouldBe(MailScene.Ada);
    }

    [Fact]
    public async Task Without_a_server_mails_are_files_that_only_the_account_can_read()
    {
        await using var service = await TestService.StartAsync(databases);

        await service.QueueAsync();

        await service.UntilMailsAsync(1);
        var file = Directory.GetFiles(Path.Combine(service.DataDirectory, "mail")).ShouldHaveSingleItem();
        file.ShouldEndWith(".eml");
        using var message = await MimeMessage.LoadAsync(file, TestContext.Current.CancellationToken);
        message.To.ToString().ShouldBe(MailScene.Ada);
        message.From.ToString().ShouldBe("no-reply@consent.example");
        if (!OperatingSystem.IsWindows())
        {
            File.GetUnixFileMode(file).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
        }
    }

    [Theory, InlineData("Hello\r\nBcc: all@example.org"), InlineData("Hello\nBcc: all@example.org"), InlineData("Hello\u2028Bcc: x"), InlineData("Hello\0")]
    public void A_subject_can_not_become_another_header(string subject) =>
        Should.Throw<ArgumentException>(() => new OutgoingMail
        {
            Kind = "test",
            Recipient = Address.Parse(MailScene.Ada, provider: null),
            Subject = subject,
            Text = "",
            Html = "",
        });

    [Theory]
    [InlineData("Mail:From is missing", "Smtp:Host=smtp.example.org")]
    [InlineData("Mail:From is not a sender", "From=museum", "Smtp:Host=smtp.example.org")]
    [InlineData("Mail:From is not a sender", "From=museum@example.org\r\nBcc: x@example.org")]
    [InlineData("Smtp:Host is missing", "From=museum@example.org", "Smtp:Port=25")]
    [InlineData("Smtp:Host is not the name", "From=museum@example.org", "Smtp:Host=not a host")]
    [InlineData("Smtp:Port is a number", "From=museum@example.org", "Smtp:Host=smtp.example.org", "Smtp:Port=zero")]
    [InlineData("Smtp:Security is one of", "From=museum@example.org", "Smtp:Host=smtp.example.org", "Smtp:Security=ssl")]
    [InlineData("go together", "From=museum@example.org", "Smtp:Host=smtp.example.org", "Smtp:User=museum")]
    [InlineData("in the clear", "From=museum@example.org", "Smtp:Host=smtp.example.org", "Smtp:User=m", "Smtp:Password=p", "Smtp:Security=none")]
    public void A_wrong_setting_stops_the_start_with_one_line(string expected, params string[] settings)
    {
        var configuration = new ConfigurationBuilder()
            .AddInMemoryCollection(settings.Select(setting => setting.Split('=', 2)).ToDictionary(pair => $"ConsentLedger:Mail:{pair[0]}", pair => (string?)pair[1]))
            .Build();

        var refusal = Should.Throw<StartupException>(() => MailSettings.Read(configuration, new PublicUrl(new Uri("https://consent.example"))));

        refusal.Message.ShouldContain(expected);
        refusal.Message.ShouldNotContain('\n');
    }

    private static string Pem(System.Security.Cryptography.X509Certificates.X509Certificate2 certificate)
    {
        var file = Path.GetTempFileName();
        File.WriteAllText(file, certificate.ExportCertificatePem());
        return file;
    }

    /// <summary>aiosmtpd from Debian's packages, which keeps what it takes as files and refuses one address.</summary>
    private sealed class DebianSmtpServer : IAsyncDisposable
    {
        private const string Script = """
            import asyncio, itertools, os, ssl, sys
            from aiosmtpd.smtp import SMTP
            folder, port = sys.argv[1], int(sys.argv[2])
            class Keep:
                count = itertools.count()
                async def handle_RCPT(self, server, session, envelope, address, options):
                    if address.startswith('refused'):
                        return '550 no such user'
                    envelope.rcpt_tos.append(address)
                    return '250 OK'
                async def handle_DATA(self, server, session, envelope):
                    name = os.path.join(folder, '%d' % next(self.count))
                    open(name + '.new', 'wb').write(envelope.content)
                    os.rename(name + '.new', name + '.eml')
                    return '250 OK'
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(os.path.join(folder, 'cert.pem'), os.path.join(folder, 'key.pem'))
            async def main():
                loop = asyncio.get_running_loop()
                server = await loop.create_server(lambda: SMTP(Keep(), tls_context=context, require_starttls=True), '127.0.0.1', port)
                async with server:
                    await server.serve_forever()
            asyncio.run(main())
            """;

        private readonly DirectoryInfo folder;
        private readonly Process process;

        private DebianSmtpServer(DirectoryInfo folder, Process process, int port)
        {
            this.folder = folder;
            this.process = process;
            Port = port;
        }

        public int Port { get; }

        public string CertificateFile => Path.Combine(folder.FullName, "cert.pem");

        public static async Task<DebianSmtpServer> StartAsync(System.Security.Cryptography.X509Certificates.X509Certificate2 certificate)
        {
            const string Package = "/usr/lib/python3/dist-packages/aiosmtpd";
            Assert.SkipUnless(Directory.Exists(Package), "Install python3-aiosmtpd from Debian's packages.");
            int port;
            using (var reserved = SmtpSink.Start())
            {
                port = reserved.Port;
            }

            var folder = Directory.CreateTempSubdirectory("consentledger-tests-");
            using (var key = System.Security.Cryptography.X509Certificates.RSACertificateExtensions.GetRSAPrivateKey(certificate)!)
            {
                await File.WriteAllTextAsync(Path.Combine(folder.FullName, "key.pem"), key.ExportRSAPrivateKeyPem());
            }

            await File.WriteAllTextAsync(Path.Combine(folder.FullName, "cert.pem"), certificate.ExportCertificatePem());
            await File.WriteAllTextAsync(Path.Combine(folder.FullName, "server.py"), Script, new UTF8Encoding(false));
            var process = Process.Start(new ProcessStartInfo("/usr/bin/python3", [Path.Combine(folder.FullName, "server.py"), folder.FullName, $"{port}"]))!;
            var server = new DebianSmtpServer(folder, process, port);
            await MailScene.UntilAsync(
                async () =>
                {
                    using var client = new System.Net.Sockets.TcpClient();
                    try
                    {
                        await client.ConnectAsync(IPAddress.Loopback, port);
                        return true;
                    }
                    catch (System.Net.Sockets.SocketException)
                    {
                        return false;
                    }
                },
                "aiosmtpd listens");
            return server;
        }

        public async Task<List<MimeMessage>> MailsAsync()
        {
            var mails = new List<MimeMessage>();
            foreach (var file in folder.GetFiles("*.eml"))
            {
                mails.Add(await MimeMessage.LoadAsync(file.FullName));
            }

            return mails;
        }

        public async ValueTask DisposeAsync()
        {
            process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
            folder.Delete(recursive: true);
        }
    }
}
