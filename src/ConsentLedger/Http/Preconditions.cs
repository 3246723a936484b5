using Microsoft.Extensions.Primitives;
using Microsoft.Net.Http.Headers;

namespace ConsentLedger.Http;

/// <summary>Compares the versions a caller names with the one there is (RFC 9110 §13.1).</summary>
public static class Preconditions
{
    /// <summary>For If-Match: true if the list names this very version, or any by <c>*</c>. A weak tag never does.</summary>
    public static bool NamesExactly(this StringValues header, string etag) =>
        Tags(header).Any(tag => tag == EntityTagHeaderValue.Any || tag.Compare(new EntityTagHeaderValue(etag), useStrongComparison: true));

    /// <summary>For If-None-Match: true if the list names this version, weak or strong, or any by <c>*</c>.</summary>
    public static bool Names(this StringValues header, string etag) =>
        Tags(header).Any(tag => tag == EntityTagHeaderValue.Any || tag.Compare(new EntityTagHeaderValue(etag), useStrongComparison: false));

    // A list that can't be read names nothing.
    private static IList<EntityTagHeaderValue> Tags(StringValues header) =>
        EntityTagHeaderValue.TryParseList(header, out var tags) ? tags : [];
}
