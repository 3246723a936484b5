using System.ComponentModel.DataAnnotations;
using ConsentLedger.Http;
using ConsentLedger.Security;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.Feedback;

/// <summary><c>POST /v1/feedback/generic</c>: for every mail system that has no route of its own.</summary>
public static class GenericFeedback
{
    /// <summary>How many reports one request may hold.</summary>
    public const int MaxEvents = 1000;

    /// <summary>Maps the route.</summary>
    public static void MapGenericFeedback(this IEndpointRouteBuilder app) =>
        app.MapPost("/generic", HandleAsync)
            .RequireScope(Scope.FeedbackWrite)
            .AcceptsKeyAsPassword()
            .AcceptsIdempotencyKey()
            .Refuses(ProblemType.PurposeNotPermitted)
            .WithExample(Example, FeedbackApi.ExampleAnswer)
            .WithName("ReportFeedback").WithSummary("Takes bounces and complaints from any mail system");

    private static readonly FeedbackRequest Example = new()
    {
        Events =
        [
            new FeedbackEvent
            {
                Address = "ada@example.org",
                Kind = FeedbackKind.HardBounce,
                OccurredAt = new DateTimeOffset(2026, 11, 22, 9, 30, 0, TimeSpan.Zero),
                Id = "4XyZ1b2c3d",
                Detail = "550 5.1.1 There is no such mailbox",
            },
        ],
    };

    /// <summary>What happened to messages.</summary>
    public sealed record FeedbackRequest
    {
        /// <summary>The reports, 1 to 1,000.</summary>
        [Required, MinLength(1), MaxLength(MaxEvents)]
        public FeedbackEvent?[]? Events { get; init; }
    }

    /// <summary>What happened to one message; <c>address</c> and <c>kind</c> are required.</summary>
    public sealed record FeedbackEvent
    {
        /// <summary>Whom it was for.</summary>
        [Required, MaxLength(Subscribers.Address.MaxLength)]
        public string? Address { get; init; }

        /// <summary>What became of it.</summary>
        [Required]
        public FeedbackKind? Kind { get; init; }

        /// <summary>When; now if left out.</summary>
        public DateTimeOffset? OccurredAt { get; init; }

        /// <summary>What the mail system calls this report: the same id is recorded once. At most 200 characters.</summary>
        [MaxLength(200)]
        public string? Id { get; init; }

        /// <summary>What the receiving mail system had to say; the first 500 characters are kept, sealed.</summary>
        public string? Detail { get; init; }
    }

    /// <summary>
    /// What is wrong with the form of the request refuses all of it; what is wrong with one address or time is said of
    /// that report alone, and the others count.
    /// </summary>
    private static async Task<Results<Ok<FeedbackAnswer>, Problem>> HandleAsync(FeedbackRequest request, HttpContext context, FeedbackIntake intake)
    {
        var errors = new InputErrors();
        if (request.Events is not { Length: >= 1 and <= MaxEvents } events)
        {
            return Problem.Invalid("events", "This holds 1 to 1000 reports.");
        }

        foreach (var (index, report) in events.Index())
        {
            if (report is null)
            {
                errors.Add($"events[{index}]", "This is required.");
                continue;
            }

            errors.Require($"events[{index}].kind", report.Kind);
            errors.AcceptText($"events[{index}].id", report.Id, 200);
            if (string.IsNullOrWhiteSpace(report.Address))
            {
                errors.Add($"events[{index}].address", "This is required.");
            }
        }

        return errors.Any
            ? errors.ToProblem()
            : await intake.TakeAsync(context, "generic", [.. events.Select(Read!)]);
    }

    private static Report Read(FeedbackEvent report) => new()
    {
        Address = report.Address,
        Kind = report.Kind,
        OccurredAt = report.OccurredAt,
        Id = report.Id,
        Detail = report.Detail,
    };
}
