using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.PersonalData;

/// <summary>Asks for what the rights of a person ask for.</summary>
internal static class Erasures
{
    public static Task<JsonNode> EraseAsync(this TestService service, string address, string reason = "Asked by letter") =>
        service.PostAsync("/v1/subscribers/erase", new JsonObject { ["address"] = address, ["reason"] = reason }).ReadAsync();

    public static Task<JsonNode> RectifyAsync(this TestService service, string address, string newAddress) =>
        service.PostAsync("/v1/subscribers/rectify", new JsonObject { ["address"] = address, ["newAddress"] = newAddress }).ReadAsync();

    /// <summary>Imports one row, and returns the report.</summary>
    public static async Task<JsonNode> ImportAsync(this TestService service, string address, string kind, DateTimeOffset occurredAt, string query = "", string version = "")
    {
        using var content = new StringContent($"address,purpose,kind,occurredAt,noticeVersion\n{address},newsletter,{kind},{occurredAt.UtcDateTime:O},{version}\n");
        content.Headers.ContentType = new("text/csv");
        return await (await service.Client.PostAsync($"/v1/events/import{query}", content)).ReadAsync(HttpStatusCode.OK);
    }
}
