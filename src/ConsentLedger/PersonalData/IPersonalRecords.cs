using ConsentLedger.Subscribers;
using Npgsql;

namespace ConsentLedger.PersonalData;

/// <summary>
/// One kind of record that is kept about people: a table, or a folder. Whoever keeps such records adds one of these to
/// the container, and with it they are in every export and go with every erasure. A test holds the tables of the
/// database against <see cref="Columns"/>, so that a new one can't be forgotten.
/// </summary>
public interface IPersonalRecords
{
    /// <summary>
    /// What they are called in an export, in camelCase: the member of its JSON, the name of its CSV file, and the last
    /// part of the heading's key in <see cref="Pages.PageTexts"/>, <c>export.section.{name}</c>.
    /// </summary>
    string Name { get; }

    /// <summary>True for what only tells how records were handled: of somebody of whom there is nothing else, nothing is held.</summary>
    bool TellsOfHandling => false;

    /// <summary>The columns of the database that come out in them, as <c>table.column</c>; sealed ones come out opened.</summary>
    IReadOnlyList<string> Columns { get; }

    /// <summary>
    /// The columns of the CSV file: the paths of the JSON's members, with dots where they nest. What nests deeper than
    /// that is written as JSON.
    /// </summary>
    IReadOnlyList<string> Fields { get; }

    /// <summary>
    /// Everything there is about a subscriber, one record at a time, each as the JSON shows it; none holds on to the ones
    /// before. Reads only what the connection's transaction sees, so that all kinds of record tell of one moment.
    /// </summary>
    IAsyncEnumerable<object> ReadAsync(NpgsqlConnection connection, SubscriberId subscriber, CancellationToken cancellation);

    /// <summary>
    /// Deletes what an erasure takes, as consentledger_purge and in the erasure's transaction; it may be called again
    /// for the same subscriber. Nothing, for records that are kept to show that the law was kept, or that the erasure
    /// itself deletes, which are those of the ledger.
    /// </summary>
    Task EraseAsync(NpgsqlConnection connection, SubscriberId subscriber, CancellationToken cancellation) => Task.CompletedTask;
}
