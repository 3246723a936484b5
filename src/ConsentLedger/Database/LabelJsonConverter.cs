using System.Text.Json;
using System.Text.Json.Serialization;

namespace ConsentLedger.Database;

/// <summary>Reads and writes an enum as its <see cref="Label{T}"/>; anything else is an error that lists the labels.</summary>
public sealed class LabelJsonConverter<T> : JsonConverter<T>
    where T : struct, Enum
{
    /// <inheritdoc />
    public override T Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String && Label<T>.TryParse(reader.GetString(), out var value)
            ? value
            : throw new JsonException($"Must be one of: {string.Join(", ", Label<T>.All)}.");

    /// <inheritdoc />
    public override void Write(Utf8JsonWriter writer, T value, JsonSerializerOptions options) =>
        writer.WriteStringValue(Label<T>.Of(value));
}
