using ConsentLedger.Client;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using MailKit.Net.Smtp;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using MimeKit;

namespace ConsentLedger.Tests.Clients;

public sealed class GuardedSenderTests(TestDatabase databases)
{
    [Fact]
    public async Task It_sends_with_the_headers_to_whom_it_may_and_to_nobody_else()
    {
        await using var scene = await Scene.StartAsync(databases);
        using var message = Message("ada@museum.example");

        (await scene.Sender().SendAsync(message, "newsletter")).ShouldBeOfType<Permission>();
        (await scene.Sender().SendAsync(Message("bob@museum.example"), "newsletter")).ShouldBeOfType<Refusal>().Reason.ShouldBe("unknown");

        var taken = scene.Smtp.Mails.ShouldHaveSingleItem();
        taken.Message.Headers["List-Unsubscribe-Post"].ShouldBe("List-Unsubscribe=One-Click");
        taken.Message.Headers["List-Id"].ShouldBe("<newsletter.consent.example>");

        // What the mail program would post to works: the next message is not sent.
        var link = new Uri(taken.Message.Headers["List-Unsubscribe"]!.Trim('<', '>'));
        using var oneClick = new FormUrlEncodedContent([KeyValuePair.Create("List-Unsubscribe", "One-Click")]);
        (await scene.Service.Client.PostAsync(link.AbsolutePath, oneClick, TestContext.Current.CancellationToken)).EnsureSuccessStatusCode();
        (await scene.Sender().SendAsync(Message("ada@museum.example"), "newsletter")).ShouldBeOfType<Refusal>().Reason.ShouldBe("withdrawn");
        scene.Smtp.Mails.Count.ShouldBe(1);
    }

    [Fact]
    public async Task While_the_ledger_is_away_nothing_is_sent()
    {
        await using var scene = await Scene.StartAsync(databases);
        await scene.Service.CutDatabaseAsync(databases);

        var sending = scene.Sender().SendAsync(Message("ada@museum.example"), "newsletter");
        while (!sending.IsCompleted)
        {
            // It asks again a few times, by this clock.
            scene.Clock.Advance(TimeSpan.FromSeconds(1));
            await Task.Delay(10, TestContext.Current.CancellationToken);
        }

        await Should.ThrowAsync<ConsentLedgerException>(() => sending);
        await scene.Service.JoinDatabaseAsync(databases);
        scene.Smtp.Commands.ShouldNotContain(command => command.StartsWith("MAIL", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_message_to_several_to_nobody_or_signed_too_early_is_not_sent()
    {
        await using var scene = await Scene.StartAsync(databases);
        var copied = Message("ada@museum.example");
        copied.Bcc.Add(MailboxAddress.Parse("bob@museum.example"));
        var signed = Message("ada@museum.example");
        signed.Headers.Add(HeaderId.DkimSignature, "v=1; a=rsa-sha256");

        foreach (var message in new[] { copied, signed, Message("ada@museum.example", "bob@museum.example"), Message() })
        {
            await Should.ThrowAsync<ArgumentException>(() => scene.Sender().SendAsync(message, "newsletter"));
        }

        scene.Smtp.Mails.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_permission_is_for_one_address_and_for_now()
    {
        await using var scene = await Scene.StartAsync(databases);
        var permission = (Permission)await scene.Ledger.CheckAsync("ada@museum.example", "newsletter");

        await Should.ThrowAsync<ArgumentException>(() => scene.Sender().SendAsync(Message("bob@museum.example"), permission));
        scene.Clock.Advance(TimeSpan.FromMinutes(14));
        await scene.Sender().SendAsync(Message("ada@museum.example"), permission);
        scene.Clock.Advance(TimeSpan.FromMinutes(2));
        await Should.ThrowAsync<InvalidOperationException>(() => scene.Sender().SendAsync(Message("ada@museum.example"), permission));

        scene.Smtp.Mails.Count.ShouldBe(1);
    }

    [Fact]
    public async Task It_signs_after_the_headers_and_sends_to_the_envelope_that_was_asked_about()
    {
        await using var scene = await Scene.StartAsync(databases);
        string? seen = null;
        var message = Message("Ada <ada@museum.example>");

        // A message that is re-sent goes elsewhere than its To says, and that is who has to be asked about.
        message.ResentTo.Add(MailboxAddress.Parse("mallory@museum.example"));
        message.ResentFrom.Add(MailboxAddress.Parse("news@museum.example"));

        (await scene.Sender().SendAsync(message, "newsletter")).Address.ShouldBe("mallory@museum.example");
        scene.Smtp.Mails.ShouldBeEmpty();

        await scene.Sender(sign: finished => seen = finished.Headers["List-Unsubscribe"]).SendAsync(Message("Ada <ada@museum.example>"), "newsletter");

        seen.ShouldStartWith("<https://consent.example/u/");
        scene.Smtp.Commands.Where(command => command.StartsWith("RCPT", StringComparison.Ordinal)).ShouldHaveSingleItem().ShouldContain("<ada@museum.example>");
    }

    private static MimeMessage Message(params string[] to)
    {
        var message = new MimeMessage { Subject = "News", Body = new TextPart("plain") { Text = "The new gallery is open." } };
        message.From.Add(MailboxAddress.Parse("news@museum.example"));
        message.To.AddRange(to.Select(MailboxAddress.Parse));
        return message;
    }

    private sealed class Scene(TestService service, ServiceProvider program, FakeTimeProvider clock, SmtpSink smtp, SmtpClient client) : IAsyncDisposable
    {
        public TestService Service => service;

        public SmtpSink Smtp => smtp;

        public FakeTimeProvider Clock => clock;

        public ConsentLedgerClient Ledger => program.Ledger();

        /// <summary>Ada may be written to.</summary>
        public static async Task<Scene> StartAsync(TestDatabase databases)
        {
            var service = await TestService.StartAsync(databases);
            await service.PurposeAsync();
            await service.EventAsync("ada@museum.example");
            var clock = new FakeTimeProvider();
            var key = await service.CreateKeyAsync([Scope.ChecksRead]);
            var program = DotNetClientScene.ClientAt(service.Url.AbsoluteUri, key, services => services.AddSingleton<TimeProvider>(clock));
            var smtp = SmtpSink.Start();
            var client = new SmtpClient();
            await client.ConnectAsync("127.0.0.1", smtp.Port);
            return new Scene(service, program, clock, smtp, client);
        }

        public GuardedSender Sender(Action<MimeMessage>? sign = null) => new(Ledger, client, sign);

        public async ValueTask DisposeAsync()
        {
            await client.DisconnectAsync(quit: true);
            client.Dispose();
            smtp.Dispose();
            await program.DisposeAsync();
            await service.DisposeAsync();
        }
    }
}
