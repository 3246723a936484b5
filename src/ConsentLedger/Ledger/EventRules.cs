using ConsentLedger.Database;
using ConsentLedger.Purposes;
using ConsentLedger.Security;

namespace ConsentLedger.Ledger;

/// <summary>What a reported event has to be to enter the ledger: one set of rules for the API, imports and pages.</summary>
public static class EventRules
{
    /// <summary>How far ahead of this service's clock an event may be dated: clocks differ.</summary>
    public static readonly TimeSpan ClockTolerance = TimeSpan.FromMinutes(5);

    /// <summary>When the charitable-purpose soft opt-in came into force (FACTS 30).</summary>
    public static readonly DateTimeOffset CharitableSoftOptInInForce = new(2026, 2, 5, 0, 0, 0, TimeSpan.Zero);

    /// <summary>
    /// Every rule that the draft breaks, in the order of <see cref="EventFaultCode"/>'s members where one hides
    /// another; empty if it may enter.
    /// </summary>
    public static IEnumerable<EventFault> Check(EventDraft draft, DateTimeOffset now)
    {
        if (CheckPurpose(draft) is { } misplaced)
        {
            yield return misplaced;
            yield break;
        }

        foreach (var fault in CheckTimes(draft, now).Concat(CheckNotice(draft)).Concat(CheckBasis(draft)))
        {
            yield return fault;
        }

        if (draft.Evidence is { IsTooLarge: true })
        {
            yield return new EventFault(
                EventFaultCode.EvidenceTooLarge, "evidence", $"Evidence, source and guardian together have at most {Evidence.MaxBytes} bytes.");
        }
    }

    /// <summary>The event that a draft without faults comes to.</summary>
    public static ConsentEvent Accept(EventDraft draft, Subscribers.SubscriberId subscriber, EventId id, DateTimeOffset now) => new()
    {
        SubscriberId = subscriber,
        Id = id,
        Purpose = draft.Purpose?.Id ?? draft.Kind.Facet()!.Value,
        Kind = draft.Kind,
        Basis = BasisOf(draft),
        NoticeVersion = draft.NoticeVersion,
        Source = draft.Source,
        OccurredAt = draft.OccurredAt,
        RecordedAt = Instant.Of(now),
        ExpiresAt = draft.Kind.Permits() ? draft.ExpiresAt ?? DefaultExpiry(draft) : null,
        Evidence = draft.Evidence,
    };

    /// <summary>
    /// The id of an event that comes without one and says when it happened: made from all it says, as it was said, so
    /// that the same statement made again, by whichever way, is recognised as the same event.
    /// </summary>
    public static EventId IdByContent(EventDraft draft, Subscribers.SubscriberId subscriber, KeyRing keys) => EventId.Of(
        keys.EventIdKey,
        draft.OccurredAt,
        CanonicalJson.Write(new Dictionary<string, object?>(9)
        {
            ["basis"] = Label<LawfulBasis>.Of(draft.Basis),
            ["evidence"] = draft.Evidence?.Members,
            ["expiresAt"] = draft.ExpiresAt is { } expiry ? Instant.Format(expiry) : null,
            ["kind"] = Label<EventKind>.Of(draft.Kind),
            ["noticeVersion"] = draft.NoticeVersion,
            ["occurredAt"] = Instant.Format(draft.OccurredAt),
            ["purposeId"] = draft.Purpose?.Id.Value,
            ["source"] = Label<SourceKind>.Of(draft.Source),
            ["subscriberId"] = subscriber.ToString(),
        }));

    private static DateTimeOffset? DefaultExpiry(EventDraft draft) => draft.Purpose?.ConsentLifetime?.After(draft.OccurredAt);

    private static EventFault? CheckPurpose(EventDraft draft) =>
        draft.Purpose is null
            ? draft.Kind.Facet() is null
                ? new EventFault(EventFaultCode.UnknownKind, "kind", $"{Name(draft.Kind)} is about one purpose, not about all (*).")
                : null
        : draft.Kind.IsFacetOnly()
            ? new EventFault(EventFaultCode.UnknownKind, "kind", $"{Name(draft.Kind)} stands for all purposes: the purpose has to be *.")
        : draft.Address.Fits(draft.Purpose.Channel)
            ? null
        : new EventFault(EventFaultCode.WrongChannel, "address", $"Messages for this purpose go by {Label<Subscribers.Channel>.Of(draft.Purpose.Channel)}; this is another kind of address.");

    private static IEnumerable<EventFault> CheckTimes(EventDraft draft, DateTimeOffset now)
    {
        if (draft.OccurredAt > now + ClockTolerance)
        {
            yield return new EventFault(EventFaultCode.OccurredInFuture, "occurredAt", "This is more than five minutes ahead of the service's clock.");
        }

        if (draft.ExpiresAt is { } expiry && !draft.Kind.Permits())
        {
            yield return new EventFault(EventFaultCode.InvalidTime, "expiresAt", $"{Name(draft.Kind)} does not run out.");
        }
        else if (draft.ExpiresAt <= draft.OccurredAt)
        {
            yield return new EventFault(EventFaultCode.InvalidTime, "expiresAt", "This is not later than occurredAt.");
        }
    }

    /// <summary>A consent says what the person was shown, wherever there is something that was shown (FACTS 26).</summary>
    private static IEnumerable<EventFault> CheckNotice(EventDraft draft)
    {
        if (draft.NoticeVersion is { } version)
        {
            if (draft.Purpose?.NoticeVersions.Contains(version) != true)
            {
                yield return new EventFault(EventFaultCode.UnknownNotice, "notice.version", "The purpose has no such version of its notice.");
            }
        }
        else if (draft is { Kind: EventKind.Given, Purpose.NoticeVersions.Length: > 0 })
        {
            yield return new EventFault(EventFaultCode.NoticeRequired, "notice", "The purpose has notices: say which version was shown.");
        }
    }

    private static IEnumerable<EventFault> CheckBasis(EventDraft draft)
    {
        if (draft.Purpose is not { } purpose)
        {
            if (draft.Basis is not null)
            {
                yield return new EventFault(EventFaultCode.ConditionsMissing, "basis", "An event about all purposes has no basis.");
            }

            yield break;
        }

        var basis = BasisOf(draft);
        if (AsksForConsent(draft.Kind) && basis?.IsConsent() != true)
        {
            yield return new EventFault(EventFaultCode.ConditionsMissing, "basis", $"{Name(draft.Kind)} rests on consent.");
        }
        else if (draft.Kind.Permits() && purpose.Basis == LawfulBasis.ExplicitConsent && basis != LawfulBasis.ExplicitConsent)
        {
            yield return new EventFault(EventFaultCode.ConditionsMissing, "basis", "This purpose needs explicit consent.");
        }
        else if (draft.Kind == EventKind.Permitted)
        {
            foreach (var fault in CheckPermission(draft, purpose, basis))
            {
                yield return fault;
            }
        }
    }

    private static IEnumerable<EventFault> CheckPermission(EventDraft draft, Purpose purpose, LawfulBasis? basis)
    {
        if (basis is null || basis.Value.IsConsent() || (basis == LawfulBasis.Service && purpose.Basis != LawfulBasis.Service))
        {
            yield return new EventFault(
                EventFaultCode.ConditionsMissing, "basis", "permitted rests on soft-opt-in, charitable-soft-opt-in or legitimate-interests; where people agreed, say given.");
        }
        else if (basis == LawfulBasis.CharitableSoftOptIn)
        {
            foreach (var fault in CheckCharitableSoftOptIn(draft))
            {
                yield return fault;
            }
        }
    }

    /// <summary>PECR reg 22(3A), FACTS 30: each of its conditions has to be on record, or the permission is none.</summary>
    private static IEnumerable<EventFault> CheckCharitableSoftOptIn(EventDraft draft)
    {
        var evidence = draft.Evidence?.Details;
        if (!SaysYes(evidence, "obtainedDirectly"))
        {
            yield return Missing("evidence.obtainedDirectly", "The charitable soft opt-in needs the details to have been obtained directly from the person: true.");
        }

        if (!SaysYes(evidence, "optOutOffered"))
        {
            yield return Missing("evidence.optOutOffered", "The charitable soft opt-in needs an opt-out to have been offered when the details were collected: true.");
        }

        if (evidence?.GetValueOrDefault("context") is not string context || string.IsNullOrWhiteSpace(context))
        {
            yield return Missing("evidence.context", "The charitable soft opt-in needs the context: how the person showed interest or gave support.");
        }

        if (draft.OccurredAt < CharitableSoftOptInInForce)
        {
            yield return Missing("occurredAt", "The charitable soft opt-in is in force from 2026-02-05 and not for people collected before.");
        }

        static EventFault Missing(string path, string detail) => new(EventFaultCode.ConditionsMissing, path, detail);
    }

    /// <summary>True, or in a file, where everything is text: true or yes.</summary>
    private static bool SaysYes(IReadOnlyDictionary<string, object?>? evidence, string name) => evidence?.GetValueOrDefault(name) switch
    {
        bool value => value,
        string text => text.Trim().ToUpperInvariant() is "TRUE" or "YES",
        _ => false,
    };

    private static bool AsksForConsent(EventKind kind) => kind is EventKind.Requested or EventKind.Given or EventKind.Renewed;

    /// <summary>
    /// The basis as said, or the purpose's own. Someone who gives consent to a purpose that otherwise rests on
    /// something else rests on consent from then on: the two stay distinguishable (FACTS 30).
    /// </summary>
    private static LawfulBasis? BasisOf(EventDraft draft) =>
        draft.Purpose is not { } purpose ? null
        : draft.Basis ?? (
            AsksForConsent(draft.Kind) && !purpose.Basis.IsConsent() ? LawfulBasis.Consent
            : draft.Kind == EventKind.Permitted && purpose.Basis.IsConsent() ? null
            : purpose.Basis);

    private static string Name(EventKind kind) => Label<EventKind>.Of(kind);
}
