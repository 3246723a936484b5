using System.Text;
using System.Text.Json;
using ConsentLedger.Http;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.Feedback;

/// <summary>
/// <c>POST /v1/feedback/ses</c>: what Amazon SES reports, notifications and published events alike, through a topic of
/// Amazon SNS. Its signature is always required, and the topic has to be one of <c>ConsentLedger:Feedback:Ses:Topics</c>:
/// everybody with an account there can have something signed by Amazon.
/// </summary>
public static class SesFeedback
{
    /// <summary>Maps the route.</summary>
    public static void MapSesFeedback(this IEndpointRouteBuilder app) =>
        app.MapPost("/ses", HandleAsync)
            .AsProvider(Example, "application/json", "text/plain")
            .Refuses(ProblemType.SignatureInvalid, ProblemType.ProviderUnavailable)
            .WithName("ReportSesFeedback").WithSummary("Takes what Amazon SES publishes to an SNS topic");

    private const string Example = """
        {
          "Type": "Notification",
          "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
          "TopicArn": "arn:aws:sns:eu-west-2:123456789012:bounces",
          "Message": "{\"notificationType\":\"Bounce\",\"bounce\":{\"bounceType\":\"Permanent\",\"bouncedRecipients\":[{\"emailAddress\":\"ada@example.org\"}],\"timestamp\":\"2026-11-22T09:30:00.000Z\",\"feedbackId\":\"0102018c-1\"}}",
          "Timestamp": "2026-11-22T09:30:01.000Z",
          "SignatureVersion": "2",
          "Signature": "EXAMPLEw6JRN…",
          "SigningCertURL": "https://sns.eu-west-2.amazonaws.com/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem"
        }
        """;

    private static readonly FeedbackAnswer Nothing = new(0, 0, 0, 0, 0, 0, []);

    private static async Task<Results<Ok<FeedbackAnswer>, Problem>> HandleAsync(
        HttpContext context, FeedbackIntake intake, AmazonSns sns, FeedbackOptions options, TimeProvider clock)
    {
        var body = await ProviderBody.ReadAsync(context.Request, context.RequestAborted);
        if (ProviderBody.Parse(body) is not { ValueKind: JsonValueKind.Object } message || message.Text("Type") is not { } type)
        {
            return FeedbackApi.NotItsFormat("This is a message of Amazon SNS. Turn raw message delivery off: a raw message is not signed.");
        }

        switch (await sns.VerifyAsync(message, context.RequestAborted))
        {
            case SnsVerdict.Unverifiable:
                return Away();
            case SnsVerdict.Invalid:
                return FeedbackApi.NotSigned("The signature is not Amazon's.");
        }

        if (!options.Topics.Contains(message.Text("TopicArn"), StringComparer.Ordinal))
        {
            return FeedbackApi.NotSigned("The topic is none of ConsentLedger:Feedback:Ses:Topics.");
        }

        if (!FeedbackApi.IsTimely(message.Time("Timestamp"), clock))
        {
            return FeedbackApi.NotSigned("It was signed too long ago, or in the future.");
        }

        return type switch
        {
            "SubscriptionConfirmation" => await sns.ConfirmAsync(message, context.RequestAborted) switch
            {
                SnsVerdict.Valid => TypedResults.Ok(Nothing),
                SnsVerdict.Invalid => FeedbackApi.NotSigned("The address to confirm at is not Amazon's."),
                _ => Away(),
            },
            "Notification" => await intake.TakeAsync(context, "ses", Read(message.Text("Message") ?? string.Empty)),
            _ => TypedResults.Ok(Nothing),
        };
    }

    private static Problem Away() => new(ProblemType.ProviderUnavailable) { RetryAfter = TimeSpan.FromSeconds(30) };

    /// <summary>What SES wrote; what other things come through the topic, such as a note that it was set up, is nothing to us.</summary>
    private static Report[] Read(string text)
    {
        var message = ProviderBody.Parse(Encoding.UTF8.GetBytes(text)).GetValueOrDefault();
        return (message.Text("notificationType") ?? message.Text("eventType")) switch
        {
            "Bounce" => Each(message.Member("bounce"), "bouncedRecipients", KindOfBounce(message.Member("bounce"))),
            "Complaint" => Each(message.Member("complaint"), "complainedRecipients", KindOfComplaint(message.Member("complaint"))),
            "Delivery" => [.. message.Member("delivery").List("recipients").Select(recipient => new Report
            {
                Address = recipient.Text(),
                Kind = FeedbackKind.Delivery,
                OccurredAt = message.Member("delivery").Time("timestamp"),
            })],
            _ => [Report.OfNothing],
        };
    }

    private static Report[] Each(JsonElement feedback, string recipients, FeedbackKind? kind) =>
        [.. feedback.List(recipients).Select(recipient => new Report
        {
            Address = recipient.Text("emailAddress"),
            Kind = kind,
            OccurredAt = feedback.Time("timestamp"),
            Id = feedback.Text("feedbackId"),
            Detail = recipient.Text("diagnosticCode") ?? feedback.Text("complaintFeedbackType"),
        })];

    private static FeedbackKind? KindOfBounce(JsonElement bounce) => (bounce.Text("bounceType"), bounce.Text("bounceSubType")) switch
    {
        ("Permanent", _) => FeedbackKind.HardBounce,

        // The mailbox would take another message.
        (_, "MessageTooLarge" or "ContentRejected" or "AttachmentRejected") => null,
        _ => FeedbackKind.SoftBounce,
    };

    /// <summary>People also press "not spam", and SES calls that a complaint too.</summary>
    private static FeedbackKind? KindOfComplaint(JsonElement complaint) =>
        complaint.Text("complaintFeedbackType") == "not-spam" ? null : FeedbackKind.Complaint;
}
