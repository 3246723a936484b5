using System.ComponentModel.DataAnnotations;
using System.Text.Json;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using Dapper;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace ConsentLedger.Accountability;

/// <summary><c>/v1/breaches</c>: the register of breaches of personal data, and its clock of 72 hours (FACTS 39).</summary>
public static class BreachesApi
{
    private const int MaxText = 10_000;
    private const string Table = "breach";

    private const string Columns = "breach_id, aware_at, report_due_at, reportable, reported_at, people_told_at, account, created_at, updated_at";

    /// <summary>Maps the routes.</summary>
    public static void MapBreaches(this IEndpointRouteBuilder app)
    {
        var breaches = app.MapGroup("/v1/breaches").WithTags("Accountability");
        breaches.MapPost("/", LogAsync)
            .RequireScope(Scope.BreachesWrite)
            .AcceptsIdempotencyKey()
            .Refuses(ProblemType.Validation, ProblemType.PurposeNotPermitted)
            .WithExample(ExampleRequest, Example)
            .WithName("LogBreach").WithSummary("Logs a breach, and starts the 72 hours in which it is reported unless a risk is unlikely");
        breaches.MapGet("/", ListAsync)
            .RequireScope(Scope.BreachesRead)
            .Refuses(ProblemType.Validation, ProblemType.PurposeNotPermitted)
            .WithExample(answer: new Page<BreachView>([Example], null))
            .WithName("ListBreaches").WithSummary("Lists breaches, the last one noticed first");
        breaches.MapGet("/{id:guid}", GetAsync)
            .RequireScope(Scope.BreachesRead)
            .Refuses(ProblemType.NotFound, ProblemType.PurposeNotPermitted)
            .WithExample(answer: Example)
            .WithName("GetBreach").WithSummary("Shows a breach");
        breaches.MapPatch("/{id:guid}", ChangeAsync)
            .RequireScope(Scope.BreachesWrite)
            .Refuses(ProblemType.Validation, ProblemType.NotFound, ProblemType.PurposeNotPermitted)
            .WithExample(
                new BreachAccount { Reportable = false, Reasons = "The laptop's disk is encrypted; a risk to people is unlikely.", Remedy = "The laptop was wiped from afar." }, Example)
            .WithName("ChangeBreach").WithSummary("Adds to what is known of a breach, or what was decided; what is left out stays");
    }

    private static readonly DateTimeOffset ExampleTime = new(2026, 11, 20, 16, 0, 0, TimeSpan.Zero);

    private static readonly BreachAccount ExampleRequest = new()
    {
        AwareAt = ExampleTime,
        Causes = "A laptop was left on a train.",
        Events = "The laptop of the events team was lost between York and Leeds.",
        Data = "Names and e-mail addresses of about 400 people on the open-days list.",
        Impact = "Unwanted mail, if the disk were read.",
    };

    private static readonly BreachView Example = new(
        Guid.Parse("019aa25c-1a00-7c3e-9a41-5d0f6b2c8e17"), ExampleTime, ExampleTime.AddHours(72), null, null, null, false,
        ExampleRequest.Causes, ExampleRequest.Events, ExampleRequest.Data, ExampleRequest.Impact, null, null, ExampleTime, ExampleTime);

    /// <summary>What is known of a breach, and what was decided. A text has at most 10,000 characters and is kept sealed.</summary>
    public sealed record BreachAccount
    {
        /// <summary>When somebody here became aware of it: the 72 hours run from then. Now by default.</summary>
        public DateTimeOffset? AwareAt { get; init; }

        /// <summary>How it could happen.</summary>
        [MaxLength(MaxText)]
        public string? Causes { get; init; }

        /// <summary>What happened. Required to log one.</summary>
        [MaxLength(MaxText)]
        public string? Events { get; init; }

        /// <summary>Which data, and of about how many people.</summary>
        [MaxLength(MaxText)]
        public string? Data { get; init; }

        /// <summary>What it means, or may mean, for these people.</summary>
        [MaxLength(MaxText)]
        public string? Impact { get; init; }

        /// <summary>What was done about it.</summary>
        [MaxLength(MaxText)]
        public string? Remedy { get; init; }

        /// <summary>Whether it is to be reported: not if a risk to people is unlikely. Needs <c>reasons</c>.</summary>
        public bool? Reportable { get; init; }

        /// <summary>Why it is, or is not, reported; and why late, if it was.</summary>
        [MaxLength(MaxText)]
        public string? Reasons { get; init; }

        /// <summary>When it was reported to the supervisory authority.</summary>
        public DateTimeOffset? ReportedAt { get; init; }

        /// <summary>When the people concerned were told, where the risk to them is high.</summary>
        public DateTimeOffset? PeopleToldAt { get; init; }
    }

    /// <summary>A breach as the register shows it.</summary>
    /// <param name="Id">A UUIDv7.</param>
    /// <param name="AwareAt">When somebody became aware of it.</param>
    /// <param name="ReportDueAt">By when it is reported, unless a risk is unlikely: 72 hours after that.</param>
    /// <param name="Reportable">Whether it is to be reported; null while that is not decided.</param>
    /// <param name="ReportedAt">When it was reported.</param>
    /// <param name="PeopleToldAt">When the people concerned were told.</param>
    /// <param name="Overdue">True if the 72 hours have passed, and it was neither reported nor found not to need it.</param>
    /// <param name="Causes">How it could happen.</param>
    /// <param name="Events">What happened.</param>
    /// <param name="Data">Which data, and of how many people.</param>
    /// <param name="Impact">What it means for them.</param>
    /// <param name="Remedy">What was done about it.</param>
    /// <param name="Reasons">Why it is, or is not, reported.</param>
    /// <param name="CreatedAt">When it was logged.</param>
    /// <param name="UpdatedAt">When this last changed; the audit trail says by whom.</param>
    public sealed record BreachView(
        Guid Id, DateTimeOffset AwareAt, DateTimeOffset ReportDueAt, bool? Reportable, DateTimeOffset? ReportedAt, DateTimeOffset? PeopleToldAt,
        bool Overdue, string? Causes, string? Events, string? Data, string? Impact, string? Remedy, string? Reasons, DateTimeOffset CreatedAt,
        DateTimeOffset UpdatedAt);

    private static async Task<Results<Created<BreachView>, Problem>> LogAsync(
        BreachAccount request, HttpContext context, NpgsqlDataSource database, Sealer sealer, KeyRing keys, AuditTrail audit, TimeProvider clock,
        CancellationToken cancellation)
    {
        // Sent again under the same Idempotency-Key it is the same breach, with the same 72 hours.
        var idempotent = context.Features.Get<IdempotentRequest>();
        var now = Instant.Of(idempotent?.FirstSeenAt ?? clock.GetUtcNow());
        var id = EventId.Of(keys.EventIdKey, "breach", idempotent)?.Value ?? Guid.CreateVersion7(now);
        var errors = new InputErrors();
        errors.RequireText("events", request.Events?.ReplaceLineEndings(" "), MaxText);
        var (breach, problem) = Read(new Breach(id, now, null, null, null, new Account(), now, now), request, context, now, errors);
        if (problem is not null)
        {
            return problem;
        }

        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var entered = await connection.ExecuteAsync(new CommandDefinition(
            """
            insert into breach (breach_id, aware_at, report_due_at, reportable, reported_at, people_told_at, account, created_at, updated_at)
            values (@Id, @AwareAt, @ReportDueAt, @Reportable, @ReportedAt, @PeopleToldAt, @account, @CreatedAt, @UpdatedAt)
            on conflict do nothing
            """,
            breach.Parameters(sealer),
            cancellationToken: cancellation));
        if (entered == 0)
        {
            return TypedResults.Created($"/v1/breaches/{breach.Id:D}", breach.ToView(now));
        }

        await audit.WriteAsync(connection, context.Actor(), new AuditEntry(AuditAction.BreachLogged) { Target = breach.Id.ToString("D") }, cancellation);
        await transaction.CommitAsync(cancellation);
        return TypedResults.Created($"/v1/breaches/{breach.Id:D}", breach.ToView(now));
    }

    private static async Task<Results<Ok<BreachView>, Problem>> ChangeAsync(
        Guid id, BreachAccount request, HttpContext context, NpgsqlDataSource database, Sealer sealer, AuditTrail audit, TimeProvider clock,
        CancellationToken cancellation)
    {
        var now = Instant.Of(clock.GetUtcNow());
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var row = await connection.QuerySingleOrDefaultAsync<Row>(new CommandDefinition(
            $"select {Columns} from breach where breach_id = @id for update", new { id }, cancellationToken: cancellation));
        if (row is null)
        {
            return Problem.NotFound();
        }

        var (breach, problem) = Read(row.ToBreach(sealer) with { UpdatedAt = now }, request, context, now, new InputErrors());
        if (problem is not null)
        {
            return problem;
        }

        await connection.ExecuteAsync(new CommandDefinition(
            """
            update breach
            set aware_at = @AwareAt, report_due_at = @ReportDueAt, reportable = @Reportable, reported_at = @ReportedAt,
                people_told_at = @PeopleToldAt, account = @account, updated_at = @UpdatedAt
            where breach_id = @Id
            """,
            breach.Parameters(sealer),
            cancellationToken: cancellation));
        await audit.WriteAsync(
            connection,
            context.Actor(),
            new AuditEntry(AuditAction.BreachChanged)
            {
                Target = id.ToString("D"),
                Details = new Dictionary<string, string> { ["members"] = string.Join(' ', Named(request)) },
            },
            cancellation);
        await transaction.CommitAsync(cancellation);
        return TypedResults.Ok(breach.ToView(now));
    }

    private static async Task<Results<Ok<BreachView>, Problem>> GetAsync(
        Guid id, HttpContext context, NpgsqlDataSource database, Sealer sealer, TimeProvider clock, CancellationToken cancellation)
    {
        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        await using var connection = await database.OpenConnectionAsync(cancellation);
        var row = await connection.QuerySingleOrDefaultAsync<Row>(new CommandDefinition(
            $"select {Columns} from breach where breach_id = @id", new { id }, cancellationToken: cancellation));
        return row is null ? Problem.NotFound() : TypedResults.Ok(row.ToBreach(sealer).ToView(clock.GetUtcNow()));
    }

    private static async Task<Results<Ok<Page<BreachView>>, Problem>> ListAsync(
        HttpContext context, NpgsqlDataSource database, Sealer sealer, TimeProvider clock, CancellationToken cancellation,
        int limit = Page<BreachView>.DefaultLimit, string? cursor = null)
    {
        const string Sql = $"""
            select {Columns} from breach
            where (aware_at, breach_id) < (@time, @id)
            order by aware_at desc, breach_id desc
            limit @fetched
            """;
        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        var (time, id) = (DateTimeOffset.MaxValue, Guid.AllBitsSet);
        if (cursor is not null && !TimeCursor.TryRead(cursor, out time, out id))
        {
            return Problem.Invalid("cursor", "This is not a cursor of this list.");
        }

        if (Paging.Check(limit) is { } problem)
        {
            return problem;
        }

        var now = clock.GetUtcNow();
        await using var connection = await database.OpenConnectionAsync(cancellation);
        var rows = await connection.QueryAsync<Row>(new CommandDefinition(
            Sql, new { time = time.UtcDateTime, id, fetched = limit + 1 }, cancellationToken: cancellation));
        return TypedResults.Ok(Paging.PageOf(
            rows.Select(row => row.ToBreach(sealer).ToView(now)), limit, breach => TimeCursor.Write(breach.AwareAt, breach.Id)));
    }

    /// <summary>The breach with what was said put in, or what is wrong with that.</summary>
    private static (Breach Breach, Problem? Problem) Read(Breach before, BreachAccount said, HttpContext context, DateTimeOffset now, InputErrors errors)
    {
        var breach = before with
        {
            AwareAt = Past("awareAt", said.AwareAt) ?? before.AwareAt,
            Reportable = said.Reportable ?? before.Reportable,
            ReportedAt = Past("reportedAt", said.ReportedAt) ?? before.ReportedAt,
            PeopleToldAt = Past("peopleToldAt", said.PeopleToldAt) ?? before.PeopleToldAt,
            Account = new Account
            {
                Causes = errors.AcceptText("causes", said.Causes, MaxText, lines: true) ?? before.Account.Causes,
                Events = errors.AcceptText("events", said.Events, MaxText, lines: true) ?? before.Account.Events,
                Data = errors.AcceptText("data", said.Data, MaxText, lines: true) ?? before.Account.Data,
                Impact = errors.AcceptText("impact", said.Impact, MaxText, lines: true) ?? before.Account.Impact,
                Remedy = errors.AcceptText("remedy", said.Remedy, MaxText, lines: true) ?? before.Account.Remedy,
                Reasons = errors.AcceptText("reasons", said.Reasons, MaxText, lines: true) ?? before.Account.Reasons,
            },
        };
        if (breach.Reportable is not null && string.IsNullOrWhiteSpace(breach.Account.Reasons))
        {
            errors.Add("reasons", "Whether a breach is reported or not, the reasons are on record.");
        }

        if (breach.ReportedAt is not null && breach.Reportable != true)
        {
            errors.Add("reportedAt", "This goes with reportable: true.");
        }

        return (breach,
            errors.Any ? errors.ToProblem()
            : !context.Caller().MayUse(PurposeKey.All) ? new Problem(ProblemType.PurposeNotPermitted)
            : null);

        DateTimeOffset? Past(string path, DateTimeOffset? time)
        {
            if (time > now + EventRules.ClockTolerance)
            {
                errors.Add(path, "This is more than five minutes ahead of the service's clock.");
            }

            return time is { } given ? Instant.Of(given) : null;
        }
    }

    private static IEnumerable<string> Named(BreachAccount said)
    {
        var members = new (string Name, object? Value)[]
        {
            ("awareAt", said.AwareAt), ("causes", said.Causes), ("events", said.Events), ("data", said.Data), ("impact", said.Impact),
            ("remedy", said.Remedy), ("reportable", said.Reportable), ("reasons", said.Reasons), ("reportedAt", said.ReportedAt), ("peopleToldAt", said.PeopleToldAt),
        };
        return members.Where(member => member.Value is not null).Select(member => member.Name);
    }

    private sealed record Account
    {
        public string? Causes { get; init; }

        public string? Events { get; init; }

        public string? Data { get; init; }

        public string? Impact { get; init; }

        public string? Remedy { get; init; }

        public string? Reasons { get; init; }
    }

    private sealed record Breach(
        Guid Id, DateTimeOffset AwareAt, bool? Reportable, DateTimeOffset? ReportedAt, DateTimeOffset? PeopleToldAt, Account Account,
        DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt)
    {
        private static readonly TimeSpan ToReport = TimeSpan.FromHours(72);

        private DateTimeOffset ReportDueAt => AwareAt + ToReport;

        public BreachView ToView(DateTimeOffset now) => new(
            Id, AwareAt, ReportDueAt, Reportable, ReportedAt, PeopleToldAt, ReportedAt is null && Reportable != false && ReportDueAt < now,
            Account.Causes, Account.Events, Account.Data, Account.Impact, Account.Remedy, Account.Reasons, CreatedAt, UpdatedAt);

        public object Parameters(Sealer sealer) => new
        {
            Id,
            AwareAt = AwareAt.UtcDateTime,
            ReportDueAt = ReportDueAt.UtcDateTime,
            Reportable,
            ReportedAt = ReportedAt?.UtcDateTime,
            PeopleToldAt = PeopleToldAt?.UtcDateTime,
            account = sealer.Seal(JsonSerializer.SerializeToUtf8Bytes(Account), SealedPlace.Of(Table, Id)),
            CreatedAt = CreatedAt.UtcDateTime,
            UpdatedAt = UpdatedAt.UtcDateTime,
        };
    }

    private sealed record Row(
        Guid BreachId, DateTimeOffset AwareAt, DateTimeOffset ReportDueAt, bool? Reportable, DateTimeOffset? ReportedAt, DateTimeOffset? PeopleToldAt,
        byte[] Account, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt)
    {
        public Breach ToBreach(Sealer sealer) => new(
            BreachId, AwareAt, Reportable, ReportedAt, PeopleToldAt,
            JsonSerializer.Deserialize<Account>(sealer.Open(Account, SealedPlace.Of(Table, BreachId)))!, CreatedAt, UpdatedAt);
    }
}
