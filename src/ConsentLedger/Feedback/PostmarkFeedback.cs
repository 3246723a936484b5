using System.Text.Json;
using ConsentLedger.Http;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.Feedback;

/// <summary>
/// <c>POST /v1/feedback/postmark</c>: Postmark's webhooks for bounces, spam complaints and deliveries. It signs nothing;
/// the key is the password of the webhook's URL.
/// </summary>
public static class PostmarkFeedback
{
    /// <summary>Maps the route.</summary>
    public static void MapPostmarkFeedback(this IEndpointRouteBuilder app) =>
        app.MapPost("/postmark", HandleAsync)
            .AsProvider(Example)
            .WithName("ReportPostmarkFeedback").WithSummary("Takes Postmark's webhooks");

    private const string Example = """
        {
          "RecordType": "Bounce", "ID": 42, "Type": "HardBounce", "TypeCode": 1, "Email": "ada@example.org",
          "BouncedAt": "2026-11-22T09:30:00Z", "Description": "The server was unable to deliver your message."
        }
        """;

    private static async Task<Results<Ok<FeedbackAnswer>, Problem>> HandleAsync(HttpContext context, FeedbackIntake intake)
    {
        var body = await ProviderBody.ReadAsync(context.Request, context.RequestAborted);
        return ProviderBody.Parse(body) is { ValueKind: JsonValueKind.Object } message && message.Text("RecordType") is { } type
            ? await intake.TakeAsync(context, "postmark", [Read(message, type)])
            : FeedbackApi.NotItsFormat("This is an object with a RecordType, as Postmark sends it.");
    }

    private static Report Read(JsonElement message, string type) => type switch
    {
        "Bounce" => Bounce(message, message.Text("Type") switch
        {
            "HardBounce" or "BadEmailAddress" => FeedbackKind.HardBounce,
            "SoftBounce" or "DnsError" or "Unknown" => FeedbackKind.SoftBounce,
            "SpamComplaint" => FeedbackKind.Complaint,

            // A message that is only late, an answer from a machine, a block of the sender: nothing about the mailbox.
            _ => null,
        }),
        "SpamComplaint" => Bounce(message, FeedbackKind.Complaint),
        "Delivery" => new Report
        {
            Address = message.Text("Recipient"),
            Kind = FeedbackKind.Delivery,
            OccurredAt = message.Time("DeliveredAt"),
        },
        _ => Report.OfNothing,
    };

    private static Report Bounce(JsonElement message, FeedbackKind? kind) => new()
    {
        Address = message.Text("Email"),
        Kind = kind,
        OccurredAt = message.Time("BouncedAt"),
        Id = message.Id("ID"),
        Detail = message.Text("Details") is { Length: > 0 } details ? details : message.Text("Description"),
    };
}
