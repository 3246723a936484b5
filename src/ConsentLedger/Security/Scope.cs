namespace ConsentLedger.Security;

/// <summary>What an API key may do.</summary>
public static class Scope
{
#pragma warning disable CS1591 // Each name says it: what it is about, and what it may do there.
    public const string PurposesRead = "purposes:read";
    public const string PurposesWrite = "purposes:write";
    public const string EventsWrite = "events:write";
    public const string EventsImport = "events:import";
    public const string SubscribersRead = "subscribers:read";
    public const string SubscribersExport = "subscribers:export";
    public const string SubscribersErase = "subscribers:erase";
    public const string ChecksRead = "checks:read";
    public const string FormsWrite = "forms:write";
    public const string SignUpsWrite = "signups:write";
    public const string RightsRead = "rights:read";
    public const string RightsWrite = "rights:write";
    public const string RetentionRead = "retention:read";
    public const string RetentionRun = "retention:run";
    public const string BreachesRead = "breaches:read";
    public const string BreachesWrite = "breaches:write";
    public const string RecordsRead = "records:read";
    public const string AuditRead = "audit:read";
    public const string KeysWrite = "keys:write";
    public const string ChangesRead = "changes:read";
    public const string WebhooksWrite = "webhooks:write";
    public const string FeedbackWrite = "feedback:write";
#pragma warning restore CS1591

    /// <summary>Every scope.</summary>
    public static IReadOnlyList<string> All { get; } =
    [
        PurposesRead, PurposesWrite, EventsWrite, EventsImport, SubscribersRead, SubscribersExport, SubscribersErase,
        ChecksRead, FormsWrite, SignUpsWrite, RightsRead, RightsWrite, RetentionRead, RetentionRun, BreachesRead,
        BreachesWrite, RecordsRead, AuditRead, KeysWrite, ChangesRead, WebhooksWrite, FeedbackWrite,
    ];
}
