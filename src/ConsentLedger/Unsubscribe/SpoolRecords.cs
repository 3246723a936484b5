using System.Runtime.CompilerServices;
using ConsentLedger.Choices;
using ConsentLedger.Database;
using ConsentLedger.PersonalData;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;
using Npgsql;

namespace ConsentLedger.Unsubscribe;

/// <summary>Withdrawals that are kept on this instance's disk until they are applied.</summary>
internal sealed class SpoolRecords(WithdrawalSpool spool, PurposeCatalogue purposes) : IPersonalRecords
{
    public string Name => "unsubscribes";

    public IReadOnlyList<string> Columns => [];

    public IReadOnlyList<string> Fields => ["at", "purpose", "how", "ip", "userAgent"];

    public async IAsyncEnumerable<object> ReadAsync(
        NpgsqlConnection connection, SubscriberId subscriber, [EnumeratorCancellation] CancellationToken cancellation)
    {
        var keys = await purposes.KeysAsync(cancellation);
        foreach (var (_, kept) in spool.Find(subscriber))
        {
            yield return new SpoolRecord(kept.At, keys.Of(kept.Link.Purpose), Label<WithdrawalWay>.Of(kept.How), kept.Ip, kept.UserAgent);
        }
    }

    /// <summary>The erasure itself says no for every purpose, so nothing is lost with the file.</summary>
    public Task EraseAsync(NpgsqlConnection connection, SubscriberId subscriber, CancellationToken cancellation)
    {
        foreach (var (id, _) in spool.Find(subscriber))
        {
            spool.Remove(id);
        }

        return Task.CompletedTask;
    }
}

/// <summary>A withdrawal that waits.</summary>
internal sealed record SpoolRecord(DateTimeOffset At, string Purpose, string How, string? Ip, string? UserAgent);
