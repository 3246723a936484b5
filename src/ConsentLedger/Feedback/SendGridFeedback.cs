using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using ConsentLedger.Http;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.Feedback;

/// <summary>
/// <c>POST /v1/feedback/sendgrid</c>: SendGrid's event webhook, many events in one request. Once its verification key is
/// set, its signature is required (ECDSA on P-256 with SHA-256 over the timestamp and the body as it came).
/// </summary>
public static class SendGridFeedback
{
    private const string SignatureHeader = "X-Twilio-Email-Event-Webhook-Signature";
    private const string TimestampHeader = "X-Twilio-Email-Event-Webhook-Timestamp";

    /// <summary>Maps the route.</summary>
    public static void MapSendGridFeedback(this IEndpointRouteBuilder app) =>
        app.MapPost("/sendgrid", HandleAsync)
            .AsProvider(Example)
            .Refuses(ProblemType.SignatureInvalid)
            .WithName("ReportSendGridFeedback").WithSummary("Takes SendGrid's event webhook");

    private const string Example = """
        [
          {
            "event": "bounce", "type": "bounce", "email": "ada@example.org", "timestamp": 1795339800,
            "sg_event_id": "6g4ZI7SA-xmRDv57GoPIPw==", "reason": "550 5.1.1 There is no such mailbox"
          }
        ]
        """;

    private static async Task<Results<Ok<FeedbackAnswer>, Problem>> HandleAsync(
        HttpContext context, FeedbackIntake intake, FeedbackOptions options, TimeProvider clock)
    {
        var body = await ProviderBody.ReadAsync(context.Request, context.RequestAborted);
        if (options.SendGridKey is { } key && Mistrust(context.Request.Headers, body, key, clock) is { } why)
        {
            return FeedbackApi.NotSigned(why);
        }

        return ProviderBody.Parse(body) switch
        {
            { ValueKind: JsonValueKind.Array } events => await intake.TakeAsync(context, "sendgrid", [.. events.EnumerateArray().Select(Read)]),
            { ValueKind: JsonValueKind.Object } one when one.Text("event") is not null => await intake.TakeAsync(context, "sendgrid", [Read(one)]),
            _ => FeedbackApi.NotItsFormat("This is a list of events, as SendGrid sends it."),
        };
    }

    /// <summary>Why this is not from SendGrid, or not from now; null if it is.</summary>
    private static string? Mistrust(IHeaderDictionary headers, byte[] body, byte[] key, TimeProvider clock)
    {
        if (headers[SignatureHeader] is not [{ } signature] || headers[TimestampHeader] is not [{ } timestamp])
        {
            return $"The request has no {SignatureHeader} or no {TimestampHeader}.";
        }

        var given = new byte[signature.Length];
        using var verifier = ECDsa.Create();
        verifier.ImportSubjectPublicKeyInfo(key, out _);
        return !Convert.TryFromBase64String(signature, given, out var length)
            || !verifier.VerifyData([.. Encoding.UTF8.GetBytes(timestamp), .. body], given.AsSpan(0, length), HashAlgorithmName.SHA256, DSASignatureFormat.Rfc3279DerSequence)
                ? "The signature is not one of the key in ConsentLedger:Feedback:SendGrid:PublicKey."
            : !FeedbackApi.IsTimely(ProviderBody.UnixTime(timestamp), clock) ? "It was signed too long ago, or in the future."
            : null;
    }

    private static Report Read(JsonElement message) => new()
    {
        Address = message.Text("email"),
        Kind = KindOf(message),
        OccurredAt = message.UnixTime("timestamp"),
        Id = message.Id("sg_event_id"),
        Detail = message.Text("reason"),
    };

    private static FeedbackKind? KindOf(JsonElement message) => (message.Text("event"), message.Text("type"), message.Text("reason")) switch
    {
        ("bounce", "blocked", _) => FeedbackKind.SoftBounce,
        ("bounce", _, _) => FeedbackKind.HardBounce,
        ("spamreport", _, _) => FeedbackKind.Complaint,

        // SendGrid did not even try, because of what it remembers from before.
        ("dropped", _, "Bounced Address") => FeedbackKind.HardBounce,
        ("dropped", _, "Spam Reporting Address") => FeedbackKind.Complaint,
        ("delivered", _, _) => FeedbackKind.Delivery,

        // Deferred is no bounce: it goes on trying.
        _ => null,
    };
}
