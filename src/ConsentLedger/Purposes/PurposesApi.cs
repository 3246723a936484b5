using System.ComponentModel.DataAnnotations;
using System.Globalization;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Dapper;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace ConsentLedger.Purposes;

/// <summary>Purposes: <c>PUT</c> and <c>GET /v1/purposes/{key}</c>, <c>GET /v1/purposes</c>.</summary>
public static class PurposesApi
{
    private const int MaxListed = 50;

    /// <summary>Maps the routes.</summary>
    public static void MapPurposes(this IEndpointRouteBuilder app)
    {
        var purposes = app.MapGroup("/v1/purposes").WithTags("Purposes and notices");
        purposes.MapPut("/{key}", PutAsync)
            .RequireScope(Scope.PurposesWrite)
            .Refuses(ProblemType.PurposeNotPermitted, ProblemType.PurposeInUse, ProblemType.PreconditionFailed)
            .WithExample(ExampleRequest, Example)
            .WithName("PutPurpose").WithSummary("Creates a purpose, or changes one");
        purposes.MapGet("/{key}", GetAsync)
            .RequireScope(Scope.PurposesRead)
            .Refuses(ProblemType.PurposeNotPermitted, ProblemType.NotFound)
            .Produces(StatusCodes.Status304NotModified)
            .WithExample(answer: Example)
            .WithName("GetPurpose").WithSummary("Shows a purpose");
        purposes.MapGet("/", ListAsync)
            .RequireScope(Scope.PurposesRead)
            .WithExample(answer: new Page<PurposeView>([Example], null))
            .WithName("ListPurposes").WithSummary("Lists purposes");
    }

    private static readonly PurposeRequest ExampleRequest = new()
    {
        Name = "Newsletter",
        Description = "What is on at the museum, once a month.",
        Channel = Subscribers.Channel.Email,
        Basis = LawfulBasis.Consent,
        ConsentLifetime = new Period(24, 0),
        RenewalReminder = new Period(0, 30),
        DataCategories = ["name", "e-mail address"],
        Recipients = ["our e-mail provider"],
    };

    private static readonly PurposeView Example = PurposeView.Of(
        Validate("newsletter", ExampleRequest, new DateTimeOffset(2026, 11, 22, 9, 30, 0, TimeSpan.Zero), new InputErrors())!,
        new DateTimeOffset(2026, 11, 22, 9, 30, 0, TimeSpan.Zero));

    /// <summary>What can be set of a purpose; <c>name</c>, <c>channel</c> and <c>basis</c> are required.</summary>
    public sealed record PurposeRequest
    {
        /// <summary>Its name, as subscribers see it; at most 200 characters.</summary>
        [Required, MaxLength(200)]
        public string? Name { get; init; }

        /// <summary>What subscribers get, in plain words; at most 2,000 characters.</summary>
        [MaxLength(2000)]
        public string? Description { get; init; }

        /// <summary>How messages for it are sent.</summary>
        [Required]
        public Channel? Channel { get; init; }

        /// <summary>What makes writing for it lawful.</summary>
        [Required]
        public LawfulBasis? Basis { get; init; }

        /// <summary>True if a sign-up counts only once confirmed; by default for e-mail on a consent basis.</summary>
        public bool? DoubleOptIn { get; init; }

        /// <summary>How long a consent is good for (ISO 8601); null for as long as it is not withdrawn.</summary>
        public Period? ConsentLifetime { get; init; }

        /// <summary>
        /// How long before a consent runs out its holder is asked, once and by mail, to renew it (ISO 8601): less than
        /// <c>consentLifetime</c>, which it needs, and only for e-mail on a consent basis. Null to ask nobody.
        /// </summary>
        public Period? RenewalReminder { get; init; }

        /// <summary>When the purpose ends.</summary>
        public DateTimeOffset? EndsAt { get; init; }

        /// <summary>The age from which someone consents alone, 0 to 120 years.</summary>
        [Range(0, 120)]
        public int? MinimumAge { get; init; }

        /// <summary>True if a consent reveals special category data; needs the basis <c>explicit-consent</c>.</summary>
        public bool? SpecialCategory { get; init; }

        /// <summary>Categories of personal data used for it.</summary>
        [MaxLength(MaxListed)]
        public string[]? DataCategories { get; init; }

        /// <summary>Who receives the data.</summary>
        [MaxLength(MaxListed)]
        public string[]? Recipients { get; init; }

        /// <summary>How long records are kept once they lapse.</summary>
        public RetentionRequest? Retention { get; init; }
    }

    /// <summary>How long a purpose's records are kept; what is left out takes its default.</summary>
    public sealed record RetentionRequest
    {
        /// <summary>Sign-ups nobody confirmed; 30 days by default.</summary>
        public Period? Pending { get; init; }

        /// <summary>Consents that lapsed; 24 months by default.</summary>
        public Period? Lapsed { get; init; }

        /// <summary>Evidence, when it goes earlier than its event; null to keep the two together.</summary>
        public Period? Evidence { get; init; }
    }

    /// <summary>A purpose as the API shows it.</summary>
    /// <param name="Key">The slug it is called by.</param>
    /// <param name="Name">Its name, as subscribers see it.</param>
    /// <param name="Description">What subscribers get, in plain words.</param>
    /// <param name="Channel">How messages for it are sent.</param>
    /// <param name="Basis">What makes writing for it lawful, unless an event says otherwise.</param>
    /// <param name="DoubleOptIn">True if a sign-up counts only once it is confirmed from the address itself.</param>
    /// <param name="ConsentLifetime">How long a consent is good for; null for as long as it is not withdrawn.</param>
    /// <param name="RenewalReminder">How long before a consent runs out its holder is asked to renew it; null for never.</param>
    /// <param name="EndsAt">When the purpose ends; null if it is open-ended.</param>
    /// <param name="MinimumAge">The age from which someone consents alone, in years.</param>
    /// <param name="SpecialCategory">True if a consent reveals special category data.</param>
    /// <param name="DataCategories">Categories of personal data used for it.</param>
    /// <param name="Recipients">Who receives the data.</param>
    /// <param name="Retention">How long records are kept once they lapse.</param>
    /// <param name="Status">Whether it is still written for.</param>
    /// <param name="CreatedAt">When it was first put.</param>
    /// <param name="UpdatedAt">When it last changed.</param>
    public sealed record PurposeView(
        string Key, string Name, string? Description, Channel Channel, LawfulBasis Basis, bool DoubleOptIn,
        Period? ConsentLifetime, Period? RenewalReminder, DateTimeOffset? EndsAt, int? MinimumAge, bool SpecialCategory, string[] DataCategories,
        string[] Recipients, PurposeRetention Retention, PurposeStatus Status, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt)
    {
        internal static PurposeView Of(Purpose purpose, DateTimeOffset now) => new(
            purpose.Key, purpose.Name, purpose.Description, purpose.Channel, purpose.Basis, purpose.DoubleOptIn,
            purpose.ConsentLifetime, purpose.RenewalReminder, purpose.EndsAt, purpose.MinimumAge, purpose.SpecialCategory, purpose.DataCategories,
            purpose.Recipients, purpose.Retention, purpose.Terms.HasEnded(now) ? PurposeStatus.Ended : PurposeStatus.Active,
            purpose.CreatedAt, purpose.UpdatedAt);
    }

    /// <summary>Creates or replaces a purpose; committed before it is answered.</summary>
    private static async Task<Results<Created<PurposeView>, Ok<PurposeView>, Problem>> PutAsync(
        string key, PurposeRequest request, HttpContext context, NpgsqlDataSource database, AuditTrail audit, TimeProvider clock,
        CancellationToken cancellation)
    {
        var errors = new InputErrors();
        var now = Instant.Of(clock.GetUtcNow());
        if (!PurposeKey.TryParse(key, null, out var parsedKey))
        {
            return Problem.Invalid("key", PurposeKey.Rule);
        }

        if (!context.Caller().MayUse(key))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        var wanted = Validate(key, request, now, errors);
        if (errors.Any)
        {
            return errors.ToProblem();
        }

        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        if (await InsertAsync(connection, wanted!, context.Request.Headers.IfMatch.Count == 0, cancellation) is { } inserted)
        {
            await audit.WriteAsync(connection, context.Actor(), new AuditEntry(AuditAction.PurposeCreated) { Purpose = key }, cancellation);
            await transaction.CommitAsync(cancellation);
            context.Response.Headers.ETag = ETag(inserted);
            return TypedResults.Created($"/v1/purposes/{key}", PurposeView.Of(inserted, now));
        }

        var current = await PurposeCatalogue.FindForUpdateAsync(connection, parsedKey, cancellation);
        if (current is null || !MayReplace(context.Request, current))
        {
            return new Problem(ProblemType.PreconditionFailed);
        }

        if (current.FirstEventAt is not null && (current.Channel != wanted!.Channel || current.Basis != wanted.Basis))
        {
            return new Problem(ProblemType.PurposeInUse);
        }

        // Microseconds tell versions apart, so two changes within one still differ.
        var updatedAt = now > current.UpdatedAt ? now : current.UpdatedAt.AddMicroseconds(1);
        var updated = wanted! with { Id = current.Id, CreatedAt = current.CreatedAt, UpdatedAt = updatedAt, FirstEventAt = current.FirstEventAt };
        await UpdateAsync(connection, updated, cancellation);
        await audit.WriteAsync(connection, context.Actor(), new AuditEntry(AuditAction.PurposeChanged) { Purpose = key }, cancellation);
        await transaction.CommitAsync(cancellation);
        context.Response.Headers.ETag = ETag(updated);
        return TypedResults.Ok(PurposeView.Of(updated, now));
    }

    private static async Task<Results<Ok<PurposeView>, StatusCodeHttpResult, Problem>> GetAsync(
        string key, HttpContext context, PurposeCatalogue purposes, TimeProvider clock, CancellationToken cancellation)
    {
        if (!PurposeKey.TryParse(key, null, out var parsedKey) || await purposes.FindAsync(parsedKey, cancellation) is not { } purpose)
        {
            return Problem.NotFound();
        }

        if (!context.Caller().MayUse(key))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        var etag = ETag(purpose);
        context.Response.Headers.ETag = etag;
        return context.Request.Headers.IfNoneMatch.Names(etag)
            ? TypedResults.StatusCode(StatusCodes.Status304NotModified)
            : TypedResults.Ok(PurposeView.Of(purpose, clock.GetUtcNow()));
    }

    private static async Task<Results<Ok<Page<PurposeView>>, Problem>> ListAsync(
        HttpContext context, PurposeCatalogue purposes, TimeProvider clock, CancellationToken cancellation, int limit = 50, string? cursor = null)
    {
        if (Paging.Check(limit) is { } problem)
        {
            return problem;
        }

        if (cursor is not null && !PurposeKey.TryParse(cursor, null, out _))
        {
            return Problem.Invalid("cursor", "This is not a cursor of this list.");
        }

        var now = clock.GetUtcNow();
        var caller = context.Caller();
        var rest = (await purposes.ListAsync(cancellation))
            .Where(purpose => caller.MayUse(purpose.Key) && string.CompareOrdinal(purpose.Key, cursor ?? string.Empty) > 0)
            .OrderBy(purpose => purpose.Key, StringComparer.Ordinal)
            .Select(purpose => PurposeView.Of(purpose, now));
        return TypedResults.Ok(Paging.PageOf(rest, limit, purpose => purpose.Key));
    }

    private static Purpose? Validate(string key, PurposeRequest request, DateTimeOffset now, InputErrors errors)
    {
        var name = errors.RequireText("name", request.Name, 200);
        var description = errors.AcceptText("description", request.Description, 2000, lines: true);
        var channel = errors.Require("channel", request.Channel);
        var basis = errors.Require("basis", request.Basis);
        if (request.MinimumAge is < 0 or > 120)
        {
            errors.Add("minimumAge", "This is 0 to 120 years.");
        }

        if (request.SpecialCategory == true && basis is not null and not LawfulBasis.ExplicitConsent)
        {
            errors.Add("basis", "Special category data needs the basis explicit-consent.");
        }

        if (request.RenewalReminder is { } reminder)
        {
            ValidateReminder(reminder, request, errors);
        }

        if (request.EndsAt < Instant.Earliest)
        {
            errors.Add("endsAt", "This is before 1970.");
        }

        var dataCategories = ValidateList("dataCategories", request.DataCategories, errors);
        var recipients = ValidateList("recipients", request.Recipients, errors);
        if (errors.Any)
        {
            return null;
        }

        var defaults = new PurposeRetention();
        return new Purpose
        {
            Id = default,
            Key = key,
            Name = name,
            Description = description,
            Channel = channel!.Value,
            Basis = basis!.Value,
            DoubleOptIn = request.DoubleOptIn ?? (channel == Channel.Email && basis.Value.IsConsent()),
            ConsentLifetime = request.ConsentLifetime,
            RenewalReminder = request.RenewalReminder,
            EndsAt = request.EndsAt,
            MinimumAge = request.MinimumAge,
            SpecialCategory = request.SpecialCategory ?? false,
            DataCategories = dataCategories,
            Recipients = recipients,
            Retention = new PurposeRetention
            {
                Pending = request.Retention?.Pending ?? defaults.Pending,
                Lapsed = request.Retention?.Lapsed ?? defaults.Lapsed,
                Evidence = request.Retention?.Evidence,
            },
            CreatedAt = now,
            UpdatedAt = now,
            NoticeVersions = [],
        };
    }

    private static void ValidateReminder(Period reminder, PurposeRequest request, InputErrors errors)
    {
        if (request.Channel is not null and not Subscribers.Channel.Email)
        {
            errors.Add("renewalReminder", "Reminders go by e-mail: this purpose's messages don't.");
        }
        else if (request.Basis is { } basis && !basis.IsConsent())
        {
            errors.Add("renewalReminder", "Only consents are renewed: this purpose rests on another basis.");
        }
        else if (request.ConsentLifetime is not { } lifetime)
        {
            errors.Add("renewalReminder", "Without a consentLifetime nothing runs out that could be renewed.");
        }
        else if (!lifetime.IsLongerThan(reminder))
        {
            errors.Add("renewalReminder", "This has to be shorter than consentLifetime.");
        }
    }

    private static string[] ValidateList(string path, string[]? values, InputErrors errors)
    {
        if (values?.Length > MaxListed)
        {
            errors.Add(path, $"This has at most {MaxListed} entries.");
            return [];
        }

        return [.. (values ?? []).Select((value, index) =>
            errors.RequireText(string.Create(CultureInfo.InvariantCulture, $"{path}[{index}]"), value, 200))];
    }

    /// <summary>RFC 9110 §13: If-None-Match: * creates only, If-Match replaces only what the caller has seen.</summary>
    private static bool MayReplace(HttpRequest request, Purpose current) =>
        !request.Headers.IfNoneMatch.Contains("*")
        && (request.Headers.IfMatch.Count == 0 || request.Headers.IfMatch.NamesExactly(ETag(current)));

    private static string ETag(Purpose purpose) => string.Create(CultureInfo.InvariantCulture, $"\"{purpose.Id.Value:x}-{purpose.UpdatedAt.UtcTicks:x}\"");

    /// <summary>Inserts the purpose unless there is one with its key; null if there is.</summary>
    private static async Task<Purpose?> InsertAsync(NpgsqlConnection connection, Purpose purpose, bool mayCreate, CancellationToken cancellation)
    {
        const string Sql = """
            insert into purpose (
                key, name, description, channel, basis, double_opt_in, consent_lifetime, renewal_reminder, ends_at,
                minimum_age, special_category, data_categories, recipients, retention_pending, retention_lapsed, retention_evidence,
                created_at, updated_at)
            values (
                @Key, @Name, @Description, @Channel::channel, @Basis::lawful_basis, @DoubleOptIn, @ConsentLifetime::interval,
                @RenewalReminder::interval, @EndsAt, @MinimumAge, @SpecialCategory, @DataCategories, @Recipients, @Pending::interval, @Lapsed::interval,
                @Evidence::interval, @CreatedAt, @UpdatedAt)
            on conflict (key) do nothing
            returning purpose_id
            """;
        return mayCreate && await connection.ExecuteScalarAsync<int?>(new CommandDefinition(Sql, Parameters(purpose), cancellationToken: cancellation)) is { } id
            ? purpose with { Id = new PurposeId(id) }
            : null;
    }

    private static async Task UpdateAsync(NpgsqlConnection connection, Purpose purpose, CancellationToken cancellation)
    {
        const string Sql = """
            update purpose
            set name = @Name, description = @Description, channel = @Channel::channel, basis = @Basis::lawful_basis,
                double_opt_in = @DoubleOptIn, consent_lifetime = @ConsentLifetime::interval,
                renewal_reminder = @RenewalReminder::interval, ends_at = @EndsAt, minimum_age = @MinimumAge, special_category = @SpecialCategory, data_categories = @DataCategories,
                recipients = @Recipients, retention_pending = @Pending::interval, retention_lapsed = @Lapsed::interval,
                retention_evidence = @Evidence::interval, updated_at = @UpdatedAt
            where key = @Key
            """;
        await connection.ExecuteAsync(new CommandDefinition(Sql, Parameters(purpose), cancellationToken: cancellation));
    }

    private static object Parameters(Purpose purpose) => new
    {
        purpose.Key,
        purpose.Name,
        purpose.Description,
        Channel = Label<Channel>.Of(purpose.Channel),
        Basis = Label<LawfulBasis>.Of(purpose.Basis),
        purpose.DoubleOptIn,
        ConsentLifetime = purpose.ConsentLifetime?.ToString(),
        RenewalReminder = purpose.RenewalReminder?.ToString(),
        purpose.EndsAt,
        purpose.MinimumAge,
        purpose.SpecialCategory,
        purpose.DataCategories,
        purpose.Recipients,
        Pending = purpose.Retention.Pending.ToString(),
        Lapsed = purpose.Retention.Lapsed.ToString(),
        Evidence = purpose.Retention.Evidence?.ToString(),
        purpose.CreatedAt,
        purpose.UpdatedAt,
    };
}
