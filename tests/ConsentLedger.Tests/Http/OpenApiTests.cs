using System.Net;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;
using ConsentLedger.Http;
using ConsentLedger.Tests.Hosting;
using Microsoft.AspNetCore.Http.Metadata;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace ConsentLedger.Tests.Http;

public sealed class OpenApiTests(TestDatabase databases)
{
    private static readonly string[] Writing = ["post", "put", "patch"];

    // As the file reads in a review: indented by two, and an apostrophe as an apostrophe.
    private static readonly JsonSerializerOptions OnFile = new() { WriteIndented = true, NewLine = "\n", Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    [Fact]
    public async Task The_document_is_OpenAPI_3_1_and_public()
    {
        await using var service = await TestService.StartAsync(databases);

        var document = await service.GetAsync("/openapi/v1.json", key: "none").ReadAsync();

        document.Text("openapi").ShouldStartWith("3.1.");
        document["servers"]![0]!.Text("url").ShouldBe("https://consent.example");
        document["components"]!["securitySchemes"]!["apiKey"]!.Text("scheme").ShouldBe("bearer");
        document.ToJsonString().ShouldNotContain("FACTS");
    }

    [Fact]
    public async Task Every_route_is_in_it_with_a_name_a_summary_a_tag_and_examples()
    {
        await using var service = await TestService.StartAsync(databases);
        var operations = Operations(await service.GetAsync("/openapi/v1.json").ReadAsync());
        var lacking = new List<string>();

        foreach (var (path, method, endpoint) in Routes(service))
        {
            if (!operations.TryGetValue((path, method), out var operation))
            {
                lacking.Add($"{method} {path}");
                continue;
            }

            foreach (var member in new[] { "operationId", "summary" })
            {
                AddIf(operation[member] is null, $"{method} {path}: {member}");
            }

            AddIf(operation["tags"]?[0] is null, $"{method} {path}: tag");
            AddIf(operation["requestBody"]?["content"] is JsonObject sent && !sent.Any(body => body.Value!["example"] is not null), $"{method} {path}: example of a request");
            var answer = operation["responses"]!.AsObject().First(response => response.Key.StartsWith('2')).Value!;

            // Whoever signs up is told nothing: the answer is {}, and an empty example is not written.
            AddIf(path != "/v1/signups" && answer["content"] is JsonObject received && !received.Any(body => body.Value!["example"] is not null), $"{method} {path}: example of an answer");
            AddIf(endpoint.Metadata.GetMetadata<AcceptedIdempotencyKey>() is not null != HasParameter(operation, "Idempotency-Key"), $"{method} {path}: Idempotency-Key");
        }

        lacking.ShouldBeEmpty();
        operations.Values.Select(operation => operation.Text("operationId")).ShouldBeUnique();

        void AddIf(bool lacks, string what)
        {
            if (lacks)
            {
                lacking.Add(what);
            }
        }
    }

    [Fact]
    public async Task Every_refusal_that_can_be_met_is_in_it()
    {
        await using var service = await TestService.StartAsync(databases);
        var operations = Operations(await service.GetAsync("/openapi/v1.json").ReadAsync());

        foreach (var (path, method, endpoint) in Routes(service).Where(route => operations.ContainsKey((route.Path, route.Method))))
        {
            var operation = operations[(path, method)];
            var refusals = operation["responses"]!.AsObject().Where(response => response.Key[0] is '4' or '5').ToList();
            refusals.ShouldAllBe(response => response.Value!["content"]!["application/problem+json"]!["schema"]!.Text("$ref") == "#/components/schemas/Problem");
            var statuses = refusals.Select(response => response.Key).ToHashSet();
            if (endpoint.Metadata.GetMetadata<RequiredScope>() is { Scope: var scope })
            {
                new[] { "401", "403", "503" }.ShouldBeSubsetOf(statuses, $"{method} {path}");
                operation.Text("description").ShouldContain($"`{scope}`");
                operation["security"]![0]!["apiKey"].ShouldNotBeNull();
            }

            if (operation["requestBody"] is not null || HasParameter(operation, "limit"))
            {
                statuses.ShouldContain("400", $"{method} {path}");
            }

            endpoint.Metadata.GetOrderedMetadata<Refusals>().SelectMany(refused => refused.Types).Select(type => $"{type.Status}").ShouldBeSubsetOf(statuses);
        }
    }

    [Fact]
    public async Task Every_example_of_a_request_is_one_that_is_read()
    {
        await using var service = await TestService.StartAsync(databases);
        var operations = Operations(await service.GetAsync("/openapi/v1.json").ReadAsync());
        var json = service.Services.GetRequiredService<IOptions<Microsoft.AspNetCore.Http.Json.JsonOptions>>().Value.SerializerOptions;
        var read = 0;

        foreach (var (path, method, endpoint) in Routes(service).Where(route => Writing.Contains(route.Method)))
        {
            if (operations.GetValueOrDefault((path, method))?["requestBody"]?["content"]?["application/json"]?["example"] is { } example
                && endpoint.Metadata.GetMetadata<IAcceptsMetadata>()?.RequestType is { } type)
            {
                JsonSerializer.Deserialize(example.ToJsonString(), type, json).ShouldNotBeNull($"{method} {path}");
                read++;
            }
        }

        read.ShouldBeGreaterThanOrEqualTo(3);
        (await service.PutAsync("/v1/purposes/newsletter", Example("/v1/purposes/{key}", "put"))).StatusCode.ShouldBe(HttpStatusCode.Created);
        (await service.PostAsync("/v1/purposes/newsletter/notices", Example("/v1/purposes/{key}/notices", "post"))).StatusCode.ShouldBe(HttpStatusCode.Created);
        (await service.PostAsync("/v1/keys", Example("/v1/keys", "post"))).StatusCode.ShouldBe(HttpStatusCode.Created);

        JsonNode Example(string path, string method) => operations[(path, method)]["requestBody"]!["content"]!["application/json"]!["example"]!;
    }

    [Fact]
    public async Task Every_member_has_a_type_and_a_description()
    {
        await using var service = await TestService.StartAsync(databases);
        var document = await service.GetAsync("/openapi/v1.json").ReadAsync();
        var schemas = document["components"]!["schemas"]!.AsObject();

        var lacking = schemas
            .SelectMany(schema => (schema.Value!["properties"] as JsonObject ?? []).Select(member => (Name: $"{schema.Key}.{member.Key}", Schema: member.Value!)))
            .Where(member => (member.Schema["type"] ?? member.Schema["$ref"] ?? member.Schema["oneOf"]) is null
                || (member.Schema["description"] ?? member.Schema["oneOf"]?[1]?["description"]) is null)
            .Select(member => member.Name)
            .Except(["EventView.notice"]); // It is two things, a reference or the whole notice, and is declared as an object.

        lacking.ShouldBeEmpty();
        schemas["Channel"]!["enum"]!.AsArray().Select(value => value!.GetValue<string>()).ShouldBe(["email", "sms", "phone", "post"]);
        schemas["Period"]!.Text("format").ShouldBe("duration");
        schemas["Period"]!.Text("type").ShouldBe("string");
        schemas["KeyView"]!["properties"]!["id"]!.Text("format").ShouldBe("uuid");
        schemas["KeyView"]!["properties"]!["createdAt"]!.Text("format").ShouldBe("date-time");
        schemas["KeyRequest"]!["properties"]!["name"]!.Text("type").ShouldBe("string");
        schemas["PurposeRequest"]!["properties"]!["channel"]!.Text("$ref").ShouldBe("#/components/schemas/Channel");
    }

    [Fact]
    public async Task The_document_on_file_and_the_requests_made_from_it_are_those_of_the_service()
    {
        await using var service = await TestService.StartAsync(databases);
        var document = Sorted(await service.GetAsync("/openapi/v1.json").ReadAsync());
        await CompareAsync("openapi.json", document.ToJsonString(OnFile) + "\n");
        await CompareAsync(Path.Combine("http", "consent-ledger.http"), RequestFile.Of(document, OnFile));
    }

    /// <summary>Holds a file under <c>clients</c> against what it has to be, or writes it.</summary>
    private static async Task CompareAsync(string name, string live)
    {
        var path = Repository.PathOf("clients", name);
        if (Environment.GetEnvironmentVariable("UPDATE_OPENAPI") == "1")
        {
            await File.WriteAllTextAsync(path, live, TestContext.Current.CancellationToken);
        }

        var onFile = File.Exists(path) ? await File.ReadAllTextAsync(path, TestContext.Current.CancellationToken) : "";
        var difference = live.Split('\n').Except(onFile.Split('\n')).Select(line => "+ " + line)
            .Concat(onFile.Split('\n').Except(live.Split('\n')).Select(line => "- " + line));
        (onFile == live).ShouldBeTrue(
            $"clients/{name} is stale: a route, a record or its comment changed. Write it anew, look at the difference and commit it:\n"
            + "    UPDATE_OPENAPI=1 dotnet test --filter-class \"*OpenApiTests\"\n" + string.Join('\n', difference.Take(50)));
    }

    [Fact]
    public async Task Swagger_UI_is_served_from_here_alone()
    {
        await using var service = await TestService.StartAsync(databases);

        (await service.GetAsync("/swagger")).StatusCode.ShouldBe(HttpStatusCode.MovedPermanently);
        var page = await service.GetAsync("/swagger/index.html");

        var html = await page.Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        html.ShouldContain("swagger-ui");
        html.ShouldNotContain("http");
        var policy = page.Headers.GetValues("Content-Security-Policy").Single();
        policy.ShouldContain("default-src 'none'");
        policy.ShouldContain("script-src 'self';");
        (await service.GetAsync("/swagger/swagger-ui-bundle.js")).StatusCode.ShouldBe(HttpStatusCode.OK);
        var start = await (await service.GetAsync("/swagger/index.js")).Content.ReadAsStringAsync(TestContext.Current.CancellationToken);
        start.ShouldContain("../openapi/v1.json");
    }

    /// <summary>Paths, schemas and statuses by name, so that the order in which features are mapped is nobody's difference.</summary>
    private static JsonObject Sorted(JsonNode document)
    {
        var sorted = document.DeepClone().AsObject();
        Sort(sorted, "paths");
        Sort(sorted["components"]!.AsObject(), "schemas");
        sorted["tags"] = new JsonArray([.. sorted["tags"]!.AsArray().Select(tag => tag!.DeepClone()).OrderBy(tag => tag.Text("name"), StringComparer.Ordinal)]);
        return sorted;

        static void Sort(JsonObject parent, string name) =>
            parent[name] = new JsonObject(parent[name]!.AsObject().OrderBy(member => member.Key, StringComparer.Ordinal).Select(member => KeyValuePair.Create(member.Key, member.Value?.DeepClone())));
    }

    private static bool HasParameter(JsonNode operation, string name) =>
        operation["parameters"]?.AsArray().Any(parameter => parameter!.Text("name") == name) == true;

    private static Dictionary<(string Path, string Method), JsonNode> Operations(JsonNode document) =>
        document["paths"]!.AsObject()
            .SelectMany(path => path.Value!.AsObject().Select(operation => (path.Key, operation)))
            .ToDictionary(pair => (pair.Key, pair.operation.Key), pair => pair.operation.Value!);

    /// <summary>Every route under <c>/v1</c>, as the document writes its path.</summary>
    private static IEnumerable<(string Path, string Method, RouteEndpoint Endpoint)> Routes(TestService service) =>
        from endpoint in service.Services.GetRequiredService<EndpointDataSource>().Endpoints.OfType<RouteEndpoint>()
        where endpoint.RoutePattern.RawText!.StartsWith("/v1/", StringComparison.Ordinal)
        from method in endpoint.Metadata.GetRequiredMetadata<IHttpMethodMetadata>().HttpMethods
        select (Plain(endpoint.RoutePattern.RawText!), method.ToLowerInvariant(), endpoint);

    private static string Plain(string pattern) =>
        System.Text.RegularExpressions.Regex.Replace(pattern, @":\w+\}", "}").TrimEnd('/');
}
