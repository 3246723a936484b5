using System.Text.Json.Serialization;
using ConsentLedger.Database;

namespace ConsentLedger.Ledger;

/// <summary>Why a reported event is not taken. Nothing in it repeats what was reported.</summary>
/// <param name="Code">Which rule.</param>
/// <param name="Path">The member of the event it is about.</param>
/// <param name="Detail">A sentence for people.</param>
public sealed record EventFault(EventFaultCode Code, string Path, string Detail);

/// <summary>The rules an event can break.</summary>
[JsonConverter(typeof(LabelJsonConverter<EventFaultCode>))]
public enum EventFaultCode
{
    /// <summary>The record itself can't be read.</summary>
    Malformed,

    /// <summary>This is not an address.</summary>
    InvalidAddress,

    /// <summary>Messages for the purpose can't go to an address of this kind.</summary>
    WrongChannel,

    /// <summary>There is no such purpose, or this caller can't use it.</summary>
    UnknownPurpose,

    /// <summary>There is no such kind, or it does not go with this purpose.</summary>
    UnknownKind,

    /// <summary>This is not a time, or not one that can be.</summary>
    InvalidTime,

    /// <summary>It says it happened later than now.</summary>
    OccurredInFuture,

    /// <summary>The purpose has notices, and it does not say which one was shown.</summary>
    NoticeRequired,

    /// <summary>There is no such version of the purpose's notice.</summary>
    UnknownNotice,

    /// <summary>The basis asks for more than is said.</summary>
    ConditionsMissing,

    /// <summary>The evidence is longer than may be kept.</summary>
    EvidenceTooLarge,

    /// <summary>Held back: it would bring back someone who refused.</summary>
    Resubscribes,
}
