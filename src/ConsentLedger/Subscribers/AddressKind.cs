namespace ConsentLedger.Subscribers;

/// <summary>The kinds of <see cref="Address"/>.</summary>
public enum AddressKind
{
    /// <summary>An e-mail address.</summary>
    Email,

    /// <summary>A telephone number in E.164.</summary>
    Phone,

    /// <summary>The organisation's own reference for someone it writes to by post.</summary>
    Reference,
}
