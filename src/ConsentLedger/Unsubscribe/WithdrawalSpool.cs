using System.Security.Cryptography;
using System.Text.Json;
using ConsentLedger.Choices;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Unsubscribe;

/// <summary>
/// Withdrawals that were made while the ledger could not be asked, on disk until it can: a file each, sealed, since it
/// holds an IP address and a user agent.
/// </summary>
/// <remarks>
/// What is durable, and what a crash leaves:
/// <list type="number">
/// <item>The file is written, flushed and named. A crash before leaves no record, and the person was not answered.</item>
/// <item>The person is answered.</item>
/// <item>The withdrawal is applied. A crash after it leaves the record, and applying it again changes nothing: see
/// <see cref="Withdrawals.ApplyKeptAsync"/>.</item>
/// <item>The file is removed.</item>
/// </list>
/// </remarks>
public sealed partial class WithdrawalSpool : IDisposable
{
    private const string Kept = ".withdrawal";
    private const string Torn = ".unreadable";
    private const string Place = "withdrawal-spool";

    private readonly string folder;
    private readonly Sealer sealer;
    private readonly LedgerMetrics metrics;
    private readonly ILogger<WithdrawalSpool> log;
    private readonly SemaphoreSlim filled = new(0, 1);
    private readonly Lock counting = new();

    /// <summary>Opens it, with what an earlier run of the service left.</summary>
    public WithdrawalSpool(DataDirectory data, Sealer sealer, LedgerMetrics metrics, ILogger<WithdrawalSpool> log)
    {
        folder = Path.Combine(data.Path, "unsubscribes");
        this.sealer = sealer;
        this.metrics = metrics;
        this.log = log;
        Directory.CreateDirectory(folder);
        DurableFile.FlushFolder(data.Path);
        foreach (var unfinished in Directory.EnumerateFiles(folder, "*" + DurableFile.Unfinished))
        {
            // Nobody was told that it is kept. One from just now may be another instance's, which is not done yet.
            if (TimeProvider.System.GetUtcNow() - File.GetLastWriteTimeUtc(unfinished) > TimeSpan.FromMinutes(1))
            {
                File.Delete(unfinished);
            }
        }

        Count(Directory.EnumerateFiles(folder, "*" + Kept).Count());
    }

    /// <summary>Keeps a withdrawal. When this returns it is on the disk and will be applied, whatever happens.</summary>
    /// <exception cref="IOException">It can't be kept.</exception>
    public async Task KeepAsync(Withdrawal withdrawal)
    {
        var id = Guid.CreateVersion7(withdrawal.At);
        var record = new Record(
            withdrawal.Link.Purpose.Value, withdrawal.Link.Subscriber.Value, withdrawal.At, Label<WithdrawalWay>.Of(withdrawal.How),
            withdrawal.Ip, withdrawal.UserAgent);
        var content = sealer.Seal(JsonSerializer.SerializeToUtf8Bytes(record), SealedPlace.Of(Place, id));
        await Task.Run(() => DurableFile.Write(PathOf(id), content));
        Count(+1);
        LogKept(id);
    }

    /// <summary>Waits until there is something to apply.</summary>
    internal Task WaitAsync(CancellationToken cancellation) => filled.WaitAsync(cancellation);

    /// <summary>
    /// What is kept, the oldest first. A record that can't be read, because it is torn or was sealed under other keys, is
    /// put aside with one line in the log.
    /// </summary>
    internal IEnumerable<(Guid Id, Withdrawal Withdrawal)> Read()
    {
        foreach (var path in Directory.GetFiles(folder, "*" + Kept).Order(StringComparer.Ordinal))
        {
            if (Guid.TryParse(Path.GetFileNameWithoutExtension(path), out var id) && TryOpen(path, id) is { } withdrawal)
            {
                yield return (id, withdrawal);
            }
            else
            {
                LogUnreadable(Path.GetFileName(path));
                File.Move(path, path + Torn, overwrite: true);
                Count(-1);
            }
        }
    }

    /// <summary>Those of one subscriber that are kept at this moment. Reads every file, since their names say nothing.</summary>
    internal IReadOnlyList<(Guid Id, Withdrawal Withdrawal)> Find(SubscriberId subscriber)
    {
        var found = new List<(Guid, Withdrawal)>();
        foreach (var path in Directory.GetFiles(folder, "*" + Kept))
        {
            try
            {
                if (Guid.TryParse(Path.GetFileNameWithoutExtension(path), out var id) && TryOpen(path, id) is { } withdrawal && withdrawal.Link.Subscriber == subscriber)
                {
                    found.Add((id, withdrawal));
                }
            }
            catch (FileNotFoundException)
            {
                // Applied meanwhile, and in the ledger.
            }
        }

        return found;
    }

    /// <summary>Forgets one that was applied, or that was erased before it could be.</summary>
    internal void Remove(Guid id)
    {
        if (File.Exists(PathOf(id)))
        {
            File.Delete(PathOf(id));
            Count(-1);
        }
    }

    /// <inheritdoc />
    public void Dispose() => filled.Dispose();

    private Withdrawal? TryOpen(string path, Guid id)
    {
        try
        {
            var record = JsonSerializer.Deserialize<Record>(sealer.Open(File.ReadAllBytes(path), SealedPlace.Of(Place, id)));
            return record is null || !Label<WithdrawalWay>.TryParse(record.How, out var how)
                ? null
                : new Withdrawal(
                    new UnsubscribeToken(new PurposeId(record.Purpose), new SubscriberId(record.Subscriber)), record.At, how, record.Ip, record.UserAgent);
        }
        catch (Exception unreadable) when (unreadable is CryptographicException or JsonException)
        {
            return null;
        }
    }

    private string PathOf(Guid id) => Path.Combine(folder, id.ToString("D") + Kept);

    private void Count(int change)
    {
        lock (counting)
        {
            metrics.UnsubscribesSpooled += change;
            if (metrics.UnsubscribesSpooled > 0 && filled.CurrentCount == 0)
            {
                filled.Release();
            }
        }
    }

    [LoggerMessage(LogLevel.Warning, "An unsubscribe is kept on disk until the ledger can be asked: {Record}")]
    private partial void LogKept(Guid record);

    [LoggerMessage(LogLevel.Error, "A record of an unsubscribe can't be read and is put aside: {File}")]
    private partial void LogUnreadable(string file);

    private sealed record Record(int Purpose, Guid Subscriber, DateTimeOffset At, string How, string? Ip, string? UserAgent);
}
