using System.Text.Json;
using System.Text.Json.Nodes;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.PersonalData;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.Feedback;

/// <summary>
/// Bounces and complaints, as mail providers report them: <c>POST /v1/feedback/{provider}</c>. Every caller shows a key
/// with the scope <c>feedback:write</c>; a provider that can't send it as Bearer shows it as the password of the URL it is
/// given, <c>https://feedback:clk_…@consent.example.org/v1/feedback/postmark</c>. One that signs is held to its signature
/// besides.
/// </summary>
/// <remarks>
/// A provider repeats what is not answered with success, so that answers are chosen by whether that would help: 503 while
/// the ledger can't be asked, 200 for everything that could be read, with what was wrong with single reports in the
/// answer, and a refusal for what is not from the provider, or not in its format.
/// </remarks>
public static class FeedbackApi
{
    /// <summary>Adds what feedback needs.</summary>
    public static IServiceCollection AddFeedback(this IServiceCollection services)
    {
        AmazonSns.AddClient(services);
        return services
            .AddSingleton(provider => FeedbackOptions.Read(provider.GetRequiredService<IConfiguration>()))
            .AddSingleton<SoftBounces>()
            .AddSingleton<IPersonalRecords, BounceRecords>()
            .AddSingleton<FeedbackIntake>()
            .AddSingleton<AmazonSns>()
            .AddSingleton<MailgunTokens>()
            .AddHostedService<FeedbackCleanup>();
    }

    /// <summary>Maps the routes. Wrong settings are found here, at the start.</summary>
    public static void MapFeedback(this IEndpointRouteBuilder app)
    {
        _ = app.ServiceProvider.GetRequiredService<FeedbackOptions>();
        var feedback = app.MapGroup("/v1/feedback").WithTags("Feedback");
        feedback.MapGenericFeedback();
        feedback.MapSesFeedback();
        feedback.MapSendGridFeedback();
        feedback.MapPostmarkFeedback();
        feedback.MapMailgunFeedback();
    }

    internal static readonly FeedbackAnswer ExampleAnswer = new(1, 1, 0, 0, 0, 0, []);

    /// <summary>What all of the providers' routes have in common.</summary>
    internal static RouteHandlerBuilder AsProvider(this RouteHandlerBuilder route, string example, params string[] contentTypes) =>
        route
            .RequireScope(Scope.FeedbackWrite)
            .AcceptsKeyAsPassword()
            .AcceptsIdempotencyKey()
            .Refuses(ProblemType.Validation, ProblemType.PurposeNotPermitted)
            .Accepts<JsonElement>(contentTypes.Length > 0 ? contentTypes[0] : "application/json", [.. contentTypes.Skip(1)])
            .WithExample(JsonNode.Parse(example), ExampleAnswer);

    /// <summary>
    /// Takes what a provider's request says. A suppression stands for all purposes, so a key that is bound to some can't
    /// make one.
    /// </summary>
    internal static async Task<Results<Ok<FeedbackAnswer>, Problem>> TakeAsync(
        this FeedbackIntake intake, HttpContext context, string provider, IReadOnlyList<Report> reports) =>
        context.Caller().MayUse(PurposeKey.All)
            ? TypedResults.Ok(await intake.TakeAsync(provider, reports, context.Features.Get<IdempotentRequest>(), context.RequestAborted))
            : new Problem(ProblemType.PurposeNotPermitted);

    /// <summary>It is JSON, or was meant to be, and not what this provider sends.</summary>
    internal static Problem NotItsFormat(string expected) => Problem.Invalid("body", expected);

    /// <summary>It does not come from the provider, whoever sent it.</summary>
    internal static Problem NotSigned(string why) => new(ProblemType.SignatureInvalid, why);

    /// <summary>True for a time at which a request may have been signed that arrives now.</summary>
    internal static bool IsTimely(DateTimeOffset? signedAt, TimeProvider clock)
    {
        var now = clock.GetUtcNow();
        return signedAt is { } time && time >= now - FeedbackOptions.Tolerance && time <= now + EventRules.ClockTolerance;
    }
}
