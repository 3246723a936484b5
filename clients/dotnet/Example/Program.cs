// Sends a line of text to every address that may be written to for a purpose:
//   CONSENTLEDGER_URL=http://localhost:8080 CONSENTLEDGER_KEY=clk_… dotnet run -- newsletter localhost 1025 ada@example.org bob@example.org
using System.Globalization;
using ConsentLedger.Client;
using MailKit.Net.Smtp;
using MailKit.Security;
using Microsoft.Extensions.DependencyInjection;
using MimeKit;

if (args is not [var purpose, var host, var port, .. var addresses])
{
    Console.Error.WriteLine("Say which purpose, the mail server's host and port, and the addresses.");
    return 2;
}

await using var services = new ServiceCollection()
    .AddConsentLedger(options =>
    {
        options.Url = new Uri(Environment.GetEnvironmentVariable("CONSENTLEDGER_URL") ?? "http://localhost:8080");
        options.Key = Environment.GetEnvironmentVariable("CONSENTLEDGER_KEY");
    })
    .BuildServiceProvider();
var ledger = services.GetRequiredService<ConsentLedgerClient>();

using var smtp = new SmtpClient();
await smtp.ConnectAsync(host, int.Parse(port, CultureInfo.InvariantCulture), SecureSocketOptions.Auto);
var sender = new GuardedSender(ledger, smtp);
await foreach (var verdict in ledger.CheckManyAsync(addresses, purpose))
{
    if (verdict is Permission permission)
    {
        using var message = new MimeMessage();
        message.From.Add(MailboxAddress.Parse("Museum <news@museum.example>"));
        message.To.Add(MailboxAddress.Parse(permission.Address));
        message.Subject = "News from the museum";
        message.Body = new TextPart("plain") { Text = "The new gallery is open." };
        await sender.SendAsync(message, permission);
        Console.WriteLine($"{permission.Address}: sent ({permission.Reason})");
    }
    else
    {
        Console.WriteLine($"{verdict.Address}: not sent ({verdict.Reason})");
    }
}

await smtp.DisconnectAsync(quit: true);
return 0;
