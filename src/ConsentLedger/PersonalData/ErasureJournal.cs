using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;

namespace ConsentLedger.PersonalData;

/// <summary>
/// What a database that is restored from a back-up must learn of again: every erasure, and every event that forbids. It is
/// kept outside the database, in a folder of its own that is only ever added to, and holds keyed ids, times and kinds, and
/// no more: without the master key it says nothing about anybody.
/// </summary>
/// <remarks>
/// A process writes a file of its own, so that instances that share the folder (<c>ConsentLedger:JournalDirectory</c>) do
/// not get into each other's way; at its start each reads all that are there. A line is on the disk when
/// <see cref="WriteAsync"/> returns. A crash leaves whole lines, and at the end at most one that is torn, of which nobody
/// was told: it is cut off.
/// </remarks>
public sealed class ErasureJournal : IDisposable
{
    private const string Ending = ".journal";
    private const string LockEnding = ".lock";

    private readonly string folder;
    private readonly SemaphoreSlim writing = new(1, 1);
    private readonly SortedSet<long> unapplied = [];
    private FileStream? held;
    private FileStream? file;

    /// <summary>Opens the folder; the file is made with the first line.</summary>
    public ErasureJournal(string folder)
    {
        this.folder = folder;
        if (OperatingSystem.IsWindows())
        {
            Directory.CreateDirectory(folder);
        }
        else
        {
            Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
    }

    /// <summary>Where it lies: the folder that is set, else one in the data directory.</summary>
    public static string FolderOf(IConfiguration configuration, string dataDirectory) =>
        configuration["ConsentLedger:JournalDirectory"] is { Length: > 0 } shared ? Path.GetFullPath(shared) : Path.Combine(dataDirectory, "journal");

    /// <summary>Every journal in the folder, this process's own among them.</summary>
    public IReadOnlyList<Guid> Journals => [.. Directory.EnumerateFiles(folder, "*" + Ending)
        .Select(path => Guid.TryParseExact(Path.GetFileNameWithoutExtension(path), "N", out var id) ? id : Guid.Empty)
        .Where(id => id != Guid.Empty)
        .Order()];

    /// <summary>How long a journal is, in bytes; 0 for one that is not there.</summary>
    public long LengthOf(Guid journal) => new FileInfo(PathOf(journal)) is { Exists: true } found ? found.Length : 0;

    /// <summary>This process's own; null until it has opened one.</summary>
    public Guid? Own { get; private set; }

    /// <summary>How long the process's own journal was when it was opened: what others had written into it.</summary>
    public long TakenOverAt { get; private set; }

    /// <summary>Opens the process's own journal, as the first line does: one that no other process has, or a new one.</summary>
    /// <exception cref="IOException">It can't be opened.</exception>
    public async Task OpenAsync(CancellationToken cancellation)
    {
        await writing.WaitAsync(cancellation);
        try
        {
            file ??= await Task.Run(OpenOwn, CancellationToken.None);
        }
        finally
        {
            writing.Release();
        }
    }

    /// <summary>Up to where, in bytes, everything in the process's own journal is in the database too.</summary>
    public long AppliedUntil
    {
        get
        {
            lock (unapplied)
            {
                return unapplied.Count > 0 ? unapplied.Min : file?.Length ?? 0;
            }
        }
    }

    /// <summary>True if the database could not be told of something, and it is not known to have it yet.</summary>
    public bool HasFailed { get; private set; }

    /// <summary>Writes lines; when this returns they are on the disk.</summary>
    /// <param name="entries">What to write.</param>
    /// <param name="applied">False if the database does not have it yet: say so with <see cref="Applied"/> once it has.</param>
    /// <param name="cancellation">Ends the wait for others who write; never a write.</param>
    /// <returns>Where in the file the first of them starts.</returns>
    /// <exception cref="IOException">They can't be written; nothing of them is left.</exception>
    public async Task<long> WriteAsync(IReadOnlyCollection<JournalEntry> entries, bool applied, CancellationToken cancellation)
    {
        await writing.WaitAsync(cancellation);
        try
        {
            file ??= await Task.Run(OpenOwn, CancellationToken.None);
            var start = file.Length;
            lock (unapplied)
            {
                if (!applied)
                {
                    unapplied.Add(start);
                }
            }

            try
            {
                file.Position = start;
                var lines = Encoding.ASCII.GetBytes(string.Concat(entries.Select(entry => entry.ToLine())));
                await Task.Run(
                    () =>
                    {
                        file.Write(lines);
                        file.Flush(flushToDisk: true);
                    },
                    CancellationToken.None);
                return start;
            }
            catch
            {
                Applied(start);
                file.SetLength(start);
                throw;
            }
        }
        finally
        {
            writing.Release();
        }
    }

    /// <summary>Says that the database has what was written there.</summary>
    public void Applied(long start)
    {
        lock (unapplied)
        {
            unapplied.Remove(start);
        }
    }

    /// <summary>Says that the database could not be told of something that was written.</summary>
    public void Failed() => HasFailed = true;

    /// <summary>Says that it has been told of everything since.</summary>
    public void Recovered() => HasFailed = false;

    /// <summary>
    /// The entries of a journal from a place on, each with the place after it. Ends before a torn line at the end.
    /// </summary>
    /// <exception cref="StartupException">A line in the middle is damaged: what is behind it must not be passed over in silence.</exception>
    public IEnumerable<(JournalEntry Entry, long After)> ReadFrom(Guid journal, long place)
    {
        var path = PathOf(journal);
        using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        if (place > stream.Length)
        {
            // Somebody put an older copy of the journal there, of which the keeper warns. All of it is read again, which
            // changes nothing that is known.
            place = 0;
        }

        stream.Position = place;
        using var reader = new StreamReader(stream, Encoding.ASCII);
        while (reader.ReadLine() is { } line)
        {
            // A line that is torn has no end: then what is read is longer than the file says.
            var after = place + line.Length + 1;
            if (!JournalEntry.TryParse(line, out var entry) || after > stream.Length)
            {
                if (reader.Peek() >= 0)
                {
                    throw new StartupException($"The journal {path} is damaged at byte {place}. Put one back that is whole; without it, erasures after that place are lost.");
                }

                yield break;
            }

            place = after;
            yield return (entry, after);
        }
    }

    /// <inheritdoc />
    public void Dispose()
    {
        file?.Dispose();
        held?.Dispose();
        writing.Dispose();
    }

    private string PathOf(Guid journal) => Path.Combine(folder, journal.ToString("N") + Ending);

    /// <summary>Goes on with a journal that no other process has, or begins one. Durable, name and all, when this returns.</summary>
    private FileStream OpenOwn()
    {
        foreach (var journal in Journals.Append(Guid.CreateVersion7(TimeProvider.System.GetUtcNow())))
        {
            try
            {
                held = new FileStream(Path.ChangeExtension(PathOf(journal), LockEnding), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
            }
            catch (IOException)
            {
                // Another process has it.
                continue;
            }

            var options = new FileStreamOptions { Mode = FileMode.OpenOrCreate, Access = FileAccess.ReadWrite, Share = FileShare.ReadWrite | FileShare.Delete, BufferSize = 0 };
            if (!OperatingSystem.IsWindows())
            {
                options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
            }

            var opened = new FileStream(PathOf(journal), options);
            CutTornEnd(opened);
            DurableFile.FlushFolder(folder);
            Own = journal;
            TakenOverAt = opened.Length;
            return opened;
        }

        throw new IOException("No journal can be begun.");
    }

    private static void CutTornEnd(FileStream journal)
    {
        var length = Math.Min(journal.Length, 4096);
        var end = new byte[length];
        journal.Position = journal.Length - length;
        journal.ReadExactly(end);
        var last = Array.LastIndexOf(end, (byte)'\n');
        journal.SetLength(journal.Length - length + last + 1);
    }
}

/// <summary>One line of the <see cref="ErasureJournal"/>.</summary>
/// <param name="Kind">The kind of an event that forbids; null for an erasure.</param>
/// <param name="Subscriber">Whose.</param>
/// <param name="Purpose">For which purpose, by its key, which outlives a restore as its number may not; for a facet its number behind a star. Of an erasure it means nothing.</param>
/// <param name="EventId">The event, or the erasure.</param>
/// <param name="At">When it happened.</param>
public sealed record JournalEntry(EventKind? Kind, SubscriberId Subscriber, string Purpose, Guid EventId, DateTimeOffset At)
{
    /// <summary>What stands for all purposes, in an erasure.</summary>
    public const string Everything = "*0";

    private const string Erasure = "erased";
    private const int SumLength = 8;

    /// <summary>How a line names a purpose or a facet.</summary>
    public static string NameOf(PurposeId purpose, PurposeKeys keys) =>
        purpose.IsFacet ? string.Create(CultureInfo.InvariantCulture, $"*{purpose.Value}") : keys.Of(purpose);

    /// <summary>The purpose or facet that the line names; null while there is no such purpose.</summary>
    public PurposeId? PurposeIn(PurposeKeys keys) =>
        Purpose[0] == '*' ? new PurposeId(int.Parse(Purpose.AsSpan(1), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture)) : keys.Find(Purpose);

    /// <summary>The line, with its end.</summary>
    public string ToLine()
    {
        var text = string.Create(
            CultureInfo.InvariantCulture,
            $"{(Kind is { } kind ? Label<EventKind>.Of(kind) : Erasure)} {Subscriber.Value:N} {Purpose} {EventId:N} {Instant.Format(At)}");
        return $"{text} {Sum(text)}\n";
    }

    /// <summary>Reads a line; false for one that is torn or damaged.</summary>
    public static bool TryParse(string line, out JournalEntry entry)
    {
        entry = null!;
        if (line.Length <= SumLength + 1 || Sum(line[..^(SumLength + 1)]) != line[^SumLength..]
            || line.Split(' ') is not [var kind, var subscriber, var purpose, var id, var at, _]
            || !Guid.TryParseExact(subscriber, "N", out var holder) || !Guid.TryParseExact(id, "N", out var eventId)
            || !(PurposeKey.TryParse(purpose, null, out _) || purpose is "*0" or "*-1" or "*-2")
            || !Instant.TryParse(at, out var time))
        {
            return false;
        }

        EventKind? forbids = null;
        if (kind != Erasure)
        {
            if (!Label<EventKind>.TryParse(kind, out var known))
            {
                return false;
            }

            forbids = known;
        }

        entry = new JournalEntry(forbids, new SubscriberId(holder), purpose, eventId, time);
        return true;
    }

    private static string Sum(string text) => Convert.ToHexStringLower(SHA256.HashData(Encoding.ASCII.GetBytes(text)).AsSpan(0, SumLength / 2));
}
