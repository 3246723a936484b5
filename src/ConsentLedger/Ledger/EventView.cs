using ConsentLedger.Purposes;

namespace ConsentLedger.Ledger;

/// <summary>An event as the API shows it.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Purpose">The purpose's key, or <c>*</c>.</param>
/// <param name="Kind">What happened.</param>
/// <param name="Basis">The basis it establishes or ends; null at <c>*</c>.</param>
/// <param name="OccurredAt">When it happened.</param>
/// <param name="RecordedAt">When the service learned of it.</param>
/// <param name="ExpiresAt">When the permission runs out; null for never.</param>
/// <param name="Notice">What the person was shown; null where the event names none.</param>
/// <param name="Source">How it came to be known.</param>
/// <param name="Evidence">What shows how it came about; null if nothing does, or if it has been purged.</param>
/// <param name="Guardian">Who consented for a child.</param>
public sealed record EventView(
    EventId Id, string Purpose, EventKind Kind, LawfulBasis? Basis, DateTimeOffset OccurredAt, DateTimeOffset RecordedAt,
    DateTimeOffset? ExpiresAt, object? Notice, SourceView Source, IReadOnlyDictionary<string, object?>? Evidence,
    IReadOnlyDictionary<string, object?>? Guardian)
{
    /// <summary>Shows an event; <paramref name="notice"/> in full where it is at hand, its version alone otherwise.</summary>
    public static EventView Of(ConsentEvent @event, string purpose, Notice? notice = null) => new(
        @event.Id, purpose, @event.Kind, @event.Basis, @event.OccurredAt, @event.RecordedAt, @event.ExpiresAt,
        notice ?? (object?)(@event.NoticeVersion is { } version ? new NoticeReference(version) : null),
        new SourceView(@event.Source, @event.Evidence?.SourceReference, @event.Evidence?.SourceUrl),
        @event.Evidence?.Details, @event.Evidence?.Guardian);
}

/// <summary>Names a version of the purpose's notice.</summary>
/// <param name="Version">Counts from 1.</param>
public sealed record NoticeReference(int? Version);

/// <summary>How an event came to be known.</summary>
/// <param name="Kind">By which way.</param>
/// <param name="Reference">What the source is called; purged with the evidence.</param>
/// <param name="Url">The page it happened on; purged with the evidence.</param>
public sealed record SourceView(SourceKind Kind, string? Reference, string? Url);

/// <summary>A state as the API shows it.</summary>
/// <param name="Purpose">The purpose's key, or <c>*</c>.</param>
/// <param name="Status">The kind of the event that holds; <c>expired</c> once a permission has run out.</param>
/// <param name="Basis">The basis it rests on.</param>
/// <param name="Since">When it came to hold.</param>
/// <param name="ExpiresAt">When the permission runs out; null for never.</param>
/// <param name="EventId">The event it follows from.</param>
public sealed record StateView(
    string Purpose, EventKind Status, LawfulBasis? Basis, DateTimeOffset Since, DateTimeOffset? ExpiresAt, EventId EventId)
{
    /// <summary>Shows a state as it is at an instant.</summary>
    public static StateView Of(ConsentState state, string purpose, DateTimeOffset now) =>
        new(purpose, state.StatusAt(now), state.Basis, state.Since, state.ExpiresAt, state.EventId);
}
