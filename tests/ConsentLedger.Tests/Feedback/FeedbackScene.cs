using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Feedback;

/// <summary>Sets a scene with mail providers in it.</summary>
internal static class FeedbackScene
{
    public const string MailgunKey = "key-3ax6xnjp29jd6fds4gc373sgvjxteol0";

    /// <summary>What a provider's documentation shows that it sends.</summary>
    public static JsonNode Payload(string name) =>
        JsonNode.Parse(File.ReadAllText(Repository.PathOf("tests", "ConsentLedger.Tests", "Feedback", "Payloads", name)))!;

    /// <summary>Sends a body as it is, byte for byte.</summary>
    public static async Task<HttpResponseMessage> SendRawAsync(
        this TestService service, string path, string body, string contentType = "application/json", AuthenticationHeaderValue? authorization = null,
        params (string Name, string Value)[] headers)
    {
        using var request = new HttpRequestMessage(HttpMethod.Post, path);
        request.Content = new StringContent(body, Encoding.UTF8, contentType);
        request.Headers.Authorization = authorization ?? service.Client.DefaultRequestHeaders.Authorization;
        foreach (var (name, value) in headers)
        {
            request.Headers.TryAddWithoutValidation(name, value);
        }

        return await service.Client.SendAsync(request);
    }

    public static Task<HttpResponseMessage> ReportAsync(this TestService service, params JsonObject[] events) =>
        service.PostAsync("/v1/feedback/generic", new JsonObject { ["events"] = new JsonArray([.. events]) });

    public static JsonObject Report(string address, string kind = "hard-bounce", string? id = null, DateTimeOffset? at = null)
    {
        var report = new JsonObject { ["address"] = address, ["kind"] = kind };
        if (id is not null)
        {
            report["id"] = id;
        }

        if (at is { } time)
        {
            report["occurredAt"] = time.UtcDateTime.ToString("O");
        }

        return report;
    }

    /// <summary>A message as Mailgun signs it.</summary>
    public static JsonObject Mailgun(JsonNode data, DateTimeOffset at, string token = "643aa3f7af958d600468e583a7ffd17ee07e3a12a9af092a01", string key = MailgunKey)
    {
        var timestamp = $"{at.ToUnixTimeSeconds()}";
        return new JsonObject
        {
            ["signature"] = new JsonObject
            {
                ["timestamp"] = timestamp,
                ["token"] = token,
                ["signature"] = Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(key), Encoding.UTF8.GetBytes(timestamp + token))),
            },
            ["event-data"] = data.DeepClone(),
        };
    }

    /// <summary>The counts of an answer, in words.</summary>
    public static string Counts(this JsonNode answer) => string.Join(' ', answer.AsObject()
        .Where(member => member.Key is not ("received" or "problems") && member.Value!.GetValue<int>() > 0)
        .Select(member => $"{member.Key} {member.Value}"));

    public static async Task<string> SendAndCountAsync(this Task<HttpResponseMessage> answer) => (await answer.ReadAsync()).Counts();

    /// <summary>How many suppressed events there are, of this address or of all.</summary>
    public static async Task<long> SuppressedAsync(this TestService service) =>
        (long)(await service.SqlAsync("select count(*) from consent_event where kind = 'suppressed' and source_kind = 'feedback'"))!;
}
