namespace ConsentLedger.Database;

/// <summary>
/// A setting or the environment is wrong, and a person has to put it right.
/// The message is shown alone, without a stack trace, so it says in one line what is wrong and what to do,
/// and it never holds a secret or an address.
/// </summary>
public sealed class StartupException : Exception
{
    /// <summary>Makes an exception without a message; prefer one that says what to do.</summary>
    public StartupException()
    {
    }

    /// <summary>Makes an exception with the line that is shown.</summary>
    public StartupException(string message)
        : base(message)
    {
    }

    /// <summary>Makes an exception with the line that is shown, and the fault behind it for whoever debugs.</summary>
    public StartupException(string message, Exception innerException)
        : base(message, innerException)
    {
    }
}
