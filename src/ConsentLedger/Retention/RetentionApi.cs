using System.Globalization;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.Retention;

/// <summary><c>GET /v1/retention/preview</c>, and <c>/v1/retention/runs</c>.</summary>
public static class RetentionApi
{
    /// <summary>Adds what retention needs; a wrong setting ends the start here.</summary>
    /// <exception cref="StartupException">A setting can't be what it says.</exception>
    public static IServiceCollection AddRetention(this IServiceCollection services, IConfiguration configuration) => services
        .AddSingleton(RetentionOptions.Read(configuration))
        .AddSingleton<RetentionMetrics>()
        .AddSingleton<PurgeRuns>()
        .AddSingleton<RetentionForecast>()
        .AddSingleton<RetentionExplanation>()
        .AddSingleton<LedgerSignature>()
        .AddSingleton<PurgeCertificates>()
        .AddSingleton<RetentionRunner>()
        .AddSingleton<RetentionSchedule>()
        .AddHostedService(provider => provider.GetRequiredService<RetentionSchedule>());

    /// <summary>Maps the routes.</summary>
    public static void MapRetention(this IEndpointRouteBuilder app)
    {
        app.MapRetentionPolicy();
        app.MapPurgeCertificates();
        var retention = app.MapGroup("/v1/retention").WithTags("Retention");
        retention.MapGet("/preview", PreviewAsync)
            .RequireScope(Scope.RetentionRead)
            .WithExample(answer: new RetentionPreview(
                new DateTimeOffset(2026, 11, 22, 9, 30, 0, TimeSpan.Zero),
                [
                    new RetentionPreviewItem("newsletter", PurgeRule.Lapsed, 12, 15, 31),
                    new RetentionPreviewItem("newsletter", PurgeRule.Pending, 3, 9, 9),
                    new RetentionPreviewItem(PurposeKey.All, PurgeRule.Address, 8, 14, 20),
                ]))
            .WithName("PreviewRetention").WithSummary("Counts what would be purged now, and within 30 and 90 days");
        retention.MapPost("/runs", RequestAsync)
            .RequireScope(Scope.RetentionRun)
            .AcceptsIdempotencyKey()
            .Refuses(ProblemType.PurposeNotPermitted)
            .WithExample(new PurgeRunRequest { DryRun = false }, Example with { Status = PurgeStatus.Pending, StartedAt = null, FinishedAt = null, Purged = new PurgeCounts(), Expired = 0, HeldBack = 0 })
            .WithName("RequestPurgeRun").WithSummary("Asks for a purge run");
        retention.MapGet("/runs/{id}", GetAsync)
            .RequireScope(Scope.RetentionRead)
            .Refuses(ProblemType.PurposeNotPermitted, ProblemType.NotFound)
            .WithExample(answer: Example)
            .WithName("GetPurgeRun").WithSummary("Shows a purge run");
        retention.MapGet("/runs", ListAsync)
            .RequireScope(Scope.RetentionRead)
            .Refuses(ProblemType.PurposeNotPermitted)
            .WithExample(answer: new Page<PurgeRun>([Example], null))
            .WithName("ListPurgeRuns").WithSummary("Lists purge runs, the last first");
    }

    private static readonly PurgeRun Example = new(
        Guid.Parse("019aab3c-5f00-7c3e-9a41-5d0f6b2c8e17"), PurgeStatus.Completed, PurgeTrigger.Api, DryRun: false,
        new DateTimeOffset(2026, 11, 22, 9, 30, 0, TimeSpan.Zero), new DateTimeOffset(2026, 11, 22, 9, 30, 0, TimeSpan.Zero),
        new DateTimeOffset(2026, 11, 22, 9, 30, 2, TimeSpan.Zero), new PurgeCounts(Lapsed: 12, Pending: 3, Address: 8), Expired: 5, HeldBack: 1);

    /// <summary>What is asked for.</summary>
    public sealed record PurgeRunRequest
    {
        /// <summary>True to count what would go and delete nothing.</summary>
        public bool? DryRun { get; init; }
    }

    /// <summary>What would be purged.</summary>
    /// <param name="GeneratedAt">When this was counted.</param>
    /// <param name="Items">By purpose and rule; those that are about all purposes last.</param>
    public sealed record RetentionPreview(DateTimeOffset GeneratedAt, IReadOnlyList<RetentionPreviewItem> Items);

    /// <summary>How many records would go of one purpose by one rule, if nothing else happened: each number includes the one before.</summary>
    /// <param name="Purpose">The purpose's key; <c>*</c> for the rules <c>facets</c>, <c>address</c>, <c>requests</c> and <c>audit</c>.</param>
    /// <param name="Rule">The rule.</param>
    /// <param name="Now">By a run at this moment.</param>
    /// <param name="In30Days">By 30 days from now.</param>
    /// <param name="In90Days">By 90 days from now.</param>
    public sealed record RetentionPreviewItem(string Purpose, PurgeRule Rule, long Now, long In30Days, long In90Days);

    private static async Task<Ok<RetentionPreview>> PreviewAsync(
        HttpContext context, RetentionForecast forecast, PurposeCatalogue purposes, TimeProvider clock, CancellationToken cancellation)
    {
        var now = Instant.Of(clock.GetUtcNow());
        var caller = context.Caller();
        var counted = (await forecast.CountAsync(now, cancellation)).ToDictionary(row => (row.PurposeId, row.Rule));
        var items = new List<RetentionPreviewItem>();
        foreach (var purpose in (await purposes.ListAsync(cancellation)).Where(purpose => caller.MayUse(purpose.Key)))
        {
            items.Add(Item(purpose.Key, purpose.Id.Value, PurgeRule.Ended));
            items.Add(Item(purpose.Key, purpose.Id.Value, PurgeRule.Lapsed));
            items.Add(Item(purpose.Key, purpose.Id.Value, PurgeRule.Pending));
            items.Add(Item(purpose.Key, purpose.Id.Value, PurgeRule.Evidence));
        }

        if (caller.MayUse(PurposeKey.All))
        {
            items.Add(Item(PurposeKey.All, null, PurgeRule.Facets));
            items.Add(Item(PurposeKey.All, null, PurgeRule.Address));
            items.Add(Item(PurposeKey.All, null, PurgeRule.Requests));
            items.Add(Item(PurposeKey.All, null, PurgeRule.Audit));
        }

        return TypedResults.Ok(new RetentionPreview(now, items));

        RetentionPreviewItem Item(string key, int? id, PurgeRule rule) =>
            counted.TryGetValue((id, Label<PurgeRule>.Of(rule)), out var row)
                ? new RetentionPreviewItem(key, rule, row.Now, row.In30Days, row.In90Days)
                : new RetentionPreviewItem(key, rule, 0, 0, 0);
    }

    /// <summary>
    /// Asks for a run; it is durable before this is answered, and is done whatever becomes of this instance. There is one
    /// at a time: while one waits or runs, that one is the answer, whatever its <c>dryRun</c> says.
    /// </summary>
    private static async Task<Results<Accepted<PurgeRun>, Problem>> RequestAsync(
        HttpContext context, PurgeRuns runs, RetentionSchedule schedule, CancellationToken cancellation, PurgeRunRequest? request = null)
    {
        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        var run = await runs.RequestAsync(context.Actor(), PurgeTrigger.Api, request?.DryRun ?? false, cancellation);
        schedule.Wake();
        return TypedResults.Accepted(string.Create(CultureInfo.InvariantCulture, $"/v1/retention/runs/{run.Id:D}"), run);
    }

    private static async Task<Results<Ok<PurgeRun>, Problem>> GetAsync(Guid id, HttpContext context, PurgeRuns runs, CancellationToken cancellation) =>
        !context.Caller().MayUse(PurposeKey.All) ? new Problem(ProblemType.PurposeNotPermitted)
        : await runs.FindAsync(id, cancellation) is { } run ? TypedResults.Ok(run)
        : Problem.NotFound();

    private static async Task<Results<Ok<Page<PurgeRun>>, Problem>> ListAsync(
        HttpContext context, PurgeRuns runs, CancellationToken cancellation, int limit = 50, Guid? cursor = null)
    {
        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        return Paging.Check(limit) is { } problem
            ? problem
            : TypedResults.Ok(Paging.PageOf(await runs.ListAsync(cursor, limit + 1, cancellation), limit, run => run.Id.ToString("D", CultureInfo.InvariantCulture)));
    }
}
