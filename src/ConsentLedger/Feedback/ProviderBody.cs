using System.Globalization;
using System.Text.Json;
using ConsentLedger.Database;

namespace ConsentLedger.Feedback;

/// <summary>
/// What a provider sent, byte for byte, since that is what it signed. It is the provider's own format, so members that are
/// not known here are nothing to complain about.
/// </summary>
internal static class ProviderBody
{
    private static readonly JsonDocumentOptions Reading = new() { MaxDepth = 32 };

    /// <summary>Reads all of it, within the route's limit.</summary>
    public static async Task<byte[]> ReadAsync(HttpRequest request, CancellationToken cancellation)
    {
        using var body = new MemoryStream();
        await request.Body.CopyToAsync(body, cancellation);
        return body.ToArray();
    }

    /// <summary>The JSON in it, or null if it is none.</summary>
    public static JsonElement? Parse(ReadOnlyMemory<byte> body)
    {
        try
        {
            using var document = JsonDocument.Parse(body, Reading);
            return document.RootElement.Clone();
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>A member of an object; undefined if it is not there, or if this is no object.</summary>
    public static JsonElement Member(this JsonElement json, string name) =>
        json.ValueKind == JsonValueKind.Object && json.TryGetProperty(name, out var member) ? member : default;

    /// <summary>A member that is a text, or null.</summary>
    public static string? Text(this JsonElement json, string name) => json.Member(name).Text();

    /// <summary>A text, or null.</summary>
    public static string? Text(this JsonElement json)
    {
        try
        {
            return json.ValueKind == JsonValueKind.String ? json.GetString() : null;
        }
        catch (InvalidOperationException)
        {
            // An escape such as \ud800 alone is JSON, and no text.
            return null;
        }
    }

    /// <summary>A member that is a text or a number, as it is written, or null.</summary>
    public static string? Id(this JsonElement json, string name) =>
        json.Member(name) is { ValueKind: JsonValueKind.Number } number ? number.GetRawText() : json.Text(name);

    /// <summary>A member that is a list, or nothing.</summary>
    public static IEnumerable<JsonElement> List(this JsonElement json, string name) =>
        json.Member(name) is { ValueKind: JsonValueKind.Array } list ? list.EnumerateArray() : [];

    /// <summary>A member that is a time, or null.</summary>
    public static DateTimeOffset? Time(this JsonElement json, string name) =>
        Instant.TryParse(json.Text(name), out var time) ? time : null;

    /// <summary>A member that is a time in Unix seconds, as a number or as text, or null.</summary>
    public static DateTimeOffset? UnixTime(this JsonElement json, string name) => UnixTime(json.Id(name));

    /// <summary>A time in Unix seconds, or null.</summary>
    public static DateTimeOffset? UnixTime(string? text) =>
        decimal.TryParse(text, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds) && seconds <= 253_402_300_799m
            ? Instant.Of(DateTimeOffset.UnixEpoch.AddTicks((long)(seconds * TimeSpan.TicksPerSecond)))
            : null;
}
