using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Ledger;

/// <summary>Something that happened, as the ledger keeps it. It is never changed.</summary>
public sealed record ConsentEvent
{
    /// <summary>Whose consent it is about.</summary>
    public required SubscriberId SubscriberId { get; init; }

    /// <summary>Its id within the subscriber.</summary>
    public required EventId Id { get; init; }

    /// <summary>The purpose, or one of the facets at <c>*</c>.</summary>
    public required PurposeId Purpose { get; init; }

    /// <summary>What happened.</summary>
    public required EventKind Kind { get; init; }

    /// <summary>The basis it establishes or ends; null at <c>*</c>.</summary>
    public LawfulBasis? Basis { get; init; }

    /// <summary>The version of the purpose's notice that the person was shown.</summary>
    public int? NoticeVersion { get; init; }

    /// <summary>How it came to be known.</summary>
    public required SourceKind Source { get; init; }

    /// <summary>When it happened, to the microsecond.</summary>
    public required DateTimeOffset OccurredAt { get; init; }

    /// <summary>When the service learned of it.</summary>
    public required DateTimeOffset RecordedAt { get; init; }

    /// <summary>When the permission it gives runs out; null for never.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>What shows how it came about; null if nothing does, or if it has been purged.</summary>
    public Evidence? Evidence { get; init; }

    /// <summary>True if there was evidence that is no longer kept.</summary>
    public bool EvidenceWasPurged { get; init; }

    /// <summary>
    /// True if both say the same thing, whenever they were recorded. Evidence that was purged can't be compared any
    /// more, and what came again with it is no other event for that.
    /// </summary>
    public bool SaysTheSameAs(ConsentEvent other) =>
        (SubscriberId, Id, Purpose, Kind, Basis, NoticeVersion, Source, OccurredAt, ExpiresAt)
        == (other.SubscriberId, other.Id, other.Purpose, other.Kind, other.Basis, other.NoticeVersion, other.Source, other.OccurredAt, other.ExpiresAt)
        && (EvidenceWasPurged || other.EvidenceWasPurged || (Evidence is null
            ? other.Evidence is null
            : other.Evidence is not null && Evidence.Canonical.SequenceEqual(other.Evidence.Canonical)));
}
