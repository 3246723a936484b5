namespace ConsentLedger.Security;

/// <summary>What the <see cref="AuditTrail"/> records: what was done, in the past tense. A slug, as the database checks.</summary>
public static class AuditAction
{
#pragma warning disable CS1591 // Each name says it.
    public const string KeyCreated = "key-created";
    public const string KeyRevoked = "key-revoked";
    public const string PurposeCreated = "purpose-created";
    public const string PurposeChanged = "purpose-changed";
    public const string NoticePublished = "notice-published";
    public const string FormCreated = "form-created";
    public const string FormChanged = "form-changed";
    public const string SubscriberLookedUp = "subscriber-looked-up";
    public const string HistoryRead = "history-read";
    public const string SubscriberExported = "subscriber-exported";
    public const string PreferenceLinkMade = "preference-link-made";
    public const string SubscriberErased = "subscriber-erased";
    public const string SubscriberRectified = "subscriber-rectified";
    public const string ImportStarted = "import-started";
    public const string ImportFinished = "import-finished";
    public const string HoldPlaced = "hold-placed";
    public const string HoldLifted = "hold-lifted";
    public const string RequestsRead = "requests-read";
    public const string BreachLogged = "breach-logged";
    public const string BreachChanged = "breach-changed";
    public const string BreachAffectedListed = "breach-affected-listed";
    public const string RetentionExplained = "retention-explained";
    public const string HoldsRead = "holds-read";
    public const string PurgeRequested = "purge-requested";
#pragma warning restore CS1591
}
