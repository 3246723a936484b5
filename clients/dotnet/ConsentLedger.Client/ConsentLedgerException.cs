namespace ConsentLedger.Client;

/// <summary>
/// The ledger could not be asked, or did not answer whole: no message may be sent. It shows no address, and neither do the
/// exceptions in it.
/// </summary>
public sealed class ConsentLedgerException : Exception
{
    internal ConsentLedgerException(string message, int? status = null, Exception? inner = null)
        : base(message, inner) => Status = status;

    /// <summary>The status of the answer; null if there was none.</summary>
    public int? Status { get; }
}
