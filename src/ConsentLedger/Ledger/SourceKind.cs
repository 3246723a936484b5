using System.Text.Json.Serialization;
using ConsentLedger.Database;

namespace ConsentLedger.Ledger;

/// <summary>How an event came to be known.</summary>
[JsonConverter(typeof(LabelJsonConverter<SourceKind>))]
public enum SourceKind
{
    /// <summary>A form on a web page.</summary>
    WebForm,

    /// <summary>A form on paper.</summary>
    Paper,

    /// <summary>A telephone call.</summary>
    Phone,

    /// <summary>Said face to face.</summary>
    InPerson,

    /// <summary>A list brought over from elsewhere.</summary>
    Import,

    /// <summary>Another system, by this API.</summary>
    Api,

    /// <summary>Someone at the organisation.</summary>
    Admin,

    /// <summary>The one-click unsubscribe link.</summary>
    UnsubscribeLink,

    /// <summary>The subscriber's own preference page.</summary>
    PreferenceCentre,

    /// <summary>A bounce or a complaint.</summary>
    Feedback,

    /// <summary>The service itself: an expiry.</summary>
    System,
}
