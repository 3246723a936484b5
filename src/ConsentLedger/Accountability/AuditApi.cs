using System.Buffers.Binary;
using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Dapper;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace ConsentLedger.Accountability;

/// <summary><c>GET /v1/audit</c>: who did what, when, and to whose records; the last first.</summary>
public static partial class AuditApi
{
    /// <summary>Maps the route.</summary>
    public static void MapAudit(this IEndpointRouteBuilder app) =>
        app.MapGet("/v1/audit", ListAsync)
            .RequireScope(Scope.AuditRead)
            .Refuses(ProblemType.Validation, ProblemType.PurposeNotPermitted)
            .WithExample(answer: new Page<AuditView>([Example], null))
            .WithName("ListAuditEntries").WithTags("Accountability").WithSummary("Lists who did what, the last first");

    private static readonly AuditView Example = new(
        Guid.Parse("019aab3c-5f00-7c3e-9a41-5d0f6b2c8e18"), new DateTimeOffset(2026, 11, 22, 9, 30, 0, TimeSpan.Zero),
        AuditAction.SubscriberLookedUp,
        new AuditActor(ActorKind.Key, Guid.Parse("019a9f2e-5c00-7a31-9d4e-3f1b6c8a2d10"), "Visitor services desk"),
        SubscriberId.Parse("5b1d7c3e-2f0a-4c7d-8e69-1a2b3c4d5e6f", null), null, null, new Dictionary<string, string>(),
        "4bf92f3577b34da6a3ce929d0e0e4736");

    /// <summary>Something that was done.</summary>
    /// <param name="Id">A UUIDv7.</param>
    /// <param name="At">When.</param>
    /// <param name="Action">What: a slug in the past tense, such as <c>key-created</c>.</param>
    /// <param name="Actor">Who did it.</param>
    /// <param name="SubscriberId">Whose records it was about; null if no one's. Never an address.</param>
    /// <param name="Purpose">The purpose's key; null if it was about none, or about all.</param>
    /// <param name="Target">What else it was done to: the id of an API key, a run or a request, the key of a form.</param>
    /// <param name="Details">Counts and settings, by name.</param>
    /// <param name="RequestId">The request in which it was done, as the service's log names it; null outside of one.</param>
    public sealed record AuditView(
        Guid Id, DateTimeOffset At, string Action, AuditActor Actor, SubscriberId? SubscriberId, string? Purpose, string? Target,
        IReadOnlyDictionary<string, string> Details, string? RequestId);

    /// <summary>Who did something.</summary>
    /// <param name="Kind">What kind of actor.</param>
    /// <param name="KeyId">The API key; null for other kinds.</param>
    /// <param name="Name">The name of the API key, or the verb of the command line; null for other kinds.</param>
    public sealed record AuditActor(ActorKind Kind, Guid? KeyId, string? Name);

    /// <param name="context">The request.</param>
    /// <param name="database">The database.</param>
    /// <param name="action">Only what was done in this way.</param>
    /// <param name="since">Only what was done at this time or later.</param>
    /// <param name="subscriberId">Only what was done to the records of this subscriber.</param>
    /// <param name="limit">How many, at most 1,000.</param>
    /// <param name="cursor">Where the page before ended.</param>
    /// <param name="cancellation">Gives up.</param>
    private static async Task<Results<Ok<Page<AuditView>>, Problem>> ListAsync(
        HttpContext context, NpgsqlDataSource database, CancellationToken cancellation, string? action = null, string? since = null,
        SubscriberId? subscriberId = null, int limit = Page<AuditView>.DefaultLimit, string? cursor = null)
    {
        const string Sql = """
            select audit_id, happened_at, action, actor::text, key_id, coalesce(command, api_key.name) as name, about_subscriber,
                   audit_entry.purpose, target, details::text, request_id
            from audit_entry left join api_key using (key_id)
            where audit_id < @before and audit_id >= @floor and happened_at >= @since
                and (@action::text is null or action = @action)
                and (@subscriber::uuid is null or about_subscriber = @subscriber)
            order by audit_id desc
            limit @fetched
            """;
        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        var errors = new InputErrors();
        var before = Guid.AllBitsSet;
        var from = Instant.Earliest;
        if (action is not null && !ActionSlug().IsMatch(action))
        {
            errors.Add("action", "This is a slug such as key-created.");
        }

        if (since is not null && !Instant.TryParse(since, out from))
        {
            errors.Add("since", "This is not an RFC 3339 time.");
        }

        if (cursor is not null && !Guid.TryParseExact(cursor, "D", out before))
        {
            errors.Add("cursor", "This is not a cursor of this list.");
        }

        if (errors.Any)
        {
            return errors.ToProblem();
        }

        if (Paging.Check(limit) is { } problem)
        {
            return problem;
        }

        await using var connection = await database.OpenConnectionAsync(cancellation);
        var rows = await connection.QueryAsync<Row>(new CommandDefinition(
            Sql,
            new { before, floor = FirstIdOf(from), since = from.UtcDateTime, action, subscriber = subscriberId?.Value, fetched = limit + 1 },
            cancellationToken: cancellation));
        return TypedResults.Ok(Paging.PageOf(rows.Select(row => row.ToView()), limit, entry => entry.Id.ToString("D", CultureInfo.InvariantCulture)));
    }

    /// <summary>The least UUIDv7 of an instant's millisecond, so that the primary key bounds what is read.</summary>
    private static Guid FirstIdOf(DateTimeOffset instant)
    {
        Span<byte> id = stackalloc byte[16];
        id.Clear();
        BinaryPrimitives.WriteInt64BigEndian(id, (instant.ToUnixTimeMilliseconds() << 16) | 0x7000);
        return new Guid(id, bigEndian: true);
    }

    [GeneratedRegex(@"\A[a-z]+(-[a-z]+)*\z", RegexOptions.CultureInvariant)]
    private static partial Regex ActionSlug();

    private sealed record Row(
        Guid AuditId, DateTimeOffset HappenedAt, string Action, string Actor, Guid? KeyId, string? Name, Guid? AboutSubscriber, string? Purpose,
        string? Target, string Details, string? RequestId)
    {
        public AuditView ToView() => new(
            AuditId, HappenedAt, Action, new AuditActor(Label<ActorKind>.Parse(Actor), KeyId, Name),
            AboutSubscriber is { } subscriber ? new SubscriberId(subscriber) : null, Purpose, Target,
            JsonSerializer.Deserialize<Dictionary<string, string>>(Details)!, RequestId);
    }
}
