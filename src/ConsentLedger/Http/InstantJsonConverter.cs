using System.Text.Json;
using System.Text.Json.Serialization;
using ConsentLedger.Database;

namespace ConsentLedger.Http;

/// <summary>Times are RFC 3339: read with any offset, written in UTC with a <c>Z</c> and only the fraction they have.</summary>
public sealed class InstantJsonConverter : JsonConverter<DateTimeOffset>
{
    /// <inheritdoc />
    public override DateTimeOffset Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String && Instant.TryParse(reader.GetString(), out var instant)
            ? instant
            : throw new JsonException("Must be an RFC 3339 time with its offset: 2026-11-22T09:30:00Z.");

    /// <inheritdoc />
    public override void Write(Utf8JsonWriter writer, DateTimeOffset value, JsonSerializerOptions options) => Write(writer, value);

    /// <summary>Writes a time, for what is written without a serializer.</summary>
    public static void Write(Utf8JsonWriter writer, DateTimeOffset value)
    {
        var utc = value.UtcDateTime;
        writer.WriteStringValue(utc.AddTicks(-(utc.Ticks % TimeSpan.TicksPerMicrosecond)));
    }
}
