using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.Json.Serialization;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Microsoft.AspNetCore.Http.HttpResults;
using Microsoft.AspNetCore.Mvc;

namespace ConsentLedger.Checks;

/// <summary><c>POST /v1/checks/batch</c>: up to 10,000 addresses for one purpose, answered in their order.</summary>
public static class CheckBatch
{
    /// <summary>How many addresses one request may hold.</summary>
    public const int MaxAddresses = 10_000;

    // 10,000 of the longest addresses, quoted and escaped.
    private const long MaxBody = 4 * 1024 * 1024;

    /// <summary>Maps the route.</summary>
    public static void MapCheckBatch(this IEndpointRouteBuilder app) =>
        app.MapPost("/v1/checks/batch", HandleAsync)
            .RequireScope(Scope.ChecksRead)
            .Refuses(ProblemType.PurposeNotPermitted, ProblemType.NotFound)
            .WithMetadata(new RequestSizeLimitAttribute(MaxBody))
            .WithExample(CheckExamples.BatchRequest, CheckExamples.BatchAnswer)
            .WithName("CheckBatch").WithTags("Checks").WithSummary("Says which of many addresses may be written to for a purpose");

    /// <summary>What to check.</summary>
    public sealed record BatchRequest
    {
        /// <summary>The key of the purpose the messages are for.</summary>
        [Required]
        public string? Purpose { get; init; }

        /// <summary>The addresses, 1 to 10,000.</summary>
        [Required, MinLength(1), MaxLength(MaxAddresses)]
        public string?[]? Addresses { get; init; }
    }

    /// <summary>The answers.</summary>
    /// <param name="Purpose">The purpose that was asked for.</param>
    /// <param name="CheckedAt">The instant the answers are about.</param>
    /// <param name="Allowed">How many may be written to.</param>
    /// <param name="Denied">How many may not.</param>
    /// <param name="Results">One for each address, in the order given.</param>
    public sealed record BatchAnswer(string Purpose, DateTimeOffset CheckedAt, int Allowed, int Denied, IReadOnlyList<BatchResult> Results);

    /// <summary>The answer for one address.</summary>
    /// <param name="Address">As it was given.</param>
    /// <param name="Allowed">True if a message may be sent.</param>
    /// <param name="Reason">The one reason.</param>
    /// <param name="UnsubscribeUrl">How the recipient leaves; only for allowed e-mail.</param>
    public sealed record BatchResult(
        string? Address, bool Allowed, CheckReason Reason,
        [property: JsonIgnore(Condition = JsonIgnoreCondition.WhenWritingNull)] string? UnsubscribeUrl);

    private static async Task<Results<Ok<BatchAnswer>, Problem>> HandleAsync(
        BatchRequest request, HttpContext context, CheckReader reader, SubscriberIds subscribers, UnsubscribeLinks links, LedgerMetrics metrics,
        TimeProvider clock, CancellationToken cancellation)
    {
        var now = Instant.Of(clock.GetUtcNow());
        var errors = new InputErrors();
        var purposeKey = errors.RequireText("purpose", request.Purpose, 64);
        if (request.Addresses is not { Length: >= 1 and <= MaxAddresses })
        {
            errors.Add("addresses", string.Create(CultureInfo.InvariantCulture, $"This holds 1 to {MaxAddresses} addresses."));
        }

        if (errors.Any)
        {
            return errors.ToProblem();
        }

        if (!context.Caller().MayUse(purposeKey))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        var given = request.Addresses!;
        var addresses = Array.ConvertAll(given, text => Address.TryParse(text, out var address, out _) ? address : null);
        var ids = Array.ConvertAll(addresses, address => address is null ? default : subscribers.Of(address));
        if (!PurposeKey.TryParse(purposeKey, null, out var key)
            || await reader.ReadManyAsync(key, ids, cancellation) is not { Purpose: { } purpose, States: var states })
        {
            return Problem.NotFound("There is no such purpose.");
        }

        var allowed = 0;
        var results = new BatchResult[given.Length];
        for (var i = 0; i < given.Length; i++)
        {
            var decision = addresses[i]?.Fits(purpose.Channel) == true ? states[i].Decide(purpose, now) : Decision.Deny(CheckReason.InvalidAddress);
            allowed += decision.Allowed ? 1 : 0;
            results[i] = new BatchResult(
                given[i], decision.Allowed, decision.Reason,
                decision.Allowed && purpose.Channel == Channel.Email ? links.UrlFor(purpose.Id, ids[i]) : null);
        }

        foreach (var reason in results.CountBy(result => result.Reason))
        {
            metrics.Checked(reason.Key, reason.Value);
        }

        return TypedResults.Ok(new BatchAnswer(purpose.Key, now, allowed, given.Length - allowed, results));
    }
}
