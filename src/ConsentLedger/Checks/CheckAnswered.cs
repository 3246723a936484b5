using System.Buffers;
using System.Reflection;
using System.Text.Encodings.Web;
using System.Text.Json;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using Microsoft.AspNetCore.Http.Metadata;

namespace ConsentLedger.Checks;

/// <summary>
/// 200 with the answer to a check. It is written by hand, in one piece and with its length: this is the answer that is
/// given a hundred times a second, and a test holds it to what the serializer would write.
/// </summary>
public sealed class CheckAnswered(Check.CheckAnswer answer) : IResult, IStatusCodeHttpResult, IEndpointMetadataProvider
{
    [ThreadStatic]
    private static (ArrayBufferWriter<byte> Buffer, Utf8JsonWriter Json)? writer;

    /// <inheritdoc />
    public int? StatusCode => StatusCodes.Status200OK;

    /// <inheritdoc />
    public static void PopulateMetadata(MethodInfo method, EndpointBuilder builder) =>
        builder.Metadata.Add(new ProducesResponseTypeMetadata(StatusCodes.Status200OK, typeof(Check.CheckAnswer), ["application/json"]));

    /// <inheritdoc />
    public async Task ExecuteAsync(HttpContext httpContext)
    {
        var response = httpContext.Response;
        response.ContentType = "application/json; charset=utf-8";
        Write(response);
        await response.BodyWriter.FlushAsync(httpContext.RequestAborted);
    }

    private void Write(HttpResponse response)
    {
        var (buffer, json) = writer ??= NewWriter();
        buffer.ResetWrittenCount();
        json.Reset();
        json.WriteStartObject();
        json.WriteBoolean("allowed"u8, answer.Allowed);
        json.WriteString("reason"u8, Label<CheckReason>.Of(answer.Reason));
        json.WriteString("purpose"u8, answer.Purpose);
        json.WriteString("status"u8, Label<EventKind>.Of(answer.Status));
        json.WriteString("basis"u8, Label<LawfulBasis>.Of(answer.Basis));
        WriteTime(json, "since"u8, answer.Since);
        WriteTime(json, "expiresAt"u8, answer.ExpiresAt);
        json.WriteString("subscriberId"u8, answer.SubscriberId.Value);
        if (answer.EventId is { } id)
        {
            json.WriteString("eventId"u8, id.Value);
        }
        else
        {
            json.WriteNull("eventId"u8);
        }

        WriteTime(json, "checkedAt"u8, answer.CheckedAt);
        if (answer.Unsubscribe is { } link)
        {
            json.WriteStartObject("unsubscribe"u8);
            json.WriteString("url"u8, link.Url);
            json.WriteStartObject("headers"u8);
            json.WriteString("List-Unsubscribe"u8, link.Headers.ListUnsubscribe);
            json.WriteString("List-Unsubscribe-Post"u8, link.Headers.ListUnsubscribePost);
            json.WriteString("List-Id"u8, link.Headers.ListId);
            json.WriteEndObject();
            json.WriteEndObject();
        }
        else
        {
            json.WriteNull("unsubscribe"u8);
        }

        json.WriteEndObject();
        json.Flush();
        response.ContentLength = buffer.WrittenCount;
        response.BodyWriter.Write(buffer.WrittenSpan);
    }

    private static void WriteTime(Utf8JsonWriter json, ReadOnlySpan<byte> name, DateTimeOffset? time)
    {
        if (time is { } at)
        {
            json.WritePropertyName(name);
            InstantJsonConverter.Write(json, at);
        }
        else
        {
            json.WriteNull(name);
        }
    }

    private static (ArrayBufferWriter<byte> Buffer, Utf8JsonWriter Json) NewWriter()
    {
        var buffer = new ArrayBufferWriter<byte>(1024);
        return (buffer, new Utf8JsonWriter(buffer, new JsonWriterOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping }));
    }
}
