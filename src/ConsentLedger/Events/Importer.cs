using System.Collections.Frozen;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Unicode;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Events;

/// <summary>What an import is asked to do.</summary>
public sealed record ImportOptions
{
    /// <summary>True to append nothing and only report.</summary>
    public bool DryRun { get; init; }

    /// <summary>True to append also rows that bring back someone who said no.</summary>
    public bool AllowResubscribe { get; init; }

    /// <summary>Which purposes, by key, may be used; <c>*</c> stands for all.</summary>
    public Func<string, bool> MayUse { get; init; } = _ => true;

    /// <summary>For the audit trail: written before anything is appended, so that an import cut short by a crash is there too.</summary>
    internal AuditEntry Started() => new(AuditAction.ImportStarted)
    {
        Details = new Dictionary<string, string> { ["dryRun"] = DryRun ? "true" : "false", ["allowResubscribe"] = AllowResubscribe ? "true" : "false" },
    };
}

/// <summary>
/// Brings a list into the ledger: reads it while it arrives, in memory that does not grow with it, checks every row by
/// itself, and appends those that can be events once the whole list is there.
/// </summary>
public sealed class Importer(
    LedgerDatabase database, PurposeCatalogue purposes, SubscriberIds subscribers, KeyRing keys, Sealer sealer, LedgerMetrics metrics, TimeProvider clock)
{
    /// <summary>What is said of a row that is held back.</summary>
    internal const string WhyHeldBack = "This would bring back someone who said no; import with allowResubscribe=true if they have agreed since.";

    // As many pieces as are read, checked and written at the same time; each is a few megabytes when it is checked.
    private const int PiecesAhead = 3;

    /// <summary>
    /// Imports a list. What is durable and what a crash leaves: see <see cref="BulkAppend"/>; importing it again
    /// completes it and changes nothing else.
    /// </summary>
    /// <param name="file">The list; read to its end once.</param>
    /// <param name="format">How it is written.</param>
    /// <param name="options">What to do.</param>
    /// <param name="progress">Told, now and then, how many records were read.</param>
    /// <param name="arriving">Ends an import whose list no longer arrives, with nothing appended.</param>
    /// <param name="stopping">Ends it between two batches.</param>
    /// <returns>The report, or why nothing of the file could be read.</returns>
    public async Task<(ImportReport? Report, ImportFault? Fault)> RunAsync(
        Stream file, ImportFormat format, ImportOptions options, IProgress<long>? progress, CancellationToken arriving, CancellationToken stopping)
    {
        using var background = new BackgroundThreads(Math.Min(PiecesAhead, Environment.ProcessorCount));
        try
        {
            return (await background.RunAsync(() => ImportAsync(file, format, options, progress, arriving, stopping)), null);
        }
        catch (UnreadableFileException unreadable)
        {
            return (null, new ImportFault(unreadable.Path, unreadable.Message));
        }
    }

    private async Task<ImportReport> ImportAsync(
        Stream file, ImportFormat format, ImportOptions options, IProgress<long>? progress, CancellationToken arriving, CancellationToken stopping)
    {
        var known = (await purposes.ListAsync(arriving)).Where(purpose => options.MayUse(purpose.Key)).ToFrozenDictionary(purpose => purpose.Key);
        var mayUseAll = options.MayUse(PurposeKey.All);
        await using var append = await BulkAppend.OpenAsync(database, metrics, arriving);
        var problems = new FirstProblems();
        var used = new HashSet<Purpose>();
        long received = 0, rejected = 0;
        var recognised = false;
        await foreach (var piece in CheckAsync(file, format, () => new RowRules(known, mayUseAll, clock.GetUtcNow()), arriving))
        {
            await append.StageAsync(piece.Rows, arriving);
            piece.Rows.Dispose();
            piece.Problems.ForEach(problems.Add);
            used.UnionWith(piece.Purposes);
            received += piece.Rows.Count + piece.Rejected;
            rejected += piece.Rejected;
            recognised |= piece.Recognised;
            progress?.Report(received);
        }

        if (received > 0 && !recognised)
        {
            throw new UnreadableFileException("body", "Not one line of the file is a JSON object.");
        }

        if (!options.DryRun)
        {
            foreach (var purpose in used)
            {
                await purposes.MarkInUseAsync(purpose, clock.GetUtcNow(), stopping);
            }
        }

        long heldBack = 0;
        var appended = await append.ApplyAsync(options.AllowResubscribe, options.DryRun, HoldBack, stopping);
        return new ImportReport(received, appended, append.Staged - appended - heldBack, heldBack, rejected, problems.ToList());

        void HoldBack(long line)
        {
            heldBack++;
            problems.Add(new ImportProblem(line, EventFaultCode.Resubscribes, WhyHeldBack));
        }
    }

    /// <summary>Checks piece after piece, several at a time, and hands them on in the order of the file.</summary>
    private async IAsyncEnumerable<CheckedPiece> CheckAsync(
        Stream file, ImportFormat format, Func<RowRules> rules, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var abandoned = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        var pieces = System.Threading.Channels.Channel.CreateBounded<Task<CheckedPiece>>(PiecesAhead);
        var reading = ReadAsync();
        try
        {
            await foreach (var piece in pieces.Reader.ReadAllAsync(cancellation))
            {
                yield return await piece;
            }

            await reading;
        }
        finally
        {
            // The request's body must not be read any more once this has returned, whatever it returned for.
            await abandoned.CancelAsync();
            await reading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        async Task ReadAsync()
        {
            Exception? failure = null;
            try
            {
                var splitter = new RecordSplitter(file, quoting: format == ImportFormat.Csv);
                IRecordReader? reader = format == ImportFormat.NdJson ? new NdJsonRecordReader() : null;
                while (await splitter.ReadAsync(abandoned.Token) is { } piece)
                {
                    reader ??= ReadHeader(piece);
                    var (ready, current) = (reader, rules());
                    await pieces.Writer.WriteAsync(Task.Factory.StartNew(() => Check(piece, ready, current), CancellationToken.None, TaskCreationOptions.DenyChildAttach, TaskScheduler.Current), abandoned.Token);
                }

                if (reader is null)
                {
                    throw new UnreadableFileException("body", "The file is empty: it lacks its header row.");
                }
            }
            catch (Exception unread)
            {
                failure = unread;
                throw;
            }
            finally
            {
                pieces.Writer.Complete(failure);
            }
        }
    }

    private static CsvRecordReader ReadHeader(FilePiece piece)
    {
        var header = piece.Records[0];
        piece.Records.RemoveAt(0);
        return header.State == RecordState.Whole && Utf8.IsValid(piece[header].Span)
            ? CsvRecordReader.Of(piece[header].Span)
            : throw new UnreadableFileException("body", "The header row is not CSV in UTF-8.");
    }

    private CheckedPiece Check(FilePiece piece, IRecordReader reader, RowRules rules)
    {
        using (piece)
        {
            var result = new CheckedPiece();
            var row = new ImportRow();
            foreach (var record in piece.Records)
            {
                row.Clear();
                Check(piece, record, reader, rules, row, result);
            }

            return result;
        }
    }

    private void Check(FilePiece piece, FileRecord record, IRecordReader reader, RowRules rules, ImportRow row, CheckedPiece result)
    {
        var bytes = piece[record];
        if (!Utf8.IsValid(bytes.Span))
        {
            throw new UnreadableFileException(
                "body", string.Create(CultureInfo.InvariantCulture, $"The file is not UTF-8: the record on line {record.Line} is not."));
        }

        var malformed = record.State switch
        {
            RecordState.TooLong => $"The record is longer than {RecordSplitter.MaxRecord / 1024} KiB.",
            RecordState.Unclosed => "A quoted field is not closed before the end of the file.",
            _ => reader.Read(bytes, row),
        };
        if (malformed is not null)
        {
            result.Recognised |= record.State == RecordState.Whole && reader.Recognises(bytes);
            result.Reject(new ImportProblem(record.Line, EventFaultCode.Malformed, malformed));
            return;
        }

        result.Recognised = true;
        if (rules.Read(row, out var fault) is not { } draft)
        {
            result.Reject(new ImportProblem(record.Line, fault!.Code, fault.Detail));
            return;
        }

        var subscriber = subscribers.Of(draft.Address);
        var @event = EventRules.Accept(draft, subscriber, EventRules.IdByContent(draft, subscriber, keys), rules.Now);
        result.Accept(record.Line, LedgerRow.Of(@event, draft.Address, sealer, subscribers), draft.Purpose);
    }
}

/// <summary>What the rows of one piece of a file come to.</summary>
internal sealed class CheckedPiece
{
    /// <summary>Those that can be events, as they are staged. Whoever takes the piece gives them back.</summary>
    public CopyRows Rows { get; } = new();

    public List<ImportProblem> Problems { get; } = [];

    public HashSet<Purpose> Purposes { get; } = new(ReferenceEqualityComparer.Instance);

    public long Rejected { get; private set; }

    /// <summary>True if any record was of the format that the file is said to have.</summary>
    public bool Recognised { get; set; }

    public void Accept(long line, LedgerRow row, Purpose? purpose)
    {
        BulkAppend.Add(Rows, line, row);
        if (purpose is not null)
        {
            Purposes.Add(purpose);
        }
    }

    public void Reject(ImportProblem problem)
    {
        Rejected++;
        Problems.Add(problem);
    }
}
