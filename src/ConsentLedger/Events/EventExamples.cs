using System.Text.Json;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Events;

/// <summary>One person's consent, told through the examples of the OpenAPI document.</summary>
internal static class EventExamples
{
    private const string Address = "ada@example.org";

    private static readonly DateTimeOffset At = new(2026, 11, 22, 9, 30, 0, TimeSpan.Zero);
    private static readonly EventId Id = EventId.Parse("019aab01-fdc0-7b3e-8c41-52a7d0e9b6f3", null);
    private static readonly SubscriberId Holder = SubscriberId.Parse("6f1c2a94-0d3b-5e77-a1c8-9b20f4d5e613", null);
    private static readonly StateView State = new("newsletter", EventKind.Given, LawfulBasis.Consent, At, At.AddMonths(24), Id);

    private static readonly EventView Event = new(
        Id, "newsletter", EventKind.Given, LawfulBasis.Consent, At, At, At.AddMonths(24), new NoticeReference(1),
        new SourceView(SourceKind.Paper, "visitor book, summer 2026", null),
        new Dictionary<string, object?> { ["seenBy"] = "front desk" }, null);

    public static readonly RecordEvent.EventRequest Request = new()
    {
        Address = Address,
        Purpose = "newsletter",
        Kind = EventKind.Given,
        OccurredAt = At,
        Notice = new NoticeReference(1),
        Source = new RecordEvent.SourceRequest { Kind = SourceKind.Paper, Reference = "visitor book, summer 2026" },
        Evidence = JsonSerializer.SerializeToElement(new { seenBy = "front desk" }),
    };

    public static readonly RecordEvent.EventAnswer Answer = new(Event, State, Holder);

    public static readonly Lookup.LookupRequest LookupRequest = new() { Address = Address };

    public static readonly Lookup.SubscriberView Subscriber = new(Holder, Address, [State], Objected: false, Suppressed: false, Restricted: false, Held: false);

    public static readonly History.HistoryRequest HistoryRequest = new() { Address = Address };

    public static readonly Page<EventView> History = new([Event], null);
}
