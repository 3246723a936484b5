using System.ComponentModel.DataAnnotations;
using System.Globalization;
using ConsentLedger.Http;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.Administration;

/// <summary>API keys: <c>POST</c> and <c>GET /v1/keys</c>, <c>DELETE /v1/keys/{id}</c>.</summary>
public static class KeysApi
{
    private const int MaxName = 200;
    private const int MaxPurposes = 200;

    /// <summary>Maps the routes.</summary>
    public static void MapKeys(this IEndpointRouteBuilder app)
    {
        var routes = app.MapGroup("/v1/keys").RequireScope(Scope.KeysWrite).WithTags("API keys");
        routes.MapPost("/", CreateAsync)
            .AcceptsIdempotencyKey()
            .Refuses(ProblemType.Validation, ProblemType.PurposeNotPermitted)
            .WithExample(
                new KeyRequest { Name = Example.Name, Scopes = Example.Scopes, Purposes = Example.Purposes, ExpiresAt = Example.ExpiresAt },
                new CreatedKey("clk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", Example.Id, Example.Name, Example.Scopes, Example.Purposes, Example.CreatedAt, Example.ExpiresAt))
            .WithName("CreateKey").WithSummary("Makes an API key, and shows it this once");
        routes.MapGet("/", ListAsync)
            .Refuses(ProblemType.Validation)
            .WithExample(answer: new Page<KeyView>([Example], null))
            .WithName("ListKeys").WithSummary("Lists API keys, newest first");
        routes.MapDelete("/{id:guid}", RevokeAsync)
            .Refuses(ProblemType.NotFound)
            .WithName("RevokeKey").WithSummary("Revokes an API key");
    }

    private static readonly KeyView Example = new(
        Guid.Parse("019a9f2e-5c00-7a31-9d4e-3f1b6c8a2d10"), "Website sign-up form", [Scope.SignUpsWrite, Scope.ChecksRead], ["newsletter"],
        new DateTimeOffset(2026, 11, 22, 9, 30, 0, TimeSpan.Zero), new DateTimeOffset(2027, 11, 22, 9, 30, 0, TimeSpan.Zero), null);

    /// <summary>A key to make. It can do no more than the key that makes it.</summary>
    public sealed record KeyRequest
    {
        /// <summary>What people call it: the system it is for; at most 200 characters.</summary>
        [Required, MaxLength(MaxName)]
        public string? Name { get; init; }

        /// <summary>What it may do: at least one scope.</summary>
        [Required, MinLength(1)]
        public string[]? Scopes { get; init; }

        /// <summary>The purposes it is bound to, at most 200; leave it out for all of them.</summary>
        [MinLength(1), MaxLength(MaxPurposes)]
        public string[]? Purposes { get; init; }

        /// <summary>When it stops; leave it out for never.</summary>
        public DateTimeOffset? ExpiresAt { get; init; }
    }

    /// <summary>A key that was made, with the key itself: this is the only time it is shown.</summary>
    /// <param name="Key">The secret to send as <c>Authorization: Bearer</c>. Only its keyed hash is kept.</param>
    /// <param name="Id">What it is revoked by.</param>
    /// <param name="Name">What people call it.</param>
    /// <param name="Scopes">What it may do.</param>
    /// <param name="Purposes">The purposes it is bound to; null for all.</param>
    /// <param name="CreatedAt">When it was made.</param>
    /// <param name="ExpiresAt">When it stops; null for never.</param>
    public sealed record CreatedKey(
        string Key, Guid Id, string Name, string[] Scopes, string[]? Purposes, DateTimeOffset CreatedAt, DateTimeOffset? ExpiresAt);

    /// <summary>A key as it is listed: never the key itself.</summary>
    /// <param name="Id">What it is revoked by.</param>
    /// <param name="Name">What people call it.</param>
    /// <param name="Scopes">What it may do.</param>
    /// <param name="Purposes">The purposes it is bound to; null for all.</param>
    /// <param name="CreatedAt">When it was made.</param>
    /// <param name="ExpiresAt">When it stops; null for never.</param>
    /// <param name="RevokedAt">When it was revoked; null if it was not.</param>
    public sealed record KeyView(
        Guid Id, string Name, string[] Scopes, string[]? Purposes, DateTimeOffset CreatedAt, DateTimeOffset? ExpiresAt, DateTimeOffset? RevokedAt);

    /// <summary>Makes a key. Its hash is committed before it is shown, so a key that somebody holds is one that works.</summary>
    private static async Task<Results<Created<CreatedKey>, Problem>> CreateAsync(
        KeyRequest request, HttpContext context, ApiKeyCatalogue keys, PurposeCatalogue catalogue, TimeProvider clock, CancellationToken cancellation)
    {
        var errors = new InputErrors();
        var name = errors.RequireText("name", request.Name, MaxName);
        ValidateScopes(request.Scopes, errors);
        if (request.ExpiresAt <= clock.GetUtcNow())
        {
            errors.Add("expiresAt", "This has passed already.");
        }

        var caller = context.Caller();
        await ValidatePurposesAsync(request.Purposes, catalogue, errors, cancellation);
        if (errors.Any)
        {
            return errors.ToProblem();
        }

        // A key passes on what it may do, or less: whoever holds it can't make itself a stronger one.
        string[] scopes = [.. request.Scopes!.Distinct(StringComparer.Ordinal)];
        if (scopes.FirstOrDefault(scope => !caller.Has(scope)) is { } lacking)
        {
            return new Problem(ProblemType.InsufficientScope, $"A key can't pass on the scope {lacking}, which it lacks.") { Scope = lacking };
        }

        string[]? purposes = request.Purposes is { } bound ? [.. bound.Distinct(StringComparer.Ordinal)] : null;
        if (caller.Purposes is not null && (purposes is null || !purposes.All(caller.MayUse)))
        {
            return new Problem(ProblemType.PurposeNotPermitted, "A key that is bound to purposes can only make keys that are bound to some of them.");
        }

        var (key, made) = await keys.CreateAsync(context.Actor(), name, scopes, purposes, request.ExpiresAt, cancellation);
        return TypedResults.Created(
            $"/v1/keys/{made.Id}",
            new CreatedKey(key, made.Id, made.Name, made.Scopes, made.Purposes, made.CreatedAt, made.ExpiresAt));
    }

    private static async Task<Results<Ok<Page<KeyView>>, Problem>> ListAsync(
        ApiKeyCatalogue keys, CancellationToken cancellation, int limit = Page<KeyView>.DefaultLimit, string? cursor = null)
    {
        Guid? after = null;
        if (cursor is not null)
        {
            if (!Guid.TryParseExact(cursor, "D", out var id))
            {
                return Problem.Invalid("cursor", "This is not a cursor of this list.");
            }

            after = id;
        }

        if (Paging.Check(limit) is { } problem)
        {
            return problem;
        }

        var rest = await keys.ListAsync(after, limit + 1, cancellation);
        return TypedResults.Ok(Paging.PageOf(
            rest.Select(key => new KeyView(key.Id, key.Name, key.Scopes, key.Purposes, key.CreatedAt, key.ExpiresAt, key.RevokedAt)),
            limit,
            key => key.Id.ToString("D", CultureInfo.InvariantCulture)));
    }

    /// <summary>Revokes a key: at once here, within seconds on every other instance. Again changes nothing.</summary>
    private static async Task<Results<NoContent, Problem>> RevokeAsync(
        Guid id, HttpContext context, ApiKeyCatalogue keys, CancellationToken cancellation) =>
        await keys.RevokeAsync(context.Actor(), id, cancellation) ? TypedResults.NoContent() : Problem.NotFound();

    private static void ValidateScopes(string[]? scopes, InputErrors errors)
    {
        if (scopes is null or [])
        {
            errors.Add("scopes", "This is required.");
            return;
        }

        for (var index = 0; index < scopes.Length; index++)
        {
            if (!Scope.All.Contains(scopes[index], StringComparer.Ordinal))
            {
                errors.Add(At("scopes", index), $"This is one of: {string.Join(", ", Scope.All)}.");
            }
        }
    }

    private static async Task ValidatePurposesAsync(
        string[]? purposes, PurposeCatalogue catalogue, InputErrors errors, CancellationToken cancellation)
    {
        if (purposes is null)
        {
            return;
        }

        if (purposes.Length is 0 or > MaxPurposes)
        {
            errors.Add("purposes", $"This has 1 to {MaxPurposes} entries. Leave it out for a key that is bound to none.");
            return;
        }

        var known = (await catalogue.ListAsync(cancellation)).Select(purpose => purpose.Key).ToHashSet(StringComparer.Ordinal);
        for (var index = 0; index < purposes.Length; index++)
        {
            if (!known.Contains(purposes[index]))
            {
                errors.Add(At("purposes", index), "There is no such purpose.");
            }
        }
    }

    private static string At(string path, int index) => string.Create(CultureInfo.InvariantCulture, $"{path}[{index}]");
}
