namespace ConsentLedger.Database;

/// <summary>What <see cref="PostgresServer"/> needs to know to come up with a server.</summary>
public sealed record PostgresOptions
{
    /// <summary>The setting <c>ConnectionStrings:Ledger</c>; when null or blank, a private cluster is kept.</summary>
    public string? ConnectionString { get; init; }

    /// <summary>The folder that private clusters live under. Made when missing.</summary>
    public required string DataDirectory { get; init; }

    /// <summary>
    /// Whether a committed row survives a power cut. False only in tests, where it trades that for speed.
    /// </summary>
    public bool Durable { get; init; } = true;

    /// <summary>
    /// The folders to look for PostgreSQL's programs in; null for <c>PATH</c> and the places that packages install to.
    /// </summary>
    public IReadOnlyList<string>? BinaryFolders { get; init; }

    /// <summary>How long a configured server that does not answer yet is waited for: a database container may come up later.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Told, in one line each, of what takes long: making a cluster, downloading.</summary>
    public Action<string>? Progress { get; init; }
}
