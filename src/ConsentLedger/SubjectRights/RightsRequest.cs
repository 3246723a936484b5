using System.Text.Json.Serialization;
using ConsentLedger.Database;
using ConsentLedger.Subscribers;

namespace ConsentLedger.SubjectRights;

/// <summary>
/// A request as it stands. Each step is a pure function from one standing to the next: the same, if the step has been
/// taken already; or the reason why it can't be taken.
/// </summary>
public sealed record RightsRequest
{
    /// <summary>Who asks.</summary>
    public required SubscriberId SubscriberId { get; init; }

    /// <summary>A UUIDv7.</summary>
    public required Guid Id { get; init; }

    /// <summary>What for.</summary>
    public required RequestKind Kind { get; init; }

    /// <summary>How far it is.</summary>
    public RequestStatus Status { get; init; }

    /// <summary>When it came; the clock runs from here.</summary>
    public required DateTimeOffset ReceivedAt { get; init; }

    /// <summary>When the person was told that it has come.</summary>
    public DateTimeOffset? AcknowledgedAt { get; init; }

    /// <summary>Since when the clock stands still.</summary>
    public DateTimeOffset? PausedAt { get; init; }

    /// <summary>How long it stood still before.</summary>
    public TimeSpan PausedFor { get; init; }

    /// <summary>By how many months the answer was put off.</summary>
    public int ExtendedMonths { get; init; }

    /// <summary>When it was completed or refused.</summary>
    public DateTimeOffset? ClosedAt { get; init; }

    /// <summary>How the copy that was asked for came to the person; null until then.</summary>
    public RequestDelivery? Delivered { get; init; }

    /// <summary>True if it asks for a copy of what is held.</summary>
    public bool AsksForCopy => Kind is RequestKind.Access or RequestKind.Portability;

    /// <summary>True until it is completed or refused.</summary>
    public bool IsOpen => Status is RequestStatus.Open or RequestStatus.Paused;

    /// <summary>
    /// By when something has to happen, should the clock go on at this instant. Null for a complaint that was
    /// acknowledged: what follows is due without undue delay, and no date says when that is.
    /// </summary>
    public DateTimeOffset? DueAt(DateTimeOffset now) =>
        Kind == RequestKind.Complaint
            ? AcknowledgedAt is null ? RequestClock.AcknowledgementDue(ReceivedAt) : null
            : RequestClock.AnswerDue(ReceivedAt, ExtendedMonths, Paused(now));

    /// <summary>By when the person is told of an extension; null for a complaint, which has none.</summary>
    public DateTimeOffset? ExtensionNoticeDueAt(DateTimeOffset now) =>
        Kind == RequestKind.Complaint ? null : RequestClock.ExtensionNoticeDue(ReceivedAt, Paused(now));

    /// <summary>True if it should have been answered, or the complaint acknowledged, by now.</summary>
    public bool IsOverdue(DateTimeOffset now) => IsOpen && DueAt(now) < now;

    /// <summary>The person was told that it has come.</summary>
    public RequestMove Acknowledge(DateTimeOffset now) =>
        AcknowledgedAt is not null ? RequestMove.Unchanged(this)
        : !IsOpen ? RequestMove.Refused(WhyClosed)
        : RequestMove.To(this with { AcknowledgedAt = now });

    /// <summary>The clock stops: who asks has to show who they are, or to say what they mean (Art 12A, FACTS 35).</summary>
    public RequestMove Pause(DateTimeOffset now) =>
        Status == RequestStatus.Paused ? RequestMove.Unchanged(this)
        : !IsOpen ? RequestMove.Refused(WhyClosed)
        : Kind == RequestKind.Complaint ? RequestMove.Refused("The clock of a complaint does not stop: it is acknowledged within 30 days, whatever is still open.")
        : Kind == RequestKind.Objection ? RequestMove.Refused("An objection waits for nothing: it has been in force since it was entered here.")
        : RequestMove.To(this with { Status = RequestStatus.Paused, PausedAt = now });

    /// <summary>What was asked has been answered, and the clock goes on.</summary>
    public RequestMove Resume(DateTimeOffset now) =>
        Status == RequestStatus.Open ? RequestMove.Unchanged(this)
        : !IsOpen ? RequestMove.Refused(WhyClosed)
        : RequestMove.To(this with { Status = RequestStatus.Open, PausedAt = null, PausedFor = Paused(now) });

    /// <summary>The answer is put off, because it is complex or there are many, and the person is told (Art 12(3)).</summary>
    public RequestMove Extend(int months, DateTimeOffset now) =>
        !IsOpen ? RequestMove.Refused(WhyClosed)
        : Kind == RequestKind.Complaint ? RequestMove.Refused("The clock of a complaint is not extended: it is acknowledged within 30 days.")
        : ExtendedMonths == months ? RequestMove.Unchanged(this)
        : ExtendedMonths > months ? RequestMove.Refused("It was extended by more than this already.")
        : now > ExtensionNoticeDueAt(now) ? RequestMove.Refused("The person has to be told of an extension within the first month, and that has passed.")
        : RequestMove.To(this with { ExtendedMonths = months });

    /// <summary>
    /// It was done. <paramref name="delivery"/> is how, where a copy was asked for. One that the mail did not bring can be handed
    /// over after all.
    /// </summary>
    public RequestMove Complete(RequestDelivery delivery, DateTimeOffset now) =>
        Status == RequestStatus.Completed && Delivered == RequestDelivery.Mail && delivery == RequestDelivery.ByHand ? RequestMove.To(this with { Delivered = delivery })
        : Status == RequestStatus.Completed ? RequestMove.Unchanged(this)
        : Status == RequestStatus.Refused ? RequestMove.Refused("It was refused. If it is to be done after all, receive it again.")
        : Status == RequestStatus.Paused ? RequestMove.Refused("The clock is stopped: what was asked of the person has not been answered. Resume it first.")
        : RequestMove.To(this with { Status = RequestStatus.Completed, ClosedAt = now, Delivered = AsksForCopy ? delivery : null });

    /// <summary>It was refused, and the person told why and to whom they can complain (Art 12(4)).</summary>
    public RequestMove Refuse(DateTimeOffset now) =>
        Status == RequestStatus.Refused ? RequestMove.Unchanged(this)
        : Status == RequestStatus.Completed ? RequestMove.Refused("It was completed.")
        : Kind == RequestKind.Objection ? RequestMove.Refused("An objection to direct marketing can't be refused (Article 21(3)). Complete it.")
        : RequestMove.To(this with { Status = RequestStatus.Refused, PausedAt = null, PausedFor = Paused(now), ClosedAt = now });

    private const string WhyClosed = "It is closed: completed or refused. What comes after that is a request of its own.";

    private TimeSpan Paused(DateTimeOffset now) => PausedFor + (PausedAt is { } since && now > since ? now - since : TimeSpan.Zero);
}

/// <summary>What a step comes to.</summary>
/// <param name="Request">How the request stands after it; null if the step can't be taken.</param>
/// <param name="IsNew">False if it had been taken already.</param>
/// <param name="Why">Why it can't be taken.</param>
public readonly record struct RequestMove(RightsRequest? Request, bool IsNew, string? Why)
{
    /// <summary>The step is taken.</summary>
    public static RequestMove To(RightsRequest request) => new(request, true, null);

    /// <summary>It has been taken already.</summary>
    public static RequestMove Unchanged(RightsRequest request) => new(request, false, null);

    /// <summary>It can't be taken.</summary>
    public static RequestMove Refused(string why) => new(null, false, why);
}

/// <summary>What people ask for.</summary>
[JsonConverter(typeof(LabelJsonConverter<RequestKind>))]
public enum RequestKind
{
    /// <summary>A copy of what is held, and what goes with it (Art 15).</summary>
    Access,

    /// <summary>To be forgotten (Art 17).</summary>
    Erasure,

    /// <summary>To have something put right, such as the address (Art 16).</summary>
    Rectification,

    /// <summary>That nothing is done with it but keeping it (Art 18).</summary>
    Restriction,

    /// <summary>That it is not used for direct marketing (Art 21).</summary>
    Objection,

    /// <summary>What they gave, in a form that a machine reads (Art 20).</summary>
    Portability,

    /// <summary>A complaint about how their data is used (Data Protection Act 2018 s164A, FACTS 36).</summary>
    Complaint,
}

/// <summary>How a copy of what is held comes to the person.</summary>
[JsonConverter(typeof(LabelJsonConverter<RequestDelivery>))]
public enum RequestDelivery
{
    /// <summary>The service mails a link, by which the person downloads it.</summary>
    Mail,

    /// <summary>Somebody handed it over, or sent it by other means.</summary>
    ByHand,
}

/// <summary>How far a request is.</summary>
[JsonConverter(typeof(LabelJsonConverter<RequestStatus>))]
public enum RequestStatus
{
    /// <summary>The clock runs.</summary>
    Open,

    /// <summary>The clock stands still until the person answers.</summary>
    Paused,

    /// <summary>It was done.</summary>
    Completed,

    /// <summary>It was refused, with a reason.</summary>
    Refused,
}

/// <summary>Something that was done about a request.</summary>
[JsonConverter(typeof(LabelJsonConverter<RequestStep>))]
public enum RequestStep
{
    /// <summary>It came.</summary>
    Received,

    /// <summary>The person was told so.</summary>
    Acknowledged,

    /// <summary>The clock was stopped.</summary>
    Paused,

    /// <summary>The clock went on.</summary>
    Resumed,

    /// <summary>The answer was put off.</summary>
    Extended,

    /// <summary>It was done.</summary>
    Completed,

    /// <summary>It was refused.</summary>
    Refused,
}
