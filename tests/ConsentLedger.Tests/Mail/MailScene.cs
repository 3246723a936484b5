using System.Diagnostics;
using ConsentLedger.Mail;
using ConsentLedger.Subscribers;
using ConsentLedger.Tests.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace ConsentLedger.Tests.Mail;

/// <summary>A service that sends mail, and somebody who gets it.</summary>
internal static class MailScene
{
    public const string Ada = "ada@example.org";

    /// <summary>Sends to this server.</summary>
    public static Action<WebApplicationBuilder> To(SmtpSink sink, params (string Setting, string Value)[] more) => builder =>
    {
        builder.Configuration["ConsentLedger:Mail:From"] = "The Museum <museum@example.org>";
        builder.Configuration["ConsentLedger:Mail:Smtp:Host"] = "localhost";
        builder.Configuration["ConsentLedger:Mail:Smtp:Port"] = $"{sink.Port}";
        foreach (var (setting, value) in more)
        {
            builder.Configuration[$"ConsentLedger:{setting}"] = value;
        }
    };

    /// <summary>Queues a mail in a transaction of its own.</summary>
    public static async Task QueueAsync(this TestService service, string recipient = Ada, string subject = "A question", bool commit = true)
    {
        var outbox = service.Services.GetRequiredService<MailOutbox>();
        await using var connection = await service.Database.Service.OpenConnectionAsync();
        await using var transaction = await connection.BeginTransactionAsync();
        var mail = new OutgoingMail
        {
            Kind = "test",
            Recipient = Address.Parse(recipient, provider: null),
            Subject = subject,
            Text = "Is this you?\n",
            Html = "<p>Is this you?</p>",
        };
        await outbox.EnqueueAsync(connection, mail, CancellationToken.None);
        if (commit)
        {
            await transaction.CommitAsync();
            outbox.Wake();
        }
    }

    /// <summary>Moves the clock and has the outbox looked at.</summary>
    public static void Later(this TestService service, TimeSpan time)
    {
        service.Clock.Advance(time);
        service.Services.GetRequiredService<MailOutbox>().Wake();
    }

    /// <summary>Waits until this is so, at most half a minute unless it takes longer.</summary>
    public static async Task UntilAsync(Func<Task<bool>> isSo, string what, TimeSpan? atMost = null)
    {
        var time = Stopwatch.StartNew();
        while (!await isSo())
        {
            time.Elapsed.ShouldBeLessThan(atMost ?? TimeSpan.FromMinutes(2), what);
            await Task.Delay(20, TestContext.Current.CancellationToken);
        }
    }

    public static Task UntilAsync(Func<bool> isSo, string what) => UntilAsync(() => Task.FromResult(isSo()), what);

    /// <summary>Waits until as many mails have this status.</summary>
    public static Task UntilMailsAsync(this TestService service, int count, string status = "sent") =>
        UntilAsync(async () => await service.CountMailsAsync(status) == count, $"{count} mails {status}");

    public static async Task<long> CountMailsAsync(this TestService service, string status) =>
        (long)(await service.SqlAsync($"select count(*) from mail_outbox where status = '{status}'"))!;
}
