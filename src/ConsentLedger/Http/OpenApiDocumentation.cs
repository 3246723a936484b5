using System.Globalization;
using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using ConsentLedger.Database;
using ConsentLedger.Security;
using Microsoft.AspNetCore.OpenApi;
using Microsoft.Extensions.Options;
using Microsoft.OpenApi;

namespace ConsentLedger.Http;

/// <summary>
/// The OpenAPI 3.1 document at <c>/openapi/v1.json</c>, true to what routes answer because it is made from what they
/// say of themselves: their types and doc comments, <see cref="RequiredScope"/>, <see cref="Refusals"/>,
/// <see cref="AcceptedIdempotencyKey"/> and <see cref="RouteExample"/>. Swagger UI stands at <c>/swagger</c>.
/// </summary>
public static partial class OpenApiDocumentation
{
    private const string Document = "v1";
    private const string ProblemSchema = "Problem";
    private const string BearerScheme = "apiKey";
    private const string BasicScheme = "apiKeyAsPassword";
    private const string ProblemJson = "application/problem+json";

    /// <summary>Describes the routes.</summary>
    public static IServiceCollection AddOpenApiDocumentation(this IServiceCollection services) =>
        services.AddOpenApi(Document, options =>
        {
            options.OpenApiVersion = OpenApiSpecVersion.OpenApi3_1;
            options.AddSchemaTransformer(DescribeType);
            options.AddOperationTransformer(DescribeOperation);
            options.AddDocumentTransformer(DescribeService);
        });

    /// <summary>Maps the document, and Swagger UI on it.</summary>
    public static void MapOpenApiDocumentation(this WebApplication app)
    {
        app.MapOpenApi("/openapi/{documentName}.json");

        // Everything comes from the package, scripts as files of their own; only styles and pictures are inline.
        app.UseWhen(
            context => context.Request.Path.StartsWithSegments("/swagger", StringComparison.Ordinal),
            branch =>
            {
                branch.Use((context, next) =>
                {
                    context.Response.Headers.ContentSecurityPolicy =
                        "default-src 'none'; connect-src 'self'; font-src 'self'; img-src 'self' data:; script-src 'self'; style-src 'self' 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
                    context.Response.Headers.XContentTypeOptions = "nosniff";
                    return next(context);
                });
                branch.UseSwaggerUI(options =>
                {
                    options.DocumentTitle = "ConsentLedger API";
                    options.SwaggerEndpoint($"../openapi/{Document}.json", "ConsentLedger API");

                    // The validator is a third party's, and would be told where this service is.
                    options.EnableValidator(null);
                });
            });
    }

    private static Task DescribeService(OpenApiDocument document, OpenApiDocumentTransformerContext context, CancellationToken cancellation)
    {
        document.Info = new OpenApiInfo
        {
            Title = "ConsentLedger",
            Version = Assembly.GetExecutingAssembly().GetName().Version!.ToString(3),
            Description = "May I write to this address for this purpose, now, and can I prove it later?\n\n"
                + "Times are RFC 3339 in UTC, durations ISO 8601, members camelCase. Unknown members are refused. "
                + "An address is never in a path or a query. Refusals are `application/problem+json` (RFC 9457); their `type` leads to an explanation.",
        };
        document.Servers = [new OpenApiServer { Url = context.ApplicationServices.GetRequiredService<PublicUrl>().ToString() }];
        foreach (var path in document.Paths.Values)
        {
            // HEAD is GET without the body; described apart it would only repeat GET's name.
            path.Operations?.Remove(HttpMethod.Head);
        }

        document.Components ??= new OpenApiComponents();
        document.Components.SecuritySchemes = new Dictionary<string, IOpenApiSecurityScheme>
        {
            [BearerScheme] = new OpenApiSecurityScheme
            {
                Type = SecuritySchemeType.Http,
                Scheme = "bearer",
                BearerFormat = "clk_…",
                Description = "An API key. It has scopes, and may be bound to purposes. Make one with `consentledger keys create` or `POST /v1/keys`.",
            },
            [BasicScheme] = new OpenApiSecurityScheme
            {
                Type = SecuritySchemeType.Http,
                Scheme = "basic",
                Description = "The API key as the password, with any user name: for providers that are only given a URL.",
            },
        };
        document.Components.Schemas ??= new Dictionary<string, IOpenApiSchema>();
        document.Components.Schemas[ProblemSchema] = DescribeProblem();
        foreach (var schema in document.Components.Schemas.Values.OfType<OpenApiSchema>())
        {
            DropCitations(schema);
        }

        var bodies = document.Paths.Values.SelectMany(path => path.Operations?.Values.ToArray() ?? [])
            .SelectMany(operation => operation.RequestBody?.Content?.Values.ToArray() ?? [])
            .Select(body => body.Schema);
        foreach (var body in bodies)
        {
            RequireValues(body, document);
        }

        return Task.CompletedTask;
    }

    /// <summary>The numbered facts are for whoever reads the code.</summary>
    private static void DropCitations(IOpenApiSchema schema)
    {
        schema.Description = schema.Description is { } text ? Citation().Replace(text, string.Empty).Replace(" ()", string.Empty, StringComparison.Ordinal) : null;
        foreach (var property in (schema.Properties?.Values ?? []).Concat(schema.OneOf ?? []))
        {
            DropCitations(property);
        }
    }

    /// <summary>
    /// A member that a request must have can't be null. Its type can: that is how a missing one is told from a default.
    /// </summary>
    private static void RequireValues(IOpenApiSchema? schema, OpenApiDocument document)
    {
        if (schema is OpenApiSchemaReference { Reference.Id: { } id })
        {
            RequireValues(document.Components?.Schemas?[id], document);
            return;
        }

        if (schema is not OpenApiSchema { Properties: { } properties } described)
        {
            return;
        }

        foreach (var (name, property) in properties.ToList())
        {
            var value = property.OneOf?.SingleOrDefault(alternative => alternative.Type != JsonSchemaType.Null) ?? property;
            RequireValues(value.Items ?? value, document);
            if (described.Required?.Contains(name) == true)
            {
                properties[name] = value;
                if (value is OpenApiSchema { Type: { } type } own)
                {
                    own.Type = type & ~JsonSchemaType.Null;
                }
            }
        }
    }

    private static OpenApiSchema DescribeProblem() => new()
    {
        Type = JsonSchemaType.Object,
        Description = "A refusal (RFC 9457). It never repeats what was sent.",
        Required = new HashSet<string> { "type", "title", "status" },
        Properties = new Dictionary<string, IOpenApiSchema>
        {
            ["type"] = new OpenApiSchema { Type = JsonSchemaType.String, Format = "uri", Description = "Which kind it is; the URL of a page that explains it." },
            ["title"] = new OpenApiSchema { Type = JsonSchemaType.String, Description = "The same for every refusal of this kind." },
            ["status"] = new OpenApiSchema { Type = JsonSchemaType.Integer, Format = "int32", Description = "The status of the answer." },
            ["detail"] = new OpenApiSchema { Type = JsonSchemaType.String, Description = "What is the matter in this case." },
            ["scope"] = new OpenApiSchema { Type = JsonSchemaType.String, Description = "For `insufficient-scope`: the scope that the key lacks." },
            ["errors"] = new OpenApiSchema
            {
                Type = JsonSchemaType.Object,
                Description = "For `validation`: what is wrong, by the path of the member, parameter or header.",
                AdditionalProperties = new OpenApiSchema
                {
                    Type = JsonSchemaType.Array,
                    Items = new OpenApiSchema { Type = JsonSchemaType.String },
                },
            },
        },
    };

    /// <summary>Types that are written by converters of their own, which the schema's maker can't see into.</summary>
    private static Task DescribeType(OpenApiSchema schema, OpenApiSchemaTransformerContext context, CancellationToken cancellation)
    {
        var declared = context.JsonTypeInfo.Type;
        var type = Nullable.GetUnderlyingType(declared) ?? declared;
        if (type == typeof(DateTimeOffset))
        {
            schema.Type = declared == type ? JsonSchemaType.String : JsonSchemaType.String | JsonSchemaType.Null;
            schema.Format = "date-time";
        }
        else if (type.IsEnum)
        {
            schema.Type = JsonSchemaType.String;
            schema.Enum = [.. Enum.GetNames(type).Select(name => (JsonNode)JsonNamingPolicy.KebabCaseLower.ConvertName(name))];
        }
        else if (type.GetCustomAttribute<WrittenAsAttribute>() is { } written)
        {
            schema.Type = JsonSchemaType.String;
            schema.Format = written.Format;
            schema.Pattern = written.Pattern;
            schema.Properties?.Clear();
            schema.Required?.Clear();
        }

        return Task.CompletedTask;
    }

    private static Task DescribeOperation(OpenApiOperation operation, OpenApiOperationTransformerContext context, CancellationToken cancellation)
    {
        var metadata = new EndpointMetadataCollection(context.Description.ActionDescriptor.EndpointMetadata);
        if (metadata.GetMetadata<RequiredScope>() is { Scope: var scope })
        {
            operation.Description = string.Join("\n\n", new[] { operation.Description, $"Needs the scope `{scope}`." }.Where(text => !string.IsNullOrEmpty(text)));
            operation.Security = [new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference(BearerScheme, context.Document)] = [] }];
            if (metadata.GetMetadata<KeyAsPassword>() is not null)
            {
                operation.Security.Add(new OpenApiSecurityRequirement { [new OpenApiSecuritySchemeReference(BasicScheme, context.Document)] = [] });
            }
        }

        DescribePaging(operation);
        if (metadata.GetMetadata<AcceptedIdempotencyKey>() is not null)
        {
            DescribeIdempotency(operation);
        }

        AddExamples(operation, metadata, context.ApplicationServices);
        foreach (var refusals in Refused(operation, metadata).GroupBy(type => type.Status).OrderBy(group => group.Key))
        {
            operation.Responses ??= [];
            operation.Responses[refusals.Key.ToString(CultureInfo.InvariantCulture)] = DescribeRefusal([.. refusals], operation, context);
        }

        if (operation.Responses?.GetValueOrDefault("201") is OpenApiResponse created)
        {
            created.Headers = new Dictionary<string, IOpenApiHeader>
            {
                ["Location"] = new OpenApiHeader { Description = "Where it is.", Schema = new OpenApiSchema { Type = JsonSchemaType.String, Format = "uri-reference" } },
            };
        }

        return Task.CompletedTask;
    }

    private static void DescribePaging(OpenApiOperation operation)
    {
        foreach (var parameter in (operation.Parameters ?? []).OfType<OpenApiParameter>().Where(parameter => parameter.In == ParameterLocation.Query))
        {
            if (parameter is { Name: "limit", Schema: OpenApiSchema schema })
            {
                parameter.Description ??= "How many to list.";
                schema.Minimum = "1";
                schema.Maximum = Page<object>.MaxLimit.ToString(CultureInfo.InvariantCulture);
            }
            else if (parameter.Name == "cursor")
            {
                parameter.Description ??= "Where to go on: the `nextCursor` of the page before.";
            }
        }
    }

    private static void DescribeIdempotency(OpenApiOperation operation)
    {
        operation.Parameters ??= [];
        operation.Parameters.Add(new OpenApiParameter
        {
            Name = IdempotencyKeyHeader.Name,
            In = ParameterLocation.Header,
            Description = "Names this request, so that it can be sent again: within 24 hours the same request under the same key is answered as it was the first time, with `Idempotency-Replayed: true`, and not carried out again. A string in quotes or a bare token; a random UUID serves well.",
            Schema = new OpenApiSchema { Type = JsonSchemaType.String, MinLength = 1, MaxLength = 257 },
            Example = "\"8e03978e-40d5-43e8-bc93-6894a57f9324\"",
        });
    }

    /// <summary>What the route says it refuses with, and what follows from what it takes.</summary>
    private static IEnumerable<ProblemType> Refused(OpenApiOperation operation, EndpointMetadataCollection metadata)
    {
        var types = metadata.GetOrderedMetadata<Refusals>().SelectMany(refusals => refusals.Types).ToList();
        if (operation.RequestBody is not null)
        {
            types.AddRange([ProblemType.Validation, ProblemType.UnsupportedMediaType]);
            if (metadata.GetMetadata<StreamedBody>() is null)
            {
                types.Add(ProblemType.PayloadTooLarge);
            }
        }

        if (operation.Parameters?.Any(parameter => parameter.In is ParameterLocation.Query) == true)
        {
            types.Add(ProblemType.Validation);
        }

        if (metadata.GetMetadata<RequiredScope>() is not null)
        {
            types.AddRange([ProblemType.Internal, ProblemType.LedgerUnavailable]);
        }

        return types.Distinct();
    }

    private static OpenApiResponse DescribeRefusal(ProblemType[] types, OpenApiOperation operation, OpenApiOperationTransformerContext context)
    {
        var publicUrl = context.ApplicationServices.GetRequiredService<PublicUrl>();
        var response = new OpenApiResponse
        {
            Description = string.Join(" Or: ", types.Select(type => $"{type.Title} (`{type.Slug}`).")),
            Content = new Dictionary<string, OpenApiMediaType>
            {
                [ProblemJson] = new OpenApiMediaType
                {
                    Schema = new OpenApiSchemaReference(ProblemSchema, context.Document),
                    Examples = types.ToDictionary(
                        type => type.Slug,
                        type => (IOpenApiExample)new OpenApiExample { Summary = type.Title, Value = Example(type, publicUrl, operation) }),
                },
            },
        };
        if (types.Any(type => type == ProblemType.IdempotencyKeyInFlight || type.Status is 429 or 503))
        {
            response.Headers = new Dictionary<string, IOpenApiHeader>
            {
                ["Retry-After"] = new OpenApiHeader { Description = "In how many seconds to try again.", Schema = new OpenApiSchema { Type = JsonSchemaType.Integer, Format = "int32" } },
            };
        }

        return response;
    }

    private static JsonObject Example(ProblemType type, PublicUrl publicUrl, OpenApiOperation operation)
    {
        var problem = new JsonObject
        {
            ["type"] = publicUrl.Link($"/problems/{type.Slug}"),
            ["title"] = type.Title,
            ["status"] = type.Status,
        };
        if (type == ProblemType.Validation)
        {
            problem["errors"] = operation.RequestBody is null
                ? new JsonObject { ["limit"] = new JsonArray("This is 1 to 1000.") }
                : new JsonObject { ["colour"] = new JsonArray("There is no such member.") };
        }
        else if (type == ProblemType.InsufficientScope)
        {
            problem["scope"] = Security.Scope.PurposesWrite;
        }

        return problem;
    }

    private static void AddExamples(OpenApiOperation operation, EndpointMetadataCollection metadata, IServiceProvider services)
    {
        if (metadata.GetMetadata<RouteExample>() is not { } example)
        {
            return;
        }

        var json = services.GetRequiredService<IOptions<Microsoft.AspNetCore.Http.Json.JsonOptions>>().Value.SerializerOptions;

        // A request leaves out what it does not set; an answer shows its nulls.
        var brief = new JsonSerializerOptions(json) { DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull };
        Show(example.Request, operation.RequestBody?.Content, brief);
        Show(example.Answer, operation.Responses?.Where(response => response.Key.StartsWith('2')).Select(response => response.Value.Content).FirstOrDefault(), json);
    }

    private static void Show(object? example, IDictionary<string, OpenApiMediaType>? content, JsonSerializerOptions json)
    {
        if (example is null || content is null)
        {
            return;
        }

        foreach (var (mediaType, body) in content)
        {
            // A text is an example of a body that is not JSON; where a route takes several, of the first of them.
            var isJson = mediaType == "application/json";
            if (example is string ? !isJson : isJson)
            {
                body.Example = example is string ? JsonValue.Create((string)example) : JsonSerializer.SerializeToNode(example, example.GetType(), json);
                if (example is string)
                {
                    return;
                }
            }
        }
    }

    [GeneratedRegex(@",?\s*FACTS \d+(-\d+)?")]
    private static partial Regex Citation();
}
