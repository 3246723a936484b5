using ConsentLedger.Database;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Ledger;

/// <summary>The id of an event that is recognised by what it says.</summary>
public static class ImportedEvent
{
    /// <summary>
    /// The same for every row that says the same of the same subscriber, however its address was spelled: an HMAC over
    /// the canonical JSON of all it says. <see cref="EventDraft.ExpiresAt"/> counts as it was given, so that a purpose
    /// whose consent lifetime changes does not make old rows new.
    /// </summary>
    public static EventId IdOf(EventDraft draft, SubscriberId subscriber, KeyRing keys) =>
        EventId.Of(keys.EventIdKey, draft.OccurredAt, Content(draft, subscriber));

    private static byte[] Content(EventDraft draft, SubscriberId subscriber) =>
        CanonicalJson.Write(new Dictionary<string, object?>(8)
        {
            ["evidence"] = draft.Evidence?.Members,
            ["expiresAt"] = draft.ExpiresAt is { } expiry ? Commitment.Time(expiry) : null,
            ["kind"] = Label<EventKind>.Of(draft.Kind),
            ["noticeVersion"] = draft.NoticeVersion,
            ["occurredAt"] = Commitment.Time(draft.OccurredAt),
            ["purpose"] = draft.Purpose?.Key ?? Purposes.PurposeKey.All,
            ["source"] = Label<SourceKind>.Of(draft.Source),
            ["subscriberId"] = subscriber.ToString(),
        });
}
