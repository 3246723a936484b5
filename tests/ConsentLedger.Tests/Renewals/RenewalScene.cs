using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using ConsentLedger.Renewals;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using Microsoft.Extensions.DependencyInjection;
using MimeKit;

namespace ConsentLedger.Tests.Renewals;

/// <summary>A newsletter whose consents last a year and are renewed, and somebody whose consent runs out in twenty days.</summary>
internal static partial class RenewalScene
{
    public const string Ada = "ada@example.org";

    /// <summary>When Ada's consent runs out.</summary>
    public static readonly DateTimeOffset RunsOut = TestService.Start.AddDays(20);

    /// <summary>A service with the purpose and its notice.</summary>
    public static async Task<TestService> StartAsync(TestDatabase databases, SmtpSink sink, string language = "en", JsonObject? more = null)
    {
        var service = await TestService.StartAsync(databases, MailScene.To(sink, ("SignUps:PerNetworkPerMinute", "100000"), ("Controller:Name", "The Museum")));
        await service.RenewedPurposeAsync(more: more);
        await service.NoticeAsync(language: language);
        return service;
    }

    /// <summary>As <see cref="StartAsync"/>, with Ada's consent.</summary>
    public static async Task<TestService> AgreedAsync(TestDatabase databases, SmtpSink sink, string language = "en", JsonObject? more = null)
    {
        var service = await StartAsync(databases, sink, language, more);
        await service.AgreeAsync();
        return service;
    }

    public static async Task RenewedPurposeAsync(this TestService service, string key = "newsletter", JsonObject? more = null)
    {
        var with = new JsonObject { ["consentLifetime"] = "P1Y", ["renewalReminder"] = "P30D" };
        foreach (var (name, value) in more ?? [])
        {
            with[name] = value?.DeepClone();
        }

        await service.PurposeAsync(key, with: with);
    }

    /// <summary>Somebody agreed nearly a year ago.</summary>
    public static Task<JsonNode> AgreeAsync(this TestService service, string address = Ada, string purpose = "newsletter", int? notice = 1, JsonObject? with = null)
    {
        var members = with ?? [];
        if (notice is { } version)
        {
            members["notice"] = new JsonObject { ["version"] = version };
        }

        return service.EventAsync(address, "given", purpose, RunsOut.AddYears(-1), members);
    }

    /// <summary>Sends the reminders that are due.</summary>
    public static async Task RemindAsync(this TestService service) =>
        (await service.Services.GetRequiredService<Reminders>().SendDueAsync(CancellationToken.None)).ShouldBeTrue();

    /// <summary>How many reminders were queued, sent or not, and how many are noted; the two are one number.</summary>
    public static async Task<long> RemindersAsync(this TestService service)
    {
        var counts = (long[])(await service.SqlAsync(
            "select array[(select count(*) from mail_outbox where kind = 'renewal-reminder'), (select count(*) from renewal_reminder)]"))!;
        counts[1].ShouldBe(counts[0]);
        return counts[0];
    }

    /// <summary>The path of the link in a reminder.</summary>
    public static string RenewalPath(this MimeMessage mail) => new Uri(Link().Match(mail.TextBody!).Value).PathAndQuery;

    [GeneratedRegex(@"https://consent\.example/renew/\S+")]
    private static partial Regex Link();
}
