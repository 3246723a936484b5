using System.Reflection;

namespace ConsentLedger.Database;

/// <summary>The files of <c>sql/</c>, as they were when this was built.</summary>
public static class EmbeddedSql
{
    /// <summary>The text of one file: <c>rebuild_state.sql</c>, <c>migrations/0001_ledger.sql</c>.</summary>
    public static string Read(string name)
    {
        using var stream = Assembly.GetExecutingAssembly().GetManifestResourceStream(name)
            ?? throw new ArgumentException($"There is no {name} in this build.", nameof(name));
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
