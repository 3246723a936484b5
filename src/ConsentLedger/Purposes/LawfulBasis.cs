using System.Text.Json.Serialization;
using ConsentLedger.Database;

namespace ConsentLedger.Purposes;

/// <summary>What makes it lawful to write to someone for a purpose (UK GDPR Art 6 and 9, PECR reg 22).</summary>
[JsonConverter(typeof(LabelJsonConverter<LawfulBasis>))]
public enum LawfulBasis
{
    /// <summary>Consent (PECR reg 22(2)).</summary>
    Consent,

    /// <summary>Explicit consent, for special category data (Art 9(2)(a)).</summary>
    ExplicitConsent,

    /// <summary>Commercial soft opt-in: own similar products after a sale (PECR reg 22(3)).</summary>
    SoftOptIn,

    /// <summary>Charitable-purpose soft opt-in (PECR reg 22(3A), FACTS 30).</summary>
    CharitableSoftOptIn,

    /// <summary>Legitimate interests, where electronic mail rules do not ask for consent.</summary>
    LegitimateInterests,

    /// <summary>Messages that are part of the service itself: a booking, a receipt, a change of date.</summary>
    Service,
}

/// <summary>What follows from a basis.</summary>
public static class LawfulBases
{
    /// <summary>True where the person says yes first; false where something else permits until they say no.</summary>
    public static bool IsConsent(this LawfulBasis basis) => basis is LawfulBasis.Consent or LawfulBasis.ExplicitConsent;
}
