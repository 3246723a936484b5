using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using ConsentLedger.Http;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.Feedback;

/// <summary>
/// <c>POST /v1/feedback/mailgun</c>: Mailgun's webhooks for permanent failures, complaints and deliveries. Once its signing
/// key is set, its signature is required.
/// </summary>
public static class MailgunFeedback
{
    /// <summary>Maps the route.</summary>
    public static void MapMailgunFeedback(this IEndpointRouteBuilder app) =>
        app.MapPost("/mailgun", HandleAsync)
            .AsProvider(Example)
            .Refuses(ProblemType.SignatureInvalid)
            .WithName("ReportMailgunFeedback").WithSummary("Takes Mailgun's webhooks");

    private const string Example = """
        {
          "signature": {
            "timestamp": "1795339800", "token": "643aa3f7af958d600468e583a7ffd17ee07e3a12a9af092a01",
            "signature": "a50afe269b3d986700b9219008b4604aa9a3338033c3f8bc0d7d14c677b532e0"
          },
          "event-data": {
            "event": "failed", "severity": "permanent", "reason": "bounce", "id": "G9Bn5sl1TC6nu79C8C0bwg",
            "timestamp": 1795339800.375624, "recipient": "ada@example.org",
            "delivery-status": { "code": 550, "message": "5.1.1 There is no such mailbox" }
          }
        }
        """;

    private static async Task<Results<Ok<FeedbackAnswer>, Problem>> HandleAsync(
        HttpContext context, FeedbackIntake intake, FeedbackOptions options, MailgunTokens tokens, TimeProvider clock)
    {
        var body = await ProviderBody.ReadAsync(context.Request, context.RequestAborted);
        var message = ProviderBody.Parse(body);
        if (options.MailgunKey is { } key && await MistrustAsync(message.GetValueOrDefault(), body, key, tokens, clock, context.RequestAborted) is { } why)
        {
            return FeedbackApi.NotSigned(why);
        }

        return message?.Member("event-data") is { ValueKind: JsonValueKind.Object } data
            ? await intake.TakeAsync(context, "mailgun", [Read(data)])
            : FeedbackApi.NotItsFormat("This is an object with event-data, as Mailgun sends it.");
    }

    /// <summary>Why this is not from Mailgun, or not from now; null if it is.</summary>
    private static async Task<string?> MistrustAsync(
        JsonElement message, byte[] body, string key, MailgunTokens tokens, TimeProvider clock, CancellationToken cancellation)
    {
        var signature = message.Member("signature");
        if (signature.Text("token") is not { } token || signature.Id("timestamp") is not { } timestamp || signature.Text("signature") is not { } given)
        {
            return "The request has no signature.";
        }

        var expected = Convert.ToHexStringLower(HMACSHA256.HashData(Encoding.UTF8.GetBytes(key), Encoding.UTF8.GetBytes(timestamp + token)));
        return !CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(expected), Encoding.UTF8.GetBytes(given))
                ? "The signature is not one of the key in ConsentLedger:Feedback:Mailgun:SigningKey."
            : !FeedbackApi.IsTimely(ProviderBody.UnixTime(timestamp), clock) ? "It was signed too long ago, or in the future."
            : !await tokens.ClaimAsync(token, body, cancellation) ? "Its token came before, with another message."
            : null;
    }

    private static Report Read(JsonElement data) => new()
    {
        Address = data.Text("recipient"),
        Kind = (data.Text("event"), data.Text("severity"), data.Text("reason")) switch
        {
            ("complained", _, _) or ("failed", "permanent", "suppress-complaint") => FeedbackKind.Complaint,

            // It left Mailgun's own list of the unsubscribed alone; that says nothing about the mailbox.
            ("failed", "permanent", "suppress-unsubscribe") => null,
            ("failed", "permanent", "old") => FeedbackKind.SoftBounce,
            ("failed", "permanent", _) => FeedbackKind.HardBounce,
            ("delivered", _, _) => FeedbackKind.Delivery,

            // A temporary failure is no bounce: it goes on trying, and says "old" when it gives up.
            _ => null,
        },
        OccurredAt = data.UnixTime("timestamp"),
        Id = data.Text("id"),
        Detail = data.Member("delivery-status").Text("message") is { Length: > 0 } message ? message : data.Member("delivery-status").Text("description"),
    };
}
