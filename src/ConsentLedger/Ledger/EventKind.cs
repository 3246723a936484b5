using System.Text.Json.Serialization;
using ConsentLedger.Database;

namespace ConsentLedger.Ledger;

/// <summary>
/// Something that happened to a consent, in the terms of the DPV's consent statuses (FACTS 23) and six more. The order
/// is the order of precedence between events of one instant: what asks, what permits, what forbids. The database's
/// enum type has the same order, and a test holds the two together.
/// </summary>
[JsonConverter(typeof(LabelJsonConverter<EventKind>))]
public enum EventKind
{
    /// <summary>Consent was asked for and is not yet confirmed.</summary>
    Requested,

    /// <summary>A suppression was lifted.</summary>
    Released,

    /// <summary>A restriction was lifted.</summary>
    Unrestricted,

    /// <summary>A basis other than consent was established.</summary>
    Permitted,

    /// <summary>Consent was given.</summary>
    Given,

    /// <summary>Consent was given again.</summary>
    Renewed,

    /// <summary>Consent ran out: at its <c>expiresAt</c>, and dated when the consent was that it closes, so that it closes no newer one.</summary>
    Expired,

    /// <summary>Consent turned out not to have been valid.</summary>
    Invalidated,

    /// <summary>The person said no.</summary>
    Refused,

    /// <summary>The person took consent back.</summary>
    Withdrawn,

    /// <summary>Someone other than the person ended the consent.</summary>
    Revoked,

    /// <summary>The person objected: to this purpose, or at <c>*</c> to all direct marketing.</summary>
    Objected,

    /// <summary>The address is not to be used: hard bounce, complaint or preference service.</summary>
    Suppressed,

    /// <summary>Processing is restricted (UK GDPR Art 18).</summary>
    Restricted,
}

/// <summary>What follows from the kind of an event.</summary>
public static class EventKinds
{
    /// <summary>True for the kinds that let a sender write: given, renewed, permitted.</summary>
    public static bool Permits(this EventKind kind) => kind is EventKind.Permitted or EventKind.Given or EventKind.Renewed;

    /// <summary>True for the kinds by which a person (or someone for them) said no, which an import must not undo.</summary>
    public static bool Refuses(this EventKind kind) =>
        kind is EventKind.Refused or EventKind.Withdrawn or EventKind.Revoked or EventKind.Objected;

    /// <summary>The facet at <c>*</c> that this kind belongs to, or null for the kinds that name one purpose only.</summary>
    public static Purposes.PurposeId? Facet(this EventKind kind) => kind switch
    {
        EventKind.Objected => Purposes.PurposeId.Objection,
        EventKind.Suppressed or EventKind.Released => Purposes.PurposeId.Suppression,
        EventKind.Restricted or EventKind.Unrestricted => Purposes.PurposeId.Restriction,
        _ => null,
    };

    /// <summary>True for the kinds that stand for all purposes and can't be about one.</summary>
    public static bool IsFacetOnly(this EventKind kind) => kind != EventKind.Objected && kind.Facet() is not null;
}
