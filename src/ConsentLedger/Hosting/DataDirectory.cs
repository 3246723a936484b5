namespace ConsentLedger.Hosting;

/// <summary>Where the installation keeps what is not in the database.</summary>
/// <param name="Path">Absolute; it may not be there yet.</param>
public sealed record DataDirectory(string Path);
