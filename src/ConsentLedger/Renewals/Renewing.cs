using ConsentLedger.Choices;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using Dapper;
using Npgsql;

namespace ConsentLedger.Renewals;

/// <summary>How a renewal link stands.</summary>
internal enum RenewalStatus
{
    /// <summary>The consent stands, runs out when the link says, and can be renewed.</summary>
    Open,

    /// <summary>It was renewed before, by this link or in another way: it runs out later, or never.</summary>
    Renewed,

    /// <summary>It has run out.</summary>
    RanOut,

    /// <summary>The person has said no, the address may not be used, or the purpose is over.</summary>
    Closed,
}

/// <summary>What is to be shown of a renewal link.</summary>
/// <param name="Status">How it stands.</param>
/// <param name="Purpose">What for; null if that is gone.</param>
/// <param name="Agreed">The version of the notice that was agreed to; null if none was.</param>
/// <param name="ExpiresAt">Until when the consent is good; null for as long as it is not withdrawn, or where there is none.</param>
internal sealed record RenewalView(RenewalStatus Status, Purpose? Purpose, int? Agreed, DateTimeOffset? ExpiresAt);

/// <summary>
/// Makes renewals count. A renewal carries on what stands; it never brings back what somebody said no to, and it is no
/// request: asking leaves the consent as it was.
/// </summary>
internal sealed class Renewing(NpgsqlDataSource database, LedgerStore ledger, PurposeCatalogue purposes, KeyRing keys, TimeProvider clock)
{
    /// <summary>True if what was agreed to is not said in those words any more; a translation of it is no change.</summary>
    public static bool HasChanged(Notice? agreed, Notice? now) => agreed?.Language == now?.Language && agreed?.Version < now?.Version;

    /// <summary>How a link stands. Writes nothing.</summary>
    public async Task<RenewalView> LookAsync(RenewalToken link, CancellationToken cancellation)
    {
        var purpose = await purposes.FindAsync(link.Purpose, cancellation);
        var (status, state) = await FindAsync(link, purpose, cancellation);
        var standing = state is { } consent && status == RenewalStatus.Open ? await ledger.FindAsync(link.Subscriber, consent.EventId, cancellation) : null;
        return new RenewalView(status, purpose, standing?.NoticeVersion, state?.ExpiresAt);
    }

    /// <summary>
    /// Appends a <c>renewed</c> event that names the one it renews and the wording that was shown, and is good for the
    /// purpose's consent lifetime from now on. Durable when this returns; of several at once one does it, and the others
    /// find it done. Whatever else is recorded of this person meanwhile waits for this, and is held against it.
    /// </summary>
    /// <param name="link">Which consent.</param>
    /// <param name="shown">What was on the page.</param>
    /// <param name="visitor">Who pressed the button.</param>
    /// <param name="cancellation">Ends the wait; nothing was written then.</param>
    /// <returns>How it stood before: only where that is <see cref="RenewalStatus.Open"/> was anything written.</returns>
    public async Task<RenewalView> ApplyAsync(RenewalToken link, Offer shown, Visitor visitor, CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        await SignUpStore.LockAsync(connection, link.Subscriber, link.Subscriber, cancellation);
        await connection.ExecuteAsync(new CommandDefinition(
            "select 1 from consent_state where subscriber_id = @id order by purpose_id for update",
            new { id = link.Subscriber.Value },
            cancellationToken: cancellation));
        var (status, state) = await FindAsync(link, shown.Purpose, cancellation);
        var (address, _) = await ledger.FindSubscriberAsync(link.Subscriber, cancellation);
        if (status != RenewalStatus.Open || address is null)
        {
            return new RenewalView(status == RenewalStatus.Open ? RenewalStatus.Closed : status, shown.Purpose, null, state?.ExpiresAt);
        }

        // Whoever recorded the consent may have had a faster clock; what renews it can't be older than it.
        var now = Instant.Of(clock.GetUtcNow());
        var standing = await ledger.FindAsync(link.Subscriber, state!.Value.EventId, cancellation);
        var draft = new EventDraft
        {
            Address = address,
            Purpose = shown.Purpose,
            Kind = EventKind.Renewed,
            NoticeVersion = shown.Notice?.Version,
            Source = SourceKind.WebForm,
            OccurredAt = now > state.Value.Since ? now : state.Value.Since.AddMicroseconds(1),
            Evidence = EvidenceOf(state.Value, standing, shown, visitor),
        };
        var renewed = EventRules.Accept(draft, link.Subscriber, link.EventIdUnder(keys.EventIdKey), now);
        if (!await ledger.AppendAsync(connection, renewed, address, cancellation))
        {
            // This link has renewed before, and something else was said since.
            return new RenewalView(RenewalStatus.Closed, shown.Purpose, null, null);
        }

        await transaction.CommitAsync(cancellation);
        return new RenewalView(RenewalStatus.Open, shown.Purpose, null, renewed.ExpiresAt);
    }

    private async Task<(RenewalStatus Status, ConsentState? State)> FindAsync(RenewalToken link, Purpose? purpose, CancellationToken cancellation)
    {
        if (purpose is null)
        {
            return (RenewalStatus.Closed, null);
        }

        var all = SubscriberState.Of(await ledger.ReadStatesAsync(link.Subscriber, cancellation), link.Purpose);
        var now = clock.GetUtcNow();
        var decision = all.Decide(purpose.Terms, now);
        return decision switch
        {
            { Allowed: true } when all.Purpose is { Kind: EventKind.Given or EventKind.Renewed } state =>
                (state.ExpiresAt <= link.RunsOutAt ? RenewalStatus.Open : RenewalStatus.Renewed, state),
            { Reason: CheckReason.Expired } => (RenewalStatus.RanOut, all.Purpose),
            { Reason: CheckReason.Unknown } when link.RunsOutAt <= now => (RenewalStatus.RanOut, null),
            _ => (RenewalStatus.Closed, null),
        };
    }

    private static Evidence? EvidenceOf(ConsentState state, ConsentEvent? standing, Offer shown, Visitor visitor)
    {
        var details = new Dictionary<string, object?>
        {
            ["how"] = "renewal-link",
            ["renews"] = state.EventId.ToString(),
        };
        SignUp.Add(details, "noticeDigest", shown.Notice?.Digest);
        SignUp.Add(details, "ip", visitor.Ip);
        SignUp.Add(details, "userAgent", visitor.UserAgent);
        return Evidence.Of(details, guardian: standing?.Evidence?.Guardian);
    }
}
