using System.Globalization;
using ConsentLedger.Ledger;
using ConsentLedger.Security;

namespace ConsentLedger.Events;

/// <summary>What became of a list: <c>received</c> = <c>appended + unchanged + heldBack + rejected</c>.</summary>
/// <param name="Received">Records read; blank lines and the header are none.</param>
/// <param name="Appended">Events that are in the ledger now and were not before; in a dry run, that would be.</param>
/// <param name="Unchanged">Rows that say what an event in the ledger, or an earlier row, says already.</param>
/// <param name="HeldBack">Rows that would bring back someone who said no.</param>
/// <param name="Rejected">Rows that can't be an event.</param>
/// <param name="Problems">The first 1,000 rows, by line, that were rejected or held back.</param>
public sealed record ImportReport(
    long Received, long Appended, long Unchanged, long HeldBack, long Rejected, IReadOnlyList<ImportProblem> Problems)
{
    /// <summary>For the audit trail.</summary>
    internal AuditEntry Finished() => new(AuditAction.ImportFinished)
    {
        Details = new Dictionary<string, string>
        {
            ["received"] = Received.ToString(CultureInfo.InvariantCulture),
            ["appended"] = Appended.ToString(CultureInfo.InvariantCulture),
            ["unchanged"] = Unchanged.ToString(CultureInfo.InvariantCulture),
            ["heldBack"] = HeldBack.ToString(CultureInfo.InvariantCulture),
            ["rejected"] = Rejected.ToString(CultureInfo.InvariantCulture),
        },
    };
}

/// <summary>Why a row was not taken. It never repeats what the row says.</summary>
/// <param name="Line">Where the record starts; a CSV file's header is line 1.</param>
/// <param name="Code">Which rule.</param>
/// <param name="Detail">A sentence for people.</param>
public sealed record ImportProblem(long Line, EventFaultCode Code, string Detail);

/// <summary>The file as a whole can't be read, and nothing of it was appended.</summary>
/// <param name="Path">The column it is about, or <c>body</c>.</param>
/// <param name="Detail">A sentence for people.</param>
public sealed record ImportFault(string Path, string Detail);

/// <summary>Keeps the problems of the lowest lines, whatever order they are found in.</summary>
internal sealed class FirstProblems
{
    private const int Kept = 1000;

    private readonly PriorityQueue<ImportProblem, long> problems = new(Comparer<long>.Create((left, right) => right.CompareTo(left)));

    public void Add(ImportProblem problem)
    {
        if (problems.Count < Kept)
        {
            problems.Enqueue(problem, problem.Line);
        }
        else
        {
            problems.EnqueueDequeue(problem, problem.Line);
        }
    }

    public IReadOnlyList<ImportProblem> ToList() => [.. problems.UnorderedItems.Select(item => item.Element).OrderBy(problem => problem.Line)];
}
