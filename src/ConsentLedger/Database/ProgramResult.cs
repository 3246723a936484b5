namespace ConsentLedger.Database;

/// <summary>How a program ended.</summary>
/// <param name="ExitCode">Zero for success.</param>
/// <param name="Output">What it wrote, its errors first, in one line.</param>
public readonly record struct ProgramResult(int ExitCode, string Output);
