using System.Security.Claims;
using System.Text;
using System.Text.Encodings.Web;
using ConsentLedger.Security;
using Microsoft.AspNetCore.Authentication;
using Microsoft.Extensions.Options;
using Microsoft.Extensions.Primitives;

namespace ConsentLedger.Http;

/// <summary>
/// Authenticates <c>Authorization: Bearer clk_…</c>, and Basic where a route <see cref="KeyAsPassword">says so</see>, and answers 401 and 403 as problems.
/// </summary>
internal sealed class ApiKeyAuthentication(
    ApiKeyCatalogue keys, IOptionsMonitor<AuthenticationSchemeOptions> options, ILoggerFactory log, UrlEncoder encoder)
    : AuthenticationHandler<AuthenticationSchemeOptions>(options, log, encoder)
{
    public const string SchemeName = "ApiKey";
    public const string ScopeClaim = "scope";

    private const string Bearer = "Bearer ";
    private const string Basic = "Basic ";

    protected override async Task<AuthenticateResult> HandleAuthenticateAsync()
    {
        // What needs no key needs no look-up: a health probe and an unsubscribe answer while the database is away.
        if (Context.GetEndpoint()?.Metadata.GetMetadata<RequiredScope>() is null)
        {
            return AuthenticateResult.NoResult();
        }

        var header = Request.Headers.Authorization;
        if (header.Count != 1 || header[0] is not { } value || KeyIn(value) is not { } key)
        {
            return AuthenticateResult.NoResult();
        }

        if (await keys.FindAsync(key, Context.RequestAborted) is not { } caller)
        {
            return AuthenticateResult.Fail("The key is not known.");
        }

        Context.Features.Set(caller);
        return AuthenticateResult.Success(new AuthenticationTicket(Principals.GetValue(caller, Principal), SchemeName));
    }

    protected override async Task HandleChallengeAsync(AuthenticationProperties properties)
    {
        Response.Headers.WWWAuthenticate = TakesPassword ? BearerOrBasic : "Bearer";
        await new Problem(ProblemType.Unauthenticated).ExecuteAsync(Context);
    }

    protected override async Task HandleForbiddenAsync(AuthenticationProperties properties)
    {
        var scope = Context.GetEndpoint()?.Metadata.GetMetadata<RequiredScope>()?.Scope;
        await new Problem(ProblemType.InsufficientScope, $"This needs the scope {scope}.") { Scope = scope }.ExecuteAsync(Context);
    }

    private bool TakesPassword => Context.GetEndpoint()?.Metadata.GetMetadata<KeyAsPassword>() is not null;

    private string? KeyIn(string header) =>
        header.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase) ? header[Bearer.Length..].Trim()
        : TakesPassword && header.StartsWith(Basic, StringComparison.OrdinalIgnoreCase) ? PasswordIn(header[Basic.Length..].Trim())
        : null;

    private static string? PasswordIn(string credentials)
    {
        var plain = new byte[credentials.Length];
        return Convert.TryFromBase64String(credentials, plain, out var length) && plain.AsSpan(0, length).IndexOf((byte)':') is >= 0 and var colon
            ? Encoding.UTF8.GetString(plain, colon + 1, length - colon - 1)
            : null;
    }

    private static readonly StringValues BearerOrBasic = new(["Bearer", "Basic realm=\"ConsentLedger\", charset=\"UTF-8\""]);

    // A caller is remembered for seconds and makes thousands of calls; its principal lives exactly as long.
    private static readonly System.Runtime.CompilerServices.ConditionalWeakTable<Caller, ClaimsPrincipal> Principals = [];

    private static ClaimsPrincipal Principal(Caller caller) =>
        new(new ClaimsIdentity(caller.Scopes.Select(scope => new Claim(ScopeClaim, scope)), SchemeName));
}
