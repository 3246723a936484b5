using System.Text.Json.Serialization;
using ConsentLedger.Database;

namespace ConsentLedger.Retention;

/// <summary>One run over everything that is due, as the API shows it.</summary>
/// <param name="Id">A UUIDv7.</param>
/// <param name="Status">How far it is.</param>
/// <param name="Trigger">What asked for it.</param>
/// <param name="DryRun">True if it only counts what would go.</param>
/// <param name="RequestedAt">When it was asked for.</param>
/// <param name="StartedAt">When it first started; null while it waits. A run that a crash interrupted goes on under its first start.</param>
/// <param name="FinishedAt">When it ended; null until then.</param>
/// <param name="Purged">How many purge records it made, by rule; of a dry run, how many it would have made.</param>
/// <param name="Expired">How many <c>expired</c> events it appended; of a dry run, would have appended.</param>
/// <param name="HeldBack">How many subscribers had something due and kept it, because of a legal hold or a restriction; known when the run ends.</param>
public sealed record PurgeRun(
    Guid Id, PurgeStatus Status, PurgeTrigger Trigger, bool DryRun, DateTimeOffset RequestedAt, DateTimeOffset? StartedAt,
    DateTimeOffset? FinishedAt, PurgeCounts Purged, long Expired, long HeldBack)
{
    /// <summary>True while it waits or runs.</summary>
    [JsonIgnore]
    public bool IsOpen => Status is PurgeStatus.Pending or PurgeStatus.Running;
}

/// <summary>How many records went by each rule: events with their evidence, evidence alone, addresses, or what shows that the law was kept.</summary>
/// <param name="Ended">Events of purposes that ended.</param>
/// <param name="Lapsed">Events of consents that lapsed.</param>
/// <param name="Pending">Requests that nothing followed.</param>
/// <param name="Evidence">Evidence that went before its event.</param>
/// <param name="Facets">Events at <c>*</c>; what they forbid stays in force.</param>
/// <param name="Address">Addresses of subscribers of whom no event is left.</param>
/// <param name="Requests">What people asked for, closed long ago.</param>
/// <param name="Audit">Entries of the audit trail of long ago.</param>
public sealed record PurgeCounts(
    long Ended = 0, long Lapsed = 0, long Pending = 0, long Evidence = 0, long Facets = 0, long Address = 0, long Requests = 0, long Audit = 0)
{
    /// <summary>All together.</summary>
    [JsonIgnore]
    public long Total => Ended + Lapsed + Pending + Evidence + Facets + Address + Requests + Audit;
}

/// <summary>How far a run is.</summary>
[JsonConverter(typeof(LabelJsonConverter<PurgeStatus>))]
public enum PurgeStatus
{
    /// <summary>Asked for; no instance has taken it up yet.</summary>
    Pending,

    /// <summary>Taken up. If the instance that did so is gone, the next leader goes on with it.</summary>
    Running,

    /// <summary>Done.</summary>
    Completed,

    /// <summary>Given up because of a defect; what it had deleted is recorded. The next run starts over.</summary>
    Failed,
}

/// <summary>What asked for a run.</summary>
[JsonConverter(typeof(LabelJsonConverter<PurgeTrigger>))]
public enum PurgeTrigger
{
    /// <summary>The schedule.</summary>
    Schedule,

    /// <summary>A call.</summary>
    Api,

    /// <summary>The command line.</summary>
    Cli,
}
