using System.Text.Json.Serialization;
using ConsentLedger.Database;
using ConsentLedger.Ledger;

namespace ConsentLedger.Feedback;

/// <summary>What a mail system can say of a message it was to deliver.</summary>
[JsonConverter(typeof(LabelJsonConverter<FeedbackKind>))]
public enum FeedbackKind
{
    /// <summary>The address does not take mail and never will.</summary>
    HardBounce,

    /// <summary>This message was given up; another may get through.</summary>
    SoftBounce,

    /// <summary>The recipient marked it as spam.</summary>
    Complaint,

    /// <summary>It was delivered.</summary>
    Delivery,
}

/// <summary>One thing a provider says, read and not yet believed.</summary>
internal sealed record Report
{
    /// <summary>Whom the message was for, as the provider writes it.</summary>
    public string? Address { get; init; }

    /// <summary>What became of it; null for what nothing follows from.</summary>
    public FeedbackKind? Kind { get; init; }

    /// <summary>When; null if it is not said.</summary>
    public DateTimeOffset? OccurredAt { get; init; }

    /// <summary>What the provider calls this report, however often it sends it; null if nothing.</summary>
    public string? Id { get; init; }

    /// <summary>What the receiving mail system had to say.</summary>
    public string? Detail { get; init; }

    /// <summary>Something that nothing follows from: an open, a click, a message that was accepted.</summary>
    public static readonly Report OfNothing = new();
}

/// <summary>
/// What became of the reports: <c>received</c> = <c>suppressed + counted + unchanged + ignored + rejected</c>.
/// </summary>
/// <param name="Received">Reports read.</param>
/// <param name="Suppressed">Those that are <c>suppressed</c> events in the ledger now, and were not before.</param>
/// <param name="Counted">Soft bounces that were counted and were not enough.</param>
/// <param name="Unchanged">Those that came before.</param>
/// <param name="Ignored">Those that nothing follows from: deliveries, opens, messages that are still being tried.</param>
/// <param name="Rejected">Those that can't be a report.</param>
/// <param name="Problems">Which those are.</param>
public sealed record FeedbackAnswer(
    int Received, int Suppressed, int Counted, int Unchanged, int Ignored, int Rejected, IReadOnlyList<FeedbackProblem> Problems);

/// <summary>Why a report was not taken. It never repeats what the report says.</summary>
/// <param name="Index">Its place among the reports sent, from 0.</param>
/// <param name="Code">Which rule.</param>
/// <param name="Detail">A sentence for people.</param>
public sealed record FeedbackProblem(int Index, EventFaultCode Code, string Detail);
