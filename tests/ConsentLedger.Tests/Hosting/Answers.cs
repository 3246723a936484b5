using System.Net;
using System.Text.Json.Nodes;

namespace ConsentLedger.Tests.Hosting;

/// <summary>What a test reads off an answer.</summary>
internal static class Answers
{
    /// <summary>The JSON body, after checking the status; a wrong one shows the body.</summary>
    public static async Task<JsonNode> ReadAsync(this HttpResponseMessage response, HttpStatusCode status = HttpStatusCode.OK)
    {
        var body = await response.Content.ReadAsStringAsync();
        if (response.StatusCode == HttpStatusCode.InternalServerError && status != response.StatusCode)
        {
            body = SuiteLog.Lines.Last(line => line.StartsWith("Error", StringComparison.Ordinal));
        }

        response.StatusCode.ShouldBe(status, body);
        return JsonNode.Parse(body)!;
    }

    /// <summary>As <see cref="ReadAsync(HttpResponseMessage, HttpStatusCode)"/>, for an answer still under way.</summary>
    public static async Task<JsonNode> ReadAsync(this Task<HttpResponseMessage> response, HttpStatusCode status = HttpStatusCode.OK) =>
        await (await response).ReadAsync(status);

    /// <summary>Checks that this is a refusal of that kind (RFC 9457), and returns it.</summary>
    public static async Task<JsonNode> ReadProblemAsync(this HttpResponseMessage response, HttpStatusCode status, string slug)
    {
        var problem = await response.ReadAsync(status);
        response.Content.Headers.ContentType!.MediaType.ShouldBe("application/problem+json");
        problem["type"]!.GetValue<string>().ShouldBe($"https://consent.example/problems/{slug}", problem.ToJsonString());
        problem["status"]!.GetValue<int>().ShouldBe((int)status);
        return problem;
    }

    /// <summary>As <see cref="ReadProblemAsync(HttpResponseMessage, HttpStatusCode, string)"/>, for an answer still under way.</summary>
    public static async Task<JsonNode> ReadProblemAsync(this Task<HttpResponseMessage> response, HttpStatusCode status, string slug) =>
        await (await response).ReadProblemAsync(status, slug);

    /// <summary>Checks that the request was refused as invalid at this path, and returns what was said about it.</summary>
    public static async Task<string> ReadErrorAsync(this Task<HttpResponseMessage> response, string path)
    {
        var problem = await response.ReadProblemAsync(HttpStatusCode.BadRequest, "validation");
        return problem["errors"]![path]?[0]?.GetValue<string>() ?? throw new ShouldAssertException($"No error at {path}: {problem.ToJsonString()}");
    }

    public static string Text(this JsonNode node, string name) => node[name]?.GetValue<string>() ?? throw new ShouldAssertException($"No {name}: {node.ToJsonString()}");
}
