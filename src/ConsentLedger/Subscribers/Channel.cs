using System.Text.Json.Serialization;
using ConsentLedger.Database;

namespace ConsentLedger.Subscribers;

/// <summary>How a message reaches its reader; it decides which kind of <see cref="Address"/> a purpose takes.</summary>
[JsonConverter(typeof(LabelJsonConverter<Channel>))]
public enum Channel
{
    /// <summary>Electronic mail, to <c>ada@example.org</c>.</summary>
    Email,

    /// <summary>Text message, to <c>tel:+442079460000</c>.</summary>
    Sms,

    /// <summary>A call, to <c>tel:+442079460000</c>.</summary>
    Phone,

    /// <summary>Letter post, to whoever the organisation knows as <c>ref:MEM-1234</c>.</summary>
    Post,
}
