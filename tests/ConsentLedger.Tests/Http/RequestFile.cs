using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Http;

/// <summary>
/// The requests to run from an editor, <c>clients/http/consent-ledger.http</c>: one for each route of the OpenAPI document,
/// with its example, in the order in which somebody new meets them.
/// </summary>
internal static partial class RequestFile
{
    private static readonly string[] Order =
        ["Purposes and notices", "Events", "Checks", "Unsubscribe", "Sign-ups", "Preferences", "Subscribers", "Subject rights", "Retention", "Feedback"];

    private static readonly Dictionary<string, string> Keys = new() { ["purposes"] = "newsletter", ["forms"] = "website", ["webhooks"] = "crm" };

    public static string Of(JsonNode document, JsonSerializerOptions json)
    {
        var text = new StringBuilder("""
            # Requests to run from an editor (VS Code REST Client, Rider, Visual Studio); made from ../openapi.json. Make a key first:
            #   dotnet run --project src/ConsentLedger -- keys create --name "editor" --scope all

            @host = http://localhost:8080
            @key = clk_put-the-key-here
            @id = put-the-id-here
            @token = put-the-token-here

            """.ReplaceLineEndings("\n"));
        var requests =
            from path in document["paths"]!.AsObject()
            from operation in path.Value!.AsObject()
            let tag = operation.Value!["tags"]![0]!.GetValue<string>()
            let place = Array.IndexOf(Order, tag)
            orderby place < 0 ? Order.Length : place, tag
            select (path.Key, Method: operation.Key, Operation: operation.Value!);
        foreach (var (path, method, operation) in requests)
        {
            var (type, body) = Body(operation, json);
            text.Append("\n### ").Append(operation.Text("summary")).Append('\n')
                .Append(method.ToUpperInvariant()).Append(" {{host}}").Append(Fill(path)).Append('\n');
            if (operation["security"] is not null)
            {
                text.Append("Authorization: Bearer {{key}}\n");
            }

            if (body is not null)
            {
                text.Append("Content-Type: ").Append(type).Append("\n\n").Append(body.TrimEnd()).Append('\n');
            }
        }

        return text.ToString();
    }

    /// <summary>What is sent: the example of the first type that has one.</summary>
    private static (string? Type, string? Body) Body(JsonNode operation, JsonSerializerOptions json) =>
        (operation["requestBody"]?["content"] as JsonObject ?? [])
            .Where(body => body.Value!["example"] is not null)
            .Select(body => (body.Key, body.Value!["example"] is JsonValue text ? text.GetValue<string>() : body.Value!["example"]!.ToJsonString(json)))
            .FirstOrDefault();

    /// <summary>A path with its places filled in, as far as anybody can know.</summary>
    private static string Fill(string path) => path switch
    {
        "/v1/checks/stream" => "/v1/checks/stream?purpose=newsletter&links=true",
        "/v1/events/import" => "/v1/events/import?dryRun=true",
        _ => Place().Replace(path, place => place.Groups[2].Value switch
        {
            "key" => $"{place.Groups[1].Value}/{Keys.GetValueOrDefault(place.Groups[1].Value, "put-the-key-here")}",
            "version" => $"{place.Groups[1].Value}/1",
            "token" => $"{place.Groups[1].Value}/{{{{token}}}}",
            _ => $"{place.Groups[1].Value}/{{{{id}}}}",
        }),
    };

    [GeneratedRegex(@"([^/]+)/\{(\w+)\}")]
    private static partial Regex Place();
}
