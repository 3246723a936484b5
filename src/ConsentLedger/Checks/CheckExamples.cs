using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Checks;

/// <summary>Examples for the OpenAPI document.</summary>
internal static class CheckExamples
{
    private const string Link = "https://consent.example/u/AQEAAAABbxwqlA07XnehyJsg9NXmE1J-cq9kQ2hYt0bPzWm4xLs";

    private static readonly DateTimeOffset Given = new(2026, 11, 22, 9, 30, 0, TimeSpan.Zero);
    private static readonly DateTimeOffset Now = new(2026, 12, 1, 8, 0, 0, TimeSpan.Zero);

    public static readonly Check.CheckRequest Request = new() { Address = "ada@example.org", Purpose = "newsletter" };

    public static readonly Check.CheckAnswer Answer = new(
        Allowed: true, CheckReason.Given, "newsletter", EventKind.Given, LawfulBasis.Consent, Given, Given.AddMonths(24),
        SubscriberId.Parse("6f1c2a94-0d3b-5e77-a1c8-9b20f4d5e613", null), EventId.Parse("019aab01-fdc0-7b3e-8c41-52a7d0e9b6f3", null), Now,
        new UnsubscribeLink(Link, new UnsubscribeHeaders($"<{Link}>", "List-Unsubscribe=One-Click", "<newsletter.consent.example>")));

    public static readonly CheckBatch.BatchRequest BatchRequest = new() { Purpose = "newsletter", Addresses = ["ada@example.org", "ben@example.org"] };

    public static readonly CheckBatch.BatchAnswer BatchAnswer = new(
        "newsletter", Now, Allowed: 1, Denied: 1,
        [
            new("ada@example.org", Allowed: true, CheckReason.Given, Link),
            new("ben@example.org", Allowed: false, CheckReason.Withdrawn, null),
        ]);
}
