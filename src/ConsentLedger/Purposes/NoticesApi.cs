using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Security.Cryptography;
using System.Text.RegularExpressions;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Security;
using Dapper;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace ConsentLedger.Purposes;

/// <summary>Notices: <c>POST</c> and <c>GET /v1/purposes/{key}/notices</c>. A published notice never changes.</summary>
public static partial class NoticesApi
{
    private const int MaxStatement = 10_000;

    /// <summary>Maps the routes.</summary>
    public static void MapNotices(this IEndpointRouteBuilder app)
    {
        var notices = app.MapGroup("/v1/purposes/{key}/notices").WithTags("Purposes and notices");
        notices.MapPost("/", PublishAsync)
            .RequireScope(Scope.PurposesWrite)
            .AcceptsIdempotencyKey()
            .Refuses(ProblemType.PurposeNotPermitted, ProblemType.NotFound)
            .WithExample(
                new NoticeRequest { Language = Example.Language, Statement = Example.Statement, PrivacyNoticeUrl = Example.PrivacyNoticeUrl },
                Example)
            .WithName("PublishNotice").WithSummary("Publishes the next version of a purpose's notice");
        notices.MapGet("/", ListAsync)
            .RequireScope(Scope.PurposesRead)
            .Refuses(ProblemType.PurposeNotPermitted, ProblemType.NotFound)
            .WithExample(answer: new Page<Notice>([Example], null))
            .WithName("ListNotices").WithSummary("Lists a purpose's notices");
        notices.MapGet("/{version:int}", GetAsync)
            .RequireScope(Scope.PurposesRead)
            .Refuses(ProblemType.PurposeNotPermitted, ProblemType.NotFound)
            .WithExample(answer: Example)
            .WithName("GetNotice").WithSummary("Shows one version of a purpose's notice");
    }

    private static readonly Notice Example = new(
        1, "en", "Yes, send me the museum's newsletter once a month.", "https://museum.example/privacy",
        "sha256:" + Convert.ToHexStringLower(Digest("en", "Yes, send me the museum's newsletter once a month.", "https://museum.example/privacy")),
        new DateTimeOffset(2026, 11, 22, 9, 30, 0, TimeSpan.Zero));

    /// <summary>A wording to publish.</summary>
    public sealed record NoticeRequest
    {
        /// <summary>BCP 47 tag: <c>en</c>, <c>cy</c>.</summary>
        [Required, MaxLength(35)]
        public string? Language { get; init; }

        /// <summary>What people agree to, word for word; at most 10,000 characters.</summary>
        [Required, MaxLength(MaxStatement)]
        public string? Statement { get; init; }

        /// <summary>Where the full privacy notice is to be read.</summary>
        [MaxLength(2000)]
        public string? PrivacyNoticeUrl { get; init; }
    }

    private static async Task<Results<Created<Notice>, Problem>> PublishAsync(
        string key, NoticeRequest request, HttpContext context, PurposeCatalogue purposes, NpgsqlDataSource database, AuditTrail audit,
        TimeProvider clock, CancellationToken cancellation)
    {
        var errors = new InputErrors();
        var language = errors.RequireText("language", request.Language, 35);
        if (language.Length > 0 && !LanguageTag().IsMatch(language))
        {
            errors.Add("language", "This is not a language tag such as en or cy-GB.");
        }

        errors.RequireText("statement", request.Statement?.ReplaceLineEndings(" "), MaxStatement);
        var privacyNoticeUrl = errors.AcceptUrl("privacyNoticeUrl", request.PrivacyNoticeUrl);
        if (errors.Any)
        {
            return errors.ToProblem();
        }

        if (await RefuseAsync(key, context, purposes, cancellation) is { } refusal)
        {
            return refusal;
        }

        // The wording is kept to the letter, line ends and all: it is what people were shown.
        var statement = request.Statement!;
        var digest = Digest(language, statement, privacyNoticeUrl);
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);

        // Holding the purpose's row makes publishers take turns, so versions have no gaps and no two are the same.
        var purpose = await PurposeCatalogue.FindForUpdateAsync(connection, PurposeKey.Parse(key, null), cancellation);
        var row = await connection.QuerySingleAsync<NoticeRow>(new CommandDefinition(
            $"""
            insert into notice (purpose_id, version, language, statement, privacy_notice_url, digest, published_at)
            select @id, coalesce(max(version), 0) + 1, @language, @statement, @privacyNoticeUrl, @digest, @now
            from notice where purpose_id = @id
            returning {NoticeRow.Columns}
            """,
            new { id = purpose!.Id.Value, language, statement, privacyNoticeUrl, digest, now = Instant.Of(clock.GetUtcNow()) },
            cancellationToken: cancellation));
        var notice = row.ToNotice();
        await audit.WriteAsync(
            connection,
            context.Actor(),
            new AuditEntry(AuditAction.NoticePublished)
            {
                Purpose = key,
                Details = new Dictionary<string, string> { ["version"] = notice.Version.ToString(CultureInfo.InvariantCulture), ["language"] = language },
            },
            cancellation);
        await transaction.CommitAsync(cancellation);
        return TypedResults.Created(string.Create(CultureInfo.InvariantCulture, $"/v1/purposes/{key}/notices/{notice.Version}"), notice);
    }

    private static async Task<Results<Ok<Page<Notice>>, Problem>> ListAsync(
        string key, HttpContext context, PurposeCatalogue purposes, NpgsqlDataSource database, CancellationToken cancellation,
        int limit = 50, string? cursor = null)
    {
        var after = 0;
        if (cursor is not null && !int.TryParse(cursor, NumberStyles.None, CultureInfo.InvariantCulture, out after))
        {
            return Problem.Invalid("cursor", "This is not a cursor of this list.");
        }

        if (Paging.Check(limit) is { } problem)
        {
            return problem;
        }

        if (await RefuseAsync(key, context, purposes, cancellation) is { } refusal)
        {
            return refusal;
        }

        await using var connection = await database.OpenConnectionAsync(cancellation);
        var rows = await connection.QueryAsync<NoticeRow>(new CommandDefinition(
            $"""
            select {NoticeRow.Columns} from notice
            where purpose_id = (select purpose_id from purpose where key = @key) and version > @after
            order by version
            limit @fetched
            """,
            new { key, after, fetched = limit + 1 },
            cancellationToken: cancellation));
        return TypedResults.Ok(Paging.PageOf(
            rows.Select(row => row.ToNotice()), limit, notice => notice.Version.ToString(CultureInfo.InvariantCulture)));
    }

    private static async Task<Results<Ok<Notice>, Problem>> GetAsync(
        string key, int version, HttpContext context, PurposeCatalogue purposes, NpgsqlDataSource database, CancellationToken cancellation)
    {
        if (await RefuseAsync(key, context, purposes, cancellation) is { } refusal)
        {
            return refusal;
        }

        await using var connection = await database.OpenConnectionAsync(cancellation);
        var row = await connection.QuerySingleOrDefaultAsync<NoticeRow>(new CommandDefinition(
            $"select {NoticeRow.Columns} from notice where purpose_id = (select purpose_id from purpose where key = @key) and version = @version",
            new { key, version },
            cancellationToken: cancellation));
        return row is null ? Problem.NotFound() : TypedResults.Ok(row.ToNotice());
    }

    private static async Task<Problem?> RefuseAsync(string key, HttpContext context, PurposeCatalogue purposes, CancellationToken cancellation) =>
        !PurposeKey.TryParse(key, null, out var parsed) || await purposes.FindAsync(parsed, cancellation) is null ? Problem.NotFound()
        : !context.Caller().MayUse(key) ? new Problem(ProblemType.PurposeNotPermitted)
        : null;

    private static byte[] Digest(string language, string statement, string? privacyNoticeUrl) =>
        SHA256.HashData(CanonicalJson.Write(new Dictionary<string, object?>
        {
            ["language"] = language,
            ["privacyNoticeUrl"] = privacyNoticeUrl,
            ["statement"] = statement,
        }));

    [GeneratedRegex(@"\A[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*\z", RegexOptions.CultureInvariant)]
    private static partial Regex LanguageTag();
}
