using System.Globalization;

namespace ConsentLedger.Purposes;

/// <summary>
/// What each purpose is called by, and <c>*</c> for the facets that stand for all. A purpose that is not there, as after a
/// restore of a back-up from before it was made, is called by its number: what is recorded of it can still be read.
/// </summary>
public sealed class PurposeKeys
{
    private readonly Dictionary<PurposeId, string> keys;
    private readonly Dictionary<string, PurposeId> ids;

    internal PurposeKeys(IEnumerable<Purpose> purposes)
    {
        keys = purposes.ToDictionary(purpose => purpose.Id, purpose => purpose.Key);
        ids = keys.ToDictionary(pair => pair.Value, pair => pair.Key, StringComparer.Ordinal);
    }

    /// <summary>What a purpose or a facet is called by.</summary>
    public string Of(PurposeId id) =>
        id.IsFacet ? PurposeKey.All : keys.GetValueOrDefault(id) ?? string.Create(CultureInfo.InvariantCulture, $"unknown-{id.Value}");

    /// <summary>Every key there is, <c>*</c> aside.</summary>
    public IReadOnlyCollection<string> All => ids.Keys;

    /// <summary>The purpose that is called so; null if there is none.</summary>
    public PurposeId? Find(string key) => ids.TryGetValue(key, out var id) ? id : null;
}
