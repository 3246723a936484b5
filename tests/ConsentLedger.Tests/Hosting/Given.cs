using System.Net;
using System.Text.Json.Nodes;

namespace ConsentLedger.Tests.Hosting;

/// <summary>Sets a scene in words.</summary>
internal static class Given
{
    public static async Task<JsonNode> PurposeAsync(this TestService service, string key = "newsletter", string basis = "consent", JsonObject? with = null)
    {
        var purpose = new JsonObject { ["name"] = $"The {key}", ["channel"] = "email", ["basis"] = basis };
        foreach (var (name, value) in with ?? [])
        {
            purpose[name] = value?.DeepClone();
        }

        var response = await service.PutAsync($"/v1/purposes/{key}", purpose);
        return await response.ReadAsync(response.StatusCode == HttpStatusCode.OK ? HttpStatusCode.OK : HttpStatusCode.Created);
    }

    public static Task<JsonNode> NoticeAsync(this TestService service, string purpose = "newsletter", string language = "en") =>
        service.PostAsync($"/v1/purposes/{purpose}/notices", new JsonObject
        {
            ["language"] = language,
            ["statement"] = "Yes, send me the newsletter once a month.",
            ["privacyNoticeUrl"] = "https://museum.example/privacy",
        }).ReadAsync(HttpStatusCode.Created);

    /// <summary>Appends an event and returns the answer.</summary>
    public static Task<JsonNode> EventAsync(
        this TestService service, string address, string kind = "given", string purpose = "newsletter", DateTimeOffset? occurredAt = null, JsonObject? with = null) =>
        service.PostAsync("/v1/events", Event(address, kind, purpose, occurredAt, with)).ReadAsync(HttpStatusCode.Created);

    /// <summary>The body of an event.</summary>
    public static JsonObject Event(string address, string kind = "given", string purpose = "newsletter", DateTimeOffset? occurredAt = null, JsonObject? with = null)
    {
        var body = new JsonObject
        {
            ["address"] = address,
            ["purpose"] = purpose,
            ["kind"] = kind,
            ["source"] = new JsonObject { ["kind"] = "web-form" },
        };
        if (occurredAt is { } time)
        {
            body["occurredAt"] = time.UtcDateTime.ToString("O");
        }

        foreach (var (name, value) in with ?? [])
        {
            body[name] = value?.DeepClone();
        }

        return body;
    }

    /// <summary>Asks whether an address may be written to.</summary>
    public static Task<JsonNode> CheckAsync(this TestService service, string address, string purpose = "newsletter", DateTimeOffset? asOf = null)
    {
        var body = new JsonObject { ["address"] = address, ["purpose"] = purpose };
        if (asOf is { } time)
        {
            body["asOf"] = time.UtcDateTime.ToString("O");
        }

        return service.PostAsync("/v1/checks", body).ReadAsync();
    }

    /// <summary>The reason a check gives.</summary>
    public static async Task<string> ReasonAsync(this TestService service, string address, string purpose = "newsletter", DateTimeOffset? asOf = null) =>
        (await service.CheckAsync(address, purpose, asOf)).Text("reason");
}
