using System.Text;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using ConsentLedger.Ledger;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.Unsubscribe;
using MimeKit;

namespace ConsentLedger.Tests.SignUps;

/// <summary>A website with a form, and what people do with it and with the mail that follows.</summary>
internal static partial class SignUpScene
{
    public const string Ada = "ada@example.org";
    public const string Site = "https://museum.example";
    public const string FormType = "application/x-www-form-urlencoded";

    /// <summary>A service with a purpose, its notice, and a form for it.</summary>
    public static async Task<TestService> StartAsync(TestDatabase databases, SmtpSink sink, JsonObject? purpose = null, string language = "en", int perMinute = 100_000)
    {
        var service = await TestService.StartAsync(databases, MailScene.To(sink, ("SignUps:PerNetworkPerMinute", $"{perMinute}"), ("Controller:Name", "The Museum")));
        await service.PurposeAsync(with: purpose);
        await service.NoticeAsync();
        await service.FormAsync(language);
        return service;
    }

    public static async Task FormAsync(this TestService service, string language = "en", params string[] purposes) =>
        (await service.PutAsync("/v1/forms/website", Form(language, purposes))).IsSuccessStatusCode.ShouldBeTrue();

    /// <summary>A form that asks for some work first, on the usual site or another.</summary>
    public static async Task ChallengingFormAsync(this TestService service, string key = "website", string site = Site, string language = "en")
    {
        var form = Form(language);
        form["challenge"] = true;
        form["origins"] = new JsonArray(site);
        form["returnUrls"] = new JsonArray($"{site}/thank-you");
        (await service.PutAsync($"/v1/forms/{key}", form)).IsSuccessStatusCode.ShouldBeTrue();
    }

    public static JsonObject Form(string language = "en", params string[] purposes) => new()
    {
        ["purposes"] = new JsonArray([.. (purposes.Length == 0 ? ["newsletter"] : purposes).Select(key => (JsonNode)key)]),
        ["origins"] = new JsonArray(Site),
        ["returnUrls"] = new JsonArray($"{Site}/thank-you"),
        ["language"] = language,
        ["fields"] = new JsonArray("firstName"),
    };

    /// <summary>Sends the form as a browser does.</summary>
    public static async Task<HttpResponseMessage> SignUpAsync(this TestService service, string address = Ada, params (string Name, string Value)[] more)
    {
        using var content = new FormUrlEncodedContent([new("address", address), .. more.Select(field => new KeyValuePair<string, string>(field.Name, field.Value))]);
        return await service.SendBareAsync(HttpMethod.Post, "/signup/website", "text/html", "en", content, "Browser/1.0");
    }

    /// <summary>Sends JSON as a script on a site does.</summary>
    public static async Task<HttpResponseMessage> SignUpFromAsync(this TestService service, string origin, JsonObject body, HttpMethod? method = null)
    {
        using var request = new HttpRequestMessage(method ?? HttpMethod.Post, "/signup/website");
        request.Headers.TryAddWithoutValidation("Origin", origin);
        if (method is null)
        {
            request.Content = new StringContent(body.ToJsonString(), Encoding.UTF8, "application/json");
        }

        return await service.Client.SendAsync(request);
    }

    /// <summary>Waits until nothing that was received is left to be looked into.</summary>
    public static Task SettledAsync(this TestService service) =>
        MailScene.UntilAsync(async () => (long)(await service.SqlAsync("select count(*) from sign_up where status = 'received'"))! == 0, "looked into");

    /// <summary>Waits for so many mails, and returns the last.</summary>
    public static async Task<MimeMessage> MailAsync(this SmtpSink sink, int count = 1)
    {
        await MailScene.UntilAsync(() => sink.Mails.Count >= count, $"{count} mails taken");
        sink.Mails.Count.ShouldBe(count);
        return sink.Mails.Last().Message;
    }

    /// <summary>The path of the link that a mail asks to open.</summary>
    public static string ConfirmPath(this MimeMessage mail) => new Uri(ConfirmLink().Match(mail.TextBody!).Value).PathAndQuery;

    /// <summary>The kinds of a subscriber's events, newest first.</summary>
    public static async Task<string> KindsAsync(this TestService service, string address = Ada) =>
        string.Join(' ', (await service.HistoryAsync(address)).Select(one => one.Kind));

    public static string Said(this ConsentEvent one) => Encoding.UTF8.GetString(one.Evidence!.Canonical);

    [GeneratedRegex(@"https://consent\.example/confirm/\S+")]
    private static partial Regex ConfirmLink();
}
