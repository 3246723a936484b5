using System.Buffers;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Checks;

/// <summary>Decides a list of addresses for one purpose: what a batch, a stream and the verb <c>check</c> have in common.</summary>
public sealed class ListChecks(CheckReader reader, SubscriberIds subscribers, UnsubscribeLinks links, TimeProvider clock)
{
    /// <summary>
    /// Decides each address, in the order given, from one read that starts after the call; null if there is no such
    /// purpose. A text that is not an address, or one that messages for the purpose can't go to, is denied as such.
    /// </summary>
    /// <param name="purposeKey">The purpose the messages are for.</param>
    /// <param name="given">The addresses as they were given; null for one that can't be read.</param>
    /// <param name="withLinks">Whether to make the unsubscribe link of each allowed e-mail address.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="Npgsql.NpgsqlException">The database can't be asked.</exception>
    public async Task<CheckedList?> DecideAsync(
        PurposeKey purposeKey, IReadOnlyList<string?> given, bool withLinks, CancellationToken cancellation)
    {
        var now = Instant.Of(clock.GetUtcNow());
        var addresses = new Address?[given.Count];
        var ids = new Guid[given.Count];
        for (var i = 0; i < given.Count; i++)
        {
            if (Address.TryParse(given[i], out var address, out _))
            {
                addresses[i] = address;
                ids[i] = subscribers.Of(address).Value;
            }
        }

        // What is known of thousands is a large object, of which a long list would leave many behind.
        var states = ArrayPool<SubscriberState>.Shared.Rent(given.Count);
        try
        {
            if (await reader.ReadManyAsync(purposeKey, ids, states, cancellation) is not { } purpose)
            {
                return null;
            }

            var results = new CheckedAddress[given.Count];
            for (var i = 0; i < given.Count; i++)
            {
                var decision = addresses[i]?.Fits(purpose.Channel) == true ? states[i].Decide(purpose, now) : Decision.Deny(CheckReason.InvalidAddress);
                results[i] = new CheckedAddress(
                    given[i], decision, withLinks && decision.Allowed && purpose.Channel == Channel.Email ? links.UrlFor(purpose.Id, new SubscriberId(ids[i])) : null);
            }

            return new CheckedList(purpose, now, results);
        }
        finally
        {
            ArrayPool<SubscriberState>.Shared.Return(states);
        }
    }
}

/// <summary>A list that was decided.</summary>
/// <param name="Purpose">The purpose it was decided for.</param>
/// <param name="CheckedAt">The instant the decisions are about.</param>
/// <param name="Results">One for each address, in the order given.</param>
public sealed record CheckedList(PurposeTerms Purpose, DateTimeOffset CheckedAt, IReadOnlyList<CheckedAddress> Results)
{
    /// <summary>Counts the decisions by reason.</summary>
    public void CountIn(LedgerMetrics metrics)
    {
        foreach (var (reason, count) in Results.CountBy(result => result.Decision.Reason))
        {
            metrics.Checked(reason, count);
        }
    }
}

/// <summary>The decision about one address of a list.</summary>
/// <param name="Given">The address as it was given; null if it could not be read.</param>
/// <param name="Decision">May it be written to, and why.</param>
/// <param name="UnsubscribeUrl">How the recipient leaves; only for allowed e-mail, and only if asked for.</param>
public readonly record struct CheckedAddress(string? Given, Decision Decision, string? UnsubscribeUrl);

/// <summary>
/// What a list came to. Each address is counted as received and as one of the others: what is invalid is not among the
/// denied.
/// </summary>
/// <param name="Received">How many there were.</param>
/// <param name="Allowed">How many may be written to.</param>
/// <param name="Denied">How many may not.</param>
/// <param name="Invalid">How many are no address that messages for the purpose can go to.</param>
public readonly record struct ListSummary(long Received, long Allowed, long Denied, long Invalid)
{
    /// <summary>This with another part of the list.</summary>
    public ListSummary With(CheckedList part)
    {
        var allowed = part.Results.Count(result => result.Decision.Allowed);
        var invalid = part.Results.Count(result => result.Decision.Reason == CheckReason.InvalidAddress);
        return new ListSummary(
            Received + part.Results.Count, Allowed + allowed, Denied + part.Results.Count - allowed - invalid, Invalid + invalid);
    }
}
