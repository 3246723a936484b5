namespace ConsentLedger.Database;

/// <summary>Where an installation keeps what is not in the database.</summary>
/// <param name="Path">The folder; it is there.</param>
public sealed record DataDirectory(string Path);
