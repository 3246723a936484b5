using System.Collections.Frozen;
using System.Globalization;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Events;

/// <summary>
/// Turns the text of a row into an event, or says what is the matter with it: one fault a row, the first in the order
/// of <see cref="EventFaultCode"/>, except that a purpose has to be known before it can be the wrong channel.
/// </summary>
/// <param name="purposes">The purposes that this caller may use, by key.</param>
/// <param name="mayUseAll">Whether the caller may name <c>*</c>.</param>
/// <param name="now">The instant that the times are held against.</param>
internal sealed class RowRules(FrozenDictionary<string, Purpose> purposes, bool mayUseAll, DateTimeOffset now)
{
    private const int MaxUrl = 2000;

    /// <summary>The instant that the times are held against, and that the events are recorded at.</summary>
    public DateTimeOffset Now { get; } = now;

    /// <summary>The event, or null with the fault.</summary>
    public EventDraft? Read(ImportRow row, out EventFault? fault)
    {
        var draft = default(EventDraft);
        fault = ReadSource(row, out var source)
            ?? ReadAddress(row.Address, out var address)
            ?? ReadPurpose(row.Purpose, out var purpose)
            ?? ReadDraft(row, address!, purpose, source, out draft)
            ?? EventRules.Check(draft!, Now).FirstOrDefault();
        return fault is null ? draft : null;
    }

    private static EventFault? ReadAddress(string? text, out Address? address) =>
        Address.TryParse(text, out address, out var problem) ? null : new EventFault(EventFaultCode.InvalidAddress, "address", problem);

    private static EventFault? ReadSource(ImportRow row, out SourceKind source)
    {
        source = SourceKind.Import;
        return row.SourceKind is { } kind && !Label<SourceKind>.TryParse(kind, out source)
                ? new EventFault(EventFaultCode.Malformed, "sourceKind", $"sourceKind is one of: {string.Join(", ", Label<SourceKind>.All)}.")
            : row.SourceUrl is { } url && !IsUrl(url)
                ? new EventFault(EventFaultCode.Malformed, "sourceUrl", "sourceUrl is not an absolute http or https URL.")
            : null;
    }

    private EventFault? ReadPurpose(string? key, out Purpose? purpose)
    {
        purpose = null;
        return key == PurposeKey.All && mayUseAll ? null
            : key is not null && purposes.TryGetValue(key, out purpose) ? null
            : new EventFault(EventFaultCode.UnknownPurpose, "purpose", "There is no such purpose, or the key can't be used for it.");
    }

    private static EventFault? ReadDraft(ImportRow row, Address address, Purpose? purpose, SourceKind source, out EventDraft? draft)
    {
        draft = null;
        if (purpose is not null && !address.Fits(purpose.Channel))
        {
            return new EventFault(
                EventFaultCode.WrongChannel, "address",
                $"Messages for this purpose go by {Label<Channel>.Of(purpose.Channel)}; this is another kind of address.");
        }

        if (!Label<EventKind>.TryParse(row.Kind, out var kind))
        {
            return new EventFault(EventFaultCode.UnknownKind, "kind", $"kind is one of: {string.Join(", ", Label<EventKind>.All)}.");
        }

        if (!Instant.TryParse(row.OccurredAt, out var occurredAt))
        {
            return new EventFault(EventFaultCode.InvalidTime, "occurredAt", "occurredAt is not an RFC 3339 time with its offset, from 1970 on: 2026-11-22T09:30:00Z.");
        }

        DateTimeOffset? expiresAt = null;
        if (row.ExpiresAt is not null)
        {
            if (!Instant.TryParse(row.ExpiresAt, out var expiry))
            {
                return new EventFault(EventFaultCode.InvalidTime, "expiresAt", "expiresAt is not an RFC 3339 time with its offset: 2028-11-22T09:30:00Z.");
            }

            expiresAt = expiry;
        }

        draft = new EventDraft
        {
            Address = address,
            Purpose = purpose,
            Kind = kind,
            NoticeVersion = ReadVersion(row.NoticeVersion),
            Source = source,
            OccurredAt = occurredAt,
            ExpiresAt = expiresAt,
            Evidence = Evidence.Of(row.Evidence, row.SourceReference, row.SourceUrl),
        };
        return null;
    }

    /// <summary>What is no number is the version of no notice, and the rules say so.</summary>
    private static int? ReadVersion(string? text) =>
        text is null ? null
        : int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var version) ? version
        : 0;

    private static bool IsUrl(string text) =>
        text.Length <= MaxUrl && Uri.TryCreate(text, UriKind.Absolute, out var url) && url.Scheme is "http" or "https";
}
