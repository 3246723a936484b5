using System.Text.Json.Serialization;
using ConsentLedger.Database;

namespace ConsentLedger.Ledger;

/// <summary>The answer to a check, and its one reason.</summary>
public readonly record struct Decision(bool Allowed, CheckReason Reason)
{
    /// <summary>No, for this reason.</summary>
    public static Decision Deny(CheckReason reason) => new(Allowed: false, reason);

    /// <summary>What the status of a (subscriber, purpose) alone comes to.</summary>
    public static Decision Of(EventKind status) => status switch
    {
        EventKind.Given => new Decision(Allowed: true, CheckReason.Given),
        EventKind.Renewed => new Decision(Allowed: true, CheckReason.Renewed),
        EventKind.Permitted => new Decision(Allowed: true, CheckReason.Permitted),
        EventKind.Requested => Deny(CheckReason.Pending),
        EventKind.Refused => Deny(CheckReason.Refused),
        EventKind.Withdrawn => Deny(CheckReason.Withdrawn),
        EventKind.Revoked => Deny(CheckReason.Revoked),
        EventKind.Expired => Deny(CheckReason.Expired),
        EventKind.Invalidated => Deny(CheckReason.Invalidated),
        EventKind.Objected => Deny(CheckReason.Objected),
        _ => throw new ArgumentOutOfRangeException(nameof(status), status, "This kind stands for all purposes."),
    };
}

/// <summary>Why an address may, or may not, be written to.</summary>
[JsonConverter(typeof(LabelJsonConverter<CheckReason>))]
public enum CheckReason
{
    /// <summary>Allowed: consent was given.</summary>
    Given,

    /// <summary>Allowed: consent was given again.</summary>
    Renewed,

    /// <summary>Allowed: another basis permits it.</summary>
    Permitted,

    /// <summary>Allowed: a service message.</summary>
    Service,

    /// <summary>Not allowed: nothing is known of this address for this purpose.</summary>
    Unknown,

    /// <summary>Not allowed: asked for and not yet confirmed.</summary>
    Pending,

    /// <summary>Not allowed: the person said no.</summary>
    Refused,

    /// <summary>Not allowed: the person took consent back.</summary>
    Withdrawn,

    /// <summary>Not allowed: someone else ended the consent.</summary>
    Revoked,

    /// <summary>Not allowed: consent ran out.</summary>
    Expired,

    /// <summary>Not allowed: the consent was not valid.</summary>
    Invalidated,

    /// <summary>Not allowed: the person objected to direct marketing.</summary>
    Objected,

    /// <summary>Not allowed: the address is suppressed.</summary>
    Suppressed,

    /// <summary>Not allowed: processing is restricted.</summary>
    Restricted,

    /// <summary>Not allowed: the purpose has ended.</summary>
    PurposeEnded,

    /// <summary>Not allowed: this is not an address messages for this purpose can go to.</summary>
    InvalidAddress,
}
