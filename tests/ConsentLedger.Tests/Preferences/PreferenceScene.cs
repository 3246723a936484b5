using System.Net;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.Unsubscribe;
using MimeKit;

namespace ConsentLedger.Tests.Preferences;

/// <summary>Somebody with a link to their choices, and what they do there.</summary>
internal static partial class PreferenceScene
{
    public const string Ada = "ada@example.org";

    /// <summary>A service with two purposes, each with its wording.</summary>
    public static async Task<TestService> StartAsync(TestDatabase databases, SmtpSink sink, JsonObject? newsletter = null, int perMinute = 100_000)
    {
        var service = await TestService.StartAsync(databases, MailScene.To(sink, ("SignUps:PerNetworkPerMinute", $"{perMinute}"), ("Controller:Name", "The Museum")));
        await service.PurposeAsync(with: newsletter);
        await service.NoticeAsync();
        await service.PurposeAsync("events", with: new JsonObject { ["name"] = "Events & talks", ["description"] = "What is on, four times a year." });
        await service.NoticeAsync("events");
        return service;
    }

    /// <summary>As <see cref="StartAsync"/>, with Ada's consent to the newsletter, a year old.</summary>
    public static async Task<TestService> SubscribedAsync(TestDatabase databases, SmtpSink sink, JsonObject? newsletter = null)
    {
        var service = await StartAsync(databases, sink, newsletter);
        await service.GiveAsync();
        return service;
    }

    public static Task<JsonNode> GiveAsync(this TestService service, string address = Ada, string purpose = "newsletter", string kind = "given", DateTimeOffset? occurredAt = null) =>
        service.EventAsync(address, kind, purpose, occurredAt ?? TestService.Start.AddYears(-1), new JsonObject { ["notice"] = new JsonObject { ["version"] = 1 } });

    /// <summary>The path of the link that the API makes.</summary>
    public static async Task<string> PreferencesAsync(this TestService service, string address = Ada)
    {
        var link = await service.PostAsync("/v1/preference-links", new JsonObject { ["address"] = address }).ReadAsync();
        return new Uri(link.Text("url")).AbsolutePath;
    }

    /// <summary>What a person reads on a page.</summary>
    public static async Task<string> ReadPageAsync(this Task<HttpResponseMessage> response, HttpStatusCode status = HttpStatusCode.OK)
    {
        var answer = await response;
        var page = WebUtility.HtmlDecode(await answer.TextAsync());
        answer.StatusCode.ShouldBe(status, page);
        return page;
    }

    /// <summary>Presses a button of the page.</summary>
    public static Task<HttpResponseMessage> PressAsync(this TestService service, string path, params (string Name, string Value)[] fields) =>
        service.PostBareAsync(path, new FormUrlEncodedContent(fields.Select(field => new KeyValuePair<string, string>(field.Name, field.Value))));

    /// <summary>What the page's undo button sends; null if there is none.</summary>
    public static string? UndoOf(string page) => UndoField().Match(page) is { Success: true } found ? found.Groups[1].Value : null;

    /// <summary>Asks for the link as the page does.</summary>
    public static async Task<HttpResponseMessage> AskForLinkAsync(this TestService service, string address = Ada, params (string Name, string Value)[] more)
    {
        using var content = new FormUrlEncodedContent([new("address", address), .. more.Select(field => new KeyValuePair<string, string>(field.Name, field.Value))]);
        return await service.SendBareAsync(HttpMethod.Post, "/preferences", "text/html", "en", content);
    }

    /// <summary>Waits until every request for a link was looked into.</summary>
    public static Task LookedIntoAsync(this TestService service) =>
        MailScene.UntilAsync(async () => (long)(await service.SqlAsync("select count(*) from preference_request"))! == 0, "looked into");

    /// <summary>The path of the link in a mail.</summary>
    public static string PreferencesPath(this MimeMessage mail) => new Uri(Link().Match(mail.TextBody!).Value).AbsolutePath;

    /// <summary>The path of the link in a mail to a new address.</summary>
    public static string MovePath(this MimeMessage mail) => new Uri(MoveLink().Match(mail.TextBody!).Value).AbsolutePath;

    [GeneratedRegex(@"https://consent\.example/address/\S+")]
    private static partial Regex MoveLink();

    [GeneratedRegex("""name="undo" value="([^"]+)""")]
    private static partial Regex UndoField();

    [GeneratedRegex(@"https://consent\.example/preferences/\S+")]
    private static partial Regex Link();
}
