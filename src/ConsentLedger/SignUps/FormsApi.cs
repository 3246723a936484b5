using System.ComponentModel.DataAnnotations;
using System.Globalization;
using System.Text.RegularExpressions;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Pages;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Dapper;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace ConsentLedger.SignUps;

/// <summary>Forms: <c>PUT</c> and <c>GET /v1/forms/{key}</c>, <c>GET /v1/forms</c>.</summary>
public static partial class FormsApi
{
    private const int MaxListed = 50;
    private const int MaxFields = 10;

    /// <summary>Maps the routes.</summary>
    public static void MapForms(this IEndpointRouteBuilder app)
    {
        var forms = app.MapGroup("/v1/forms").WithTags("Sign-ups").RequireScope(Scope.FormsWrite);
        forms.MapPut("/{key}", PutAsync)
            .Refuses(ProblemType.Validation, ProblemType.PurposeNotPermitted)
            .WithExample(ExampleRequest, Example)
            .WithName("PutForm").WithSummary("Creates a sign-up form, or changes one");
        forms.MapGet("/{key}", GetAsync)
            .Refuses(ProblemType.NotFound, ProblemType.PurposeNotPermitted)
            .WithExample(answer: Example)
            .WithName("GetForm").WithSummary("Shows a sign-up form");
        forms.MapGet("/", ListAsync)
            .Refuses(ProblemType.Validation)
            .WithExample(answer: new Page<FormView>([Example], null))
            .WithName("ListForms").WithSummary("Lists sign-up forms");
    }

    private static readonly FormRequest ExampleRequest = new()
    {
        Purposes = ["newsletter"],
        Origins = ["https://museum.example"],
        ReturnUrls = ["https://museum.example/thank-you"],
        Language = "en",
        Fields = ["firstName"],
        Challenge = true,
    };

    private static readonly FormView Example = new(
        "website", ["newsletter"], ["https://museum.example"], ["https://museum.example/thank-you"], "en", ["firstName"],
        true, [new FormNotice("newsletter", 1)], "https://consent.example/signup/website",
        new DateTimeOffset(2026, 11, 22, 9, 30, 0, TimeSpan.Zero), new DateTimeOffset(2026, 11, 22, 9, 30, 0, TimeSpan.Zero));

    /// <summary>What can be set of a form; only <c>purposes</c> is required.</summary>
    public sealed record FormRequest
    {
        /// <summary>Keys of the purposes that can be chosen, at least one; all go by e-mail.</summary>
        [Required, MinLength(1), MaxLength(MaxListed)]
        public string[]? Purposes { get; init; }

        /// <summary>The sites it may stand on, without a path: <c>https://museum.example</c>.</summary>
        [MaxLength(MaxListed)]
        public string[]? Origins { get; init; }

        /// <summary>Where people may be sent afterwards; a sign-up names one of these or none.</summary>
        [MaxLength(MaxListed)]
        public string[]? ReturnUrls { get; init; }

        /// <summary>The language it speaks, and its mails: <c>en</c> (the default) or <c>cy</c>.</summary>
        public string? Language { get; init; }

        /// <summary>What is asked beside the address, at most 10 names of letters, digits, - and _. Nothing else is kept.</summary>
        [MaxLength(MaxFields)]
        public string[]? Fields { get; init; }

        /// <summary>
        /// True if a browser has to work a little before a sign-up is taken, which keeps programs away: the default is false.
        /// A website's own server, which signs people up with a key, never has to.
        /// </summary>
        public bool? Challenge { get; init; }
    }

    /// <summary>A form as the API shows it.</summary>
    /// <param name="Key">The slug it is called by.</param>
    /// <param name="Purposes">Keys of the purposes that can be chosen.</param>
    /// <param name="Origins">The sites it may stand on.</param>
    /// <param name="ReturnUrls">Where people may be sent afterwards.</param>
    /// <param name="Language">The language it speaks.</param>
    /// <param name="Fields">What is asked beside the address.</param>
    /// <param name="Challenge">True if a browser has to work a little before a sign-up is taken.</param>
    /// <param name="Notices">The wording it shows now, by purpose.</param>
    /// <param name="Url">Where it is posted to, and where it is served as a page.</param>
    /// <param name="CreatedAt">When it was first put.</param>
    /// <param name="UpdatedAt">When it last changed.</param>
    public sealed record FormView(
        string Key, string[] Purposes, string[] Origins, string[] ReturnUrls, string Language, string[] Fields,
        bool Challenge, IReadOnlyList<FormNotice> Notices, string Url, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt);

    /// <summary>Which wording is shown for a purpose.</summary>
    /// <param name="Purpose">The purpose's key.</param>
    /// <param name="Version">The version of its notice.</param>
    public sealed record FormNotice(string Purpose, int Version);

    /// <summary>Creates or replaces a form; committed before it is answered.</summary>
    private static async Task<Results<Created<FormView>, Ok<FormView>, Problem>> PutAsync(
        string key, FormRequest request, HttpContext context, NpgsqlDataSource database, PurposeCatalogue purposes, FormCatalogue forms,
        PublicUrl publicUrl, AuditTrail audit, TimeProvider clock, CancellationToken cancellation)
    {
        var errors = new InputErrors();
        if (!PurposeKey.TryParse(key, null, out _))
        {
            errors.Add("key", "A form's key is 1 to 64 lower-case letters, digits and single hyphens between them.");
        }

        var now = Instant.Of(clock.GetUtcNow());
        var known = await purposes.ListAsync(cancellation);
        var form = new Form(
            key,
            ReadList("purposes", request.Purposes, errors, (path, value) => CheckPurpose(path, value, known, errors)),
            ReadList("origins", request.Origins, errors, (path, value) => ReadOrigin(path, value, errors)),
            ReadList("returnUrls", request.ReturnUrls, errors, (path, value) => errors.AcceptUrl(path, value)!),
            ReadLanguage("language", request.Language, PageTexts.DefaultLanguage, errors),
            ReadList("fields", request.Fields, errors, (path, value) => ReadField(path, value, errors)),
            request.Challenge ?? false,
            now,
            now);
        if (form.Purposes.Length == 0)
        {
            errors.Add("purposes", "At least one purpose is required.");
        }

        if (form.Fields.Length > MaxFields)
        {
            errors.Add("fields", $"This has at most {MaxFields} entries.");
        }

        if (errors.Any)
        {
            return errors.ToProblem();
        }

        if (!form.Purposes.All(context.Caller().MayUse) || await forms.FindAsync(key, cancellation) is { } before && !before.Purposes.All(context.Caller().MayUse))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var stored = await connection.QuerySingleAsync<Form>(new CommandDefinition(
            $"""
            insert into form (key, purposes, origins, return_urls, language, fields, challenge, created_at, updated_at)
            values (@Key, @Purposes, @Origins, @ReturnUrls, @Language, @Fields, @Challenge, @CreatedAt, @UpdatedAt)
            on conflict (key) do update
            set purposes = excluded.purposes, origins = excluded.origins, return_urls = excluded.return_urls,
                language = excluded.language, fields = excluded.fields, challenge = excluded.challenge,
                updated_at = excluded.updated_at
            returning {FormCatalogue.Columns}
            """,
            form,
            cancellationToken: cancellation));
        var created = stored.CreatedAt == now;
        await audit.WriteAsync(
            connection, context.Actor(), new AuditEntry(created ? AuditAction.FormCreated : AuditAction.FormChanged) { Target = key }, cancellation);
        await transaction.CommitAsync(cancellation);
        var view = await ViewAsync(stored, forms, publicUrl, cancellation);
        return created ? TypedResults.Created($"/v1/forms/{key}", view) : TypedResults.Ok(view);
    }

    private static async Task<Results<Ok<FormView>, Problem>> GetAsync(
        string key, HttpContext context, FormCatalogue forms, PublicUrl publicUrl, CancellationToken cancellation) =>
        await forms.FindAsync(key, cancellation) is not { } form ? Problem.NotFound()
        : !form.Purposes.All(context.Caller().MayUse) ? new Problem(ProblemType.PurposeNotPermitted)
        : TypedResults.Ok(await ViewAsync(form, forms, publicUrl, cancellation));

    private static async Task<Results<Ok<Page<FormView>>, Problem>> ListAsync(
        HttpContext context, FormCatalogue forms, PublicUrl publicUrl, CancellationToken cancellation,
        int limit = Page<FormView>.DefaultLimit, string? cursor = null)
    {
        if (Paging.Check(limit) is { } problem)
        {
            return problem;
        }

        var caller = context.Caller();
        var rest = (await forms.ListAsync(cancellation))
            .Where(form => form.Purposes.All(caller.MayUse) && string.CompareOrdinal(form.Key, cursor ?? string.Empty) > 0)
            .OrderBy(form => form.Key, StringComparer.Ordinal);
        var page = Paging.PageOf(rest, limit, form => form.Key);
        var views = new List<FormView>();
        foreach (var form in page.Items)
        {
            views.Add(await ViewAsync(form, forms, publicUrl, cancellation));
        }

        return TypedResults.Ok(new Page<FormView>(views, page.NextCursor));
    }

    private static async Task<FormView> ViewAsync(Form form, FormCatalogue forms, PublicUrl publicUrl, CancellationToken cancellation) => new(
        form.Key, form.Purposes, form.Origins, form.ReturnUrls, form.Language, form.Fields, form.Challenge,
        [
            .. from offer in await forms.OffersAsync(form, form.Language, cancellation)
               where offer.Notice is not null
               select new FormNotice(offer.Purpose.Key, offer.Notice!.Version),
        ],
        publicUrl.Link($"/signup/{form.Key}"), form.CreatedAt, form.UpdatedAt);

    /// <summary>A language the pages speak, or the default; a note if it is another.</summary>
    internal static string ReadLanguage(string path, string? value, string otherwise, InputErrors errors)
    {
        if (string.IsNullOrEmpty(value))
        {
            return otherwise;
        }

        if (PageTexts.All.TryGetValue(value, out var texts))
        {
            return texts.Language;
        }

        errors.Add(path, $"Must be one of: {string.Join(", ", PageTexts.All.Keys.Order(StringComparer.Ordinal))}.");
        return otherwise;
    }

    private static string[] ReadList(string path, string[]? values, InputErrors errors, Func<string, string, string> read)
    {
        if (values?.Length > MaxListed)
        {
            errors.Add(path, $"This has at most {MaxListed} entries.");
            return [];
        }

        var entries = new List<string>();
        foreach (var (index, value) in (values ?? []).Index())
        {
            var at = string.Create(CultureInfo.InvariantCulture, $"{path}[{index}]");
            if (value is null)
            {
                errors.Add(at, "This is required.");
            }
            else
            {
                entries.Add(read(at, value));
            }
        }

        return [.. entries.Distinct(StringComparer.Ordinal)];
    }

    private static string CheckPurpose(string path, string value, IReadOnlyList<Purpose> known, InputErrors errors)
    {
        var purpose = known.FirstOrDefault(purpose => purpose.Key == value);
        if (purpose is null)
        {
            errors.Add(path, "There is no such purpose.");
        }
        else if (purpose.Channel != Channel.Email)
        {
            errors.Add(path, "People sign up by e-mail address; messages for this purpose go another way.");
        }

        return value;
    }

    /// <summary>As browsers write it: scheme, host, and the port if it is not the usual one.</summary>
    private static string ReadOrigin(string path, string value, InputErrors errors)
    {
        if (Uri.TryCreate(value, UriKind.Absolute, out var url) && url.Scheme is "http" or "https" && url.PathAndQuery == "/" && url.UserInfo.Length == 0 && url.Fragment.Length == 0)
        {
            return url.GetLeftPart(UriPartial.Authority);
        }

        errors.Add(path, "This is not an origin such as https://museum.example.");
        return value;
    }

    private static string ReadField(string path, string value, InputErrors errors)
    {
        if (!FieldName().IsMatch(value) || SignUpInput.IsReserved(value))
        {
            errors.Add(path, "This is not a field's name: a letter, then letters, digits, - and _, at most 64; and none that the form has already.");
        }

        return value;
    }

    [GeneratedRegex(@"\A[A-Za-z][A-Za-z0-9_-]{0,63}\z", RegexOptions.CultureInvariant)]
    private static partial Regex FieldName();
}
