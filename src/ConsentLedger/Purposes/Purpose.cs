using System.Text.Json.Serialization;
using ConsentLedger.Database;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Purposes;

/// <summary>What a message is for and by which channel, with its lawful basis, its consent lifetime and its retention.</summary>
public sealed record Purpose
{
    /// <summary>The number tokens and the ledger use.</summary>
    [JsonIgnore]
    public required PurposeId Id { get; init; }

    /// <summary>The slug it is called by.</summary>
    public required string Key { get; init; }

    /// <summary>Its name, as subscribers see it.</summary>
    public required string Name { get; init; }

    /// <summary>What subscribers get, in plain words.</summary>
    public string? Description { get; init; }

    /// <summary>How messages for it are sent.</summary>
    public required Channel Channel { get; init; }

    /// <summary>What makes writing for it lawful, unless an event says otherwise.</summary>
    public required LawfulBasis Basis { get; init; }

    /// <summary>True if a sign-up counts only once it is confirmed from the address itself.</summary>
    public required bool DoubleOptIn { get; init; }

    /// <summary>How long a consent is good for; null for as long as it is not withdrawn.</summary>
    public Period? ConsentLifetime { get; init; }

    /// <summary>How long before a consent runs out its holder is asked, once, to renew it; null for never.</summary>
    public Period? RenewalReminder { get; init; }

    /// <summary>When the purpose ends; from then on nobody is written to for it.</summary>
    public DateTimeOffset? EndsAt { get; init; }

    /// <summary>The age from which someone consents alone, in years (UK: 13, FACTS 37).</summary>
    public int? MinimumAge { get; init; }

    /// <summary>True if a consent reveals special category data.</summary>
    public required bool SpecialCategory { get; init; }

    /// <summary>Categories of personal data used for it.</summary>
    public required string[] DataCategories { get; init; }

    /// <summary>Who receives the data.</summary>
    public required string[] Recipients { get; init; }

    /// <summary>How long records are kept once they lapse.</summary>
    public required PurposeRetention Retention { get; init; }

    /// <summary>When it was first put.</summary>
    public required DateTimeOffset CreatedAt { get; init; }

    /// <summary>When it last changed.</summary>
    public required DateTimeOffset UpdatedAt { get; init; }

    /// <summary>When the first event named it; null while none has.</summary>
    [JsonIgnore]
    public DateTimeOffset? FirstEventAt { get; init; }

    /// <summary>The versions of its notices, oldest first.</summary>
    [JsonIgnore]
    public required int[] NoticeVersions { get; init; }

    /// <summary>What of it decides who may be written to.</summary>
    [JsonIgnore]
    public PurposeTerms Terms => new(Id, Key, Channel, Basis, EndsAt);
}

/// <summary>How long a purpose's records are kept: sign-ups nobody confirmed, consents that lapsed, and evidence.</summary>
public sealed record PurposeRetention
{
    /// <summary>A sign-up that was never confirmed; 30 days unless set.</summary>
    public Period Pending { get; init; } = new(0, 30);

    /// <summary>A consent that was withdrawn, refused or has expired, or whose purpose has ended; 24 months unless set.</summary>
    public Period Lapsed { get; init; } = new(24, 0);

    /// <summary>Evidence, when it goes earlier than its event; null to keep the two together.</summary>
    public Period? Evidence { get; init; }
}

/// <summary>Whether a purpose is still written for.</summary>
[JsonConverter(typeof(LabelJsonConverter<PurposeStatus>))]
public enum PurposeStatus
{
    /// <summary>In use.</summary>
    Active,

    /// <summary>Its end has passed: checks say no, and its records lapse.</summary>
    Ended,
}
