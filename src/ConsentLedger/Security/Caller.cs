using System.Collections.Frozen;

namespace ConsentLedger.Security;

/// <summary>Who calls: the key that was shown, what it may do and for which purposes (null for all).</summary>
public sealed record Caller(Guid KeyId, FrozenSet<string> Scopes, FrozenSet<string>? Purposes)
{
    /// <summary>True if the key has this scope.</summary>
    public bool Has(string scope) => Scopes.Contains(scope);

    /// <summary>True if the key may be used for this purpose; for <c>*</c> only if it is bound to none.</summary>
    public bool MayUse(string purpose) => Purposes is null || Purposes.Contains(purpose);
}
