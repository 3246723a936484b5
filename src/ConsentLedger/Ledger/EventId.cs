using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using ConsentLedger.Database;
using ConsentLedger.Http;

namespace ConsentLedger.Ledger;

/// <summary>An event's id within its subscriber: a UUIDv7 (RFC 9562), made here or by whoever reports the event.</summary>
[JsonConverter(typeof(EventIdJsonConverter))]
[WrittenAs("uuid")]
public readonly record struct EventId(Guid Value) : IParsable<EventId>
{
    /// <summary>A new id for something that happens now.</summary>
    public static EventId New(DateTimeOffset now) => new(Guid.CreateVersion7(now));

    /// <summary>
    /// The id of something that is recognised by its content: the same instant and content under the same key make the
    /// same id, so that whatever is said twice is recorded once, by the primary key and nothing else.
    /// </summary>
    public static EventId Of(byte[] key, DateTimeOffset instant, ReadOnlySpan<byte> content)
    {
        Span<byte> id = stackalloc byte[HMACSHA256.HashSizeInBytes];
        HMACSHA256.HashData(key, content, id);

        // RFC 9562 §5.7: 48 bits of milliseconds, version 7, variant 10; what is left is the hash.
        Span<byte> milliseconds = stackalloc byte[8];
        BinaryPrimitives.WriteInt64BigEndian(milliseconds, instant.ToUnixTimeMilliseconds());
        milliseconds[2..].CopyTo(id);
        id[6] = (byte)((id[6] & 0x0F) | 0x70);
        id[8] = (byte)((id[8] & 0x3F) | 0x80);
        return new EventId(new Guid(id[..16], bigEndian: true));
    }

    /// <summary>
    /// The id of what a request with an Idempotency-Key makes, the same on every attempt; null for a request without one.
    /// </summary>
    public static EventId? Of(byte[] key, string what, IdempotentRequest? request) =>
        request is null ? null : Of(key, request.FirstSeenAt, Encoding.UTF8.GetBytes($"{what} {request.KeyId} {request.Key}"));

    /// <inheritdoc />
    public static EventId Parse(string s, IFormatProvider? provider) => new(Guid.Parse(s, provider));

    /// <inheritdoc />
    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out EventId result)
    {
        var parsed = Guid.TryParse(s, provider, out var value);
        result = new EventId(value);
        return parsed;
    }

    /// <inheritdoc />
    public override string ToString() => Value.ToString("D", CultureInfo.InvariantCulture);
}

/// <summary>Writes an <see cref="EventId"/> as its UUID.</summary>
public sealed class EventIdJsonConverter : JsonConverter<EventId>
{
    /// <inheritdoc />
    public override EventId Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        new(reader.GetGuid());

    /// <inheritdoc />
    public override void Write(Utf8JsonWriter writer, EventId value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value.Value);
}
