namespace ConsentLedger.Http;

/// <summary>How lists are cut into pages: <c>?limit=</c> and <c>?cursor=</c>.</summary>
public static class Paging
{
    /// <summary>The problem with a limit, or null.</summary>
    public static Problem? Check(int limit) =>
        limit is < 1 or > Page<object>.MaxLimit ? Problem.Invalid("limit", $"This is 1 to {Page<object>.MaxLimit}.") : null;

    /// <summary>The first <paramref name="limit"/> of what is left, and where the next page starts if there is one.</summary>
    public static Page<T> PageOf<T>(IEnumerable<T> rest, int limit, Func<T, string> cursor)
    {
        var items = rest.Take(limit + 1).ToList();
        if (items.Count <= limit)
        {
            return new Page<T>(items, null);
        }

        items.RemoveAt(limit);
        return new Page<T>(items, cursor(items[^1]));
    }
}
