using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Serialization;
using ConsentLedger.Database;

namespace ConsentLedger.Subscribers;

/// <summary>
/// The holder of one normalised address: the first 16 bytes of its HMAC-SHA-256 under the installation's address key,
/// written as a UUID. It says nothing without the key and stays meaningful after the address is erased.
/// </summary>
[JsonConverter(typeof(SubscriberIdJsonConverter))]
[WrittenAs("uuid")]
public readonly record struct SubscriberId(Guid Value) : IParsable<SubscriberId>
{
    /// <inheritdoc />
    public static SubscriberId Parse(string s, IFormatProvider? provider) => new(Guid.Parse(s, provider));

    /// <inheritdoc />
    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out SubscriberId result)
    {
        var parsed = Guid.TryParse(s, provider, out var value);
        result = new SubscriberId(value);
        return parsed;
    }

    /// <inheritdoc />
    public override string ToString() => Value.ToString("D", CultureInfo.InvariantCulture);
}

/// <summary>Writes a <see cref="SubscriberId"/> as its UUID.</summary>
public sealed class SubscriberIdJsonConverter : JsonConverter<SubscriberId>
{
    /// <inheritdoc />
    public override SubscriberId Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        new(reader.GetGuid());

    /// <inheritdoc />
    public override void Write(Utf8JsonWriter writer, SubscriberId value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value.Value);
}
