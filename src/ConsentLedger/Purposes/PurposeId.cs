namespace ConsentLedger.Purposes;

/// <summary>
/// A purpose as the database and unsubscribe tokens number it. Positive for a purpose; 0, -1 and -2 stand for all
/// purposes (<c>*</c>) and are the three independent facets that hold there.
/// </summary>
public readonly record struct PurposeId(int Value)
{
    /// <summary>All direct marketing is objected to.</summary>
    public static readonly PurposeId Objection = new(0);

    /// <summary>The address is suppressed: hard bounce, complaint or preference service.</summary>
    public static readonly PurposeId Suppression = new(-1);

    /// <summary>Processing is restricted (UK GDPR Art 18).</summary>
    public static readonly PurposeId Restriction = new(-2);

    /// <summary>True for the three facets at <c>*</c>.</summary>
    public bool IsFacet => Value <= 0;
}
