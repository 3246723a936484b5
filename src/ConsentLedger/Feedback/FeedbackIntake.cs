using System.Text;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Feedback;

/// <summary>
/// Makes reports count. A hard bounce and a complaint suppress the address: nothing is sent to it for any purpose until
/// somebody releases it. A complaint is not taken for an objection as well: whoever presses the spam button speaks to the
/// mail provider about one message, and by mistake often enough; an objection voids every consent given before it for
/// good, and the ledger would say that the person said what they did not say. Suppression stops as much, and can be
/// lifted.
/// </summary>
/// <remarks>
/// What is durable, and what a crash leaves: each report is taken whole, in a statement or a transaction of its own, before
/// the next one is looked at, and the request is answered after the last. A crash between two leaves the first ones taken;
/// the provider, which got no answer, sends all of them again, and those are found to be there by the ids that follow from
/// its own.
/// </remarks>
internal sealed class FeedbackIntake(LedgerDatabase database, LedgerStore ledger, SubscriberIds subscribers, SoftBounces bounces, KeyRing keys, TimeProvider clock)
{
    private const int MaxDetail = 500;

    private enum Outcome
    {
        Suppressed,
        Counted,
        Unchanged,
        Ignored,
    }

    /// <summary>Takes the reports, in their order.</summary>
    /// <param name="provider">Who reports.</param>
    /// <param name="reports">What.</param>
    /// <param name="request">The request they came with, if it may be repeated under a key.</param>
    /// <param name="cancellation">Gives up.</param>
    public async Task<FeedbackAnswer> TakeAsync(
        string provider, IReadOnlyList<Report> reports, IdempotentRequest? request, CancellationToken cancellation)
    {
        var counts = new int[4];
        var problems = new List<FeedbackProblem>();
        foreach (var (index, report) in reports.Index())
        {
            var (outcome, fault) = await TakeAsync(provider, report, request, index, cancellation);
            if (fault is not null)
            {
                problems.Add(new FeedbackProblem(index, fault.Code, fault.Detail));
            }
            else
            {
                counts[(int)outcome]++;
            }
        }

        return new FeedbackAnswer(
            reports.Count, counts[(int)Outcome.Suppressed], counts[(int)Outcome.Counted], counts[(int)Outcome.Unchanged], counts[(int)Outcome.Ignored],
            problems.Count, problems);
    }

    private async Task<(Outcome Outcome, EventFault? Fault)> TakeAsync(
        string provider, Report report, IdempotentRequest? request, int index, CancellationToken cancellation)
    {
        if (report.Kind is not { } kind)
        {
            return (Outcome.Ignored, null);
        }

        if (!Address.TryParse(Bare(report.Address), out var address, out var problem))
        {
            return (default, new EventFault(EventFaultCode.InvalidAddress, "address", problem));
        }

        var now = Instant.Of(clock.GetUtcNow());
        var occurredAt = Instant.Of(report.OccurredAt ?? request?.FirstSeenAt ?? now);
        if (occurredAt < Instant.Earliest)
        {
            return (default, new EventFault(EventFaultCode.InvalidTime, "occurredAt", "This is before 1970."));
        }

        var draft = new EventDraft
        {
            Address = address,
            Purpose = null,
            Kind = EventKind.Suppressed,
            Source = SourceKind.Feedback,
            OccurredAt = occurredAt,
            Evidence = EvidenceOf(provider, kind, report, address),
        };
        if (EventRules.Check(draft, now).FirstOrDefault() is { } fault)
        {
            return (default, fault);
        }

        var subscriber = subscribers.Of(address);
        var id = IdOf(provider, report, draft, subscriber, request, index);
        return (await TakeAsync(kind, EventRules.Accept(draft, subscriber, id, now), cancellation), null);
    }

    /// <summary>
    /// The address itself is not kept where it was not known: its id is enough to hold mail back, and a suppression keeps
    /// the least there can be (FACTS 34).
    /// </summary>
    private async Task<Outcome> TakeAsync(FeedbackKind kind, ConsentEvent suppressed, CancellationToken cancellation)
    {
        switch (kind)
        {
            case FeedbackKind.Delivery:
                await database.ShortWork.ExecuteAsync(
                    async token =>
                    {
                        await using var connection = await database.Service.OpenConnectionAsync(token);
                        await SoftBounces.ClearAsync(connection, suppressed.SubscriberId, suppressed.OccurredAt, token);
                    },
                    cancellation);
                return Outcome.Ignored;

            case FeedbackKind.SoftBounce:
                return await database.ShortWork.ExecuteAsync(async token => await CountAsync(suppressed, token), cancellation);

            default:
                // What came before stands, whatever is said under its id now.
                return await ledger.AppendAsync(suppressed, address: null, cancellation) is AppendOutcome.Appended or AppendOutcome.AppendedAsHistory
                    ? Outcome.Suppressed
                    : Outcome.Unchanged;
        }
    }

    /// <summary>The bounce, and the suppression if it is one too many, commit together; run again, it finds itself there.</summary>
    private async Task<Outcome> CountAsync(ConsentEvent bounce, CancellationToken cancellation)
    {
        if (bounce.OccurredAt <= bounces.Since)
        {
            return Outcome.Ignored;
        }

        await using var connection = await database.Service.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        if (await bounces.CountAsync(connection, bounce.SubscriberId, bounce.Id, bounce.OccurredAt, cancellation) is not { } counted)
        {
            return Outcome.Unchanged;
        }

        if (counted.Enough)
        {
            await ledger.AppendAsync(connection, bounce with { OccurredAt = counted.Last }, address: null, cancellation);
        }

        await transaction.CommitAsync(cancellation);
        return counted.Enough ? Outcome.Suppressed : Outcome.Counted;
    }

    /// <summary>
    /// The same for the same report: from the provider's id for it, or from all it says, or from the request that is
    /// repeated. A report with none of these is a new one each time.
    /// </summary>
    private EventId IdOf(string provider, Report report, EventDraft draft, SubscriberId subscriber, IdempotentRequest? request, int index) =>
        report.Id is { } id ? EventId.Of(keys.EventIdKey, report.OccurredAt ?? Instant.Earliest, Content(provider, id))
        : report.OccurredAt is not null ? EventRules.IdByContent(draft, subscriber, keys)
        : request is not null ? EventId.Of(keys.EventIdKey, request.FirstSeenAt, Content($"{request.KeyId}", request.Key, $"{index}"))
        : EventId.New(draft.OccurredAt);

    private static byte[] Content(params string[] parts) => Encoding.UTF8.GetBytes("feedback\n" + string.Join('\n', parts));

    private static Evidence? EvidenceOf(string provider, FeedbackKind kind, Report report, Address address)
    {
        var details = new Dictionary<string, object?> { ["provider"] = provider, ["feedback"] = Label<FeedbackKind>.Of(kind) };
        if (Plain(report.Id, address) is { } id)
        {
            details.Add("id", id);
        }

        if (Plain(report.Detail, address) is { } detail)
        {
            details.Add("detail", detail);
        }

        return Evidence.Of(details);
    }

    /// <summary>What a stranger's mail server wrote, as one short line, without the address that it likes to repeat.</summary>
    private static string? Plain(string? text, Address address)
    {
        if (string.IsNullOrWhiteSpace(text))
        {
            return null;
        }

        foreach (var form in new[] { address.Given, address.Normalised[(address.Normalised.IndexOf(':', StringComparison.Ordinal) + 1)..] })
        {
            text = text.Replace(form, "(the address)", StringComparison.OrdinalIgnoreCase);
        }

        var plain = new StringBuilder(text.Length);
        foreach (var rune in text.EnumerateRunes())
        {
            if (plain.Length == MaxDetail)
            {
                break;
            }

            plain.Append(Rune.IsControl(rune) ? " " : rune.Value <= char.MaxValue ? rune.ToString() : "\uFFFD");
        }

        return plain.ToString().Trim();
    }

    /// <summary>Some write <c>Ada &lt;ada@example.org&gt;</c>, as the message did.</summary>
    private static string? Bare(string? address) =>
        address?.Trim() is { } text && text.EndsWith('>') && text.LastIndexOf('<') is >= 0 and var start ? text[(start + 1)..^1] : address?.Trim();
}
