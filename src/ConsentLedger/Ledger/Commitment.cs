using System.Buffers.Text;
using System.Security.Cryptography;
using ConsentLedger.Database;
using ConsentLedger.Security;

namespace ConsentLedger.Ledger;

/// <summary>
/// What the ledger keeps of an event for ever: HMAC-SHA-256 of its canonical JSON under a random 16-byte opening.
/// Deleting the opening makes it meaningless; evidence enters as an HMAC under an opening of its own, so that it can
/// go earlier (FACTS 56).
/// </summary>
/// <param name="Value">32 bytes.</param>
/// <param name="Opening">16 bytes, kept with the event.</param>
/// <param name="EvidenceDigest">32 bytes, or null where there is no evidence.</param>
/// <param name="EvidenceOpening">16 bytes, kept with the evidence, or null where there is none.</param>
public sealed record Commitment(byte[] Value, byte[] Opening, byte[]? EvidenceDigest, byte[]? EvidenceOpening)
{
    /// <summary>Length of an opening, in bytes.</summary>
    public const int OpeningLength = 16;

    /// <summary>Commits to an event under fresh openings.</summary>
    public static Commitment To(ConsentEvent @event)
    {
        var openings = RandomNumberGenerator.GetBytes(2 * OpeningLength);
        var opening = openings[..OpeningLength];
        var evidenceOpening = @event.Evidence is null ? null : openings[OpeningLength..];
        var evidenceDigest = evidenceOpening is null ? null : HMACSHA256.HashData(evidenceOpening, @event.Evidence!.Canonical);
        return new Commitment(Compute(@event, opening, evidenceDigest), opening, evidenceDigest, evidenceOpening);
    }

    /// <summary>The commitment that an event, its opening and the digest of its evidence must have.</summary>
    public static byte[] Compute(ConsentEvent @event, ReadOnlySpan<byte> opening, ReadOnlySpan<byte> evidenceDigest) =>
        HMACSHA256.HashData(opening, CanonicalEvent(@event, evidenceDigest));

    private static byte[] CanonicalEvent(ConsentEvent @event, ReadOnlySpan<byte> evidenceDigest) =>
        CanonicalJson.Write(new Dictionary<string, object?>(12)
        {
            ["basis"] = Label<Purposes.LawfulBasis>.Of(@event.Basis),
            ["eventId"] = @event.Id.ToString(),
            ["evidence"] = evidenceDigest.IsEmpty ? null : Base64Url.EncodeToString(evidenceDigest),
            ["expiresAt"] = @event.ExpiresAt is { } expiry ? Instant.Format(expiry) : null,
            ["kind"] = Label<EventKind>.Of(@event.Kind),
            ["noticeVersion"] = @event.NoticeVersion,
            ["occurredAt"] = Instant.Format(@event.OccurredAt),
            ["purposeId"] = @event.Purpose.Value,
            ["recordedAt"] = Instant.Format(@event.RecordedAt),
            ["source"] = Label<SourceKind>.Of(@event.Source),
            ["subscriberId"] = @event.SubscriberId.ToString(),
        });
}
