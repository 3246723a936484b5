using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Ledger;

/// <summary>An event as somebody reports it, each value read and none yet held against the others.</summary>
public sealed record EventDraft
{
    /// <summary>Whose consent it is about.</summary>
    public required Address Address { get; init; }

    /// <summary>The purpose; null for <c>*</c>.</summary>
    public required Purpose? Purpose { get; init; }

    /// <summary>What happened.</summary>
    public required EventKind Kind { get; init; }

    /// <summary>The basis, if it is another than the purpose's.</summary>
    public LawfulBasis? Basis { get; init; }

    /// <summary>The version of the notice that was shown.</summary>
    public int? NoticeVersion { get; init; }

    /// <summary>How it came to be known.</summary>
    public required SourceKind Source { get; init; }

    /// <summary>When it happened.</summary>
    public required DateTimeOffset OccurredAt { get; init; }

    /// <summary>When the permission runs out, if not after the purpose's consent lifetime.</summary>
    public DateTimeOffset? ExpiresAt { get; init; }

    /// <summary>What shows how it came about.</summary>
    public Evidence? Evidence { get; init; }
}
