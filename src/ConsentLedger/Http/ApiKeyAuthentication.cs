using System.Text;
using ConsentLedger.Security;
using Microsoft.Extensions.Primitives;

namespace ConsentLedger.Http;

/// <summary>
/// Lets a request on to a route that <see cref="RouteConventions.RequireScope">needs a scope</see> only with a key that has
/// it: <c>Authorization: Bearer clk_…</c>, and Basic where a route <see cref="KeyAsPassword">says so</see>. Others get 401
/// and 403 as problems. Routes that need no scope get no look-up: a health probe and an unsubscribe answer while the
/// database is away.
/// </summary>
/// <remarks>
/// Not ASP.NET's authentication: there is one way to show who you are, and no cookie, session or sign-in. That framework
/// would put data-protection keys into the home directory, and costs a check an eighth of its time.
/// </remarks>
internal sealed class ApiKeyAuthentication(RequestDelegate next, ApiKeyCatalogue keys)
{
    private const string Bearer = "Bearer ";
    private const string Basic = "Basic ";

    private static readonly StringValues BearerOrBasic = new(["Bearer", "Basic realm=\"ConsentLedger\", charset=\"UTF-8\""]);

    public Task InvokeAsync(HttpContext context)
    {
        var endpoint = context.GetEndpoint();
        if (endpoint?.Metadata.GetMetadata<RequiredScope>() is not { } required)
        {
            return next(context);
        }

        var takesPassword = endpoint.Metadata.GetMetadata<KeyAsPassword>() is not null;
        if (KeyOf(context.Request, takesPassword) is not { } key)
        {
            return RefuseUnknownAsync(context, takesPassword);
        }

        var found = keys.FindAsync(key, context.RequestAborted);
        return found.IsCompletedSuccessfully
            ? LetInAsync(context, found.Result, required, takesPassword)
            : LookUpAsync(context, found, required, takesPassword);
    }

    private async Task LookUpAsync(HttpContext context, ValueTask<Caller?> found, RequiredScope required, bool takesPassword) =>
        await LetInAsync(context, await found, required, takesPassword);

    private Task LetInAsync(HttpContext context, Caller? caller, RequiredScope required, bool takesPassword)
    {
        if (caller is null)
        {
            return RefuseUnknownAsync(context, takesPassword);
        }

        if (!caller.Scopes.Contains(required.Scope))
        {
            return new Problem(ProblemType.InsufficientScope, $"This needs the scope {required.Scope}.") { Scope = required.Scope }.ExecuteAsync(context);
        }

        context.Features.Set(caller);
        return next(context);
    }

    private static Task RefuseUnknownAsync(HttpContext context, bool takesPassword)
    {
        context.Response.Headers.WWWAuthenticate = takesPassword ? BearerOrBasic : "Bearer";
        return new Problem(ProblemType.Unauthenticated).ExecuteAsync(context);
    }

    private static string? KeyOf(HttpRequest request, bool takesPassword)
    {
        var header = request.Headers.Authorization;
        return header.Count != 1 || header[0] is not { } value ? null
            : value.StartsWith(Bearer, StringComparison.OrdinalIgnoreCase) ? value[Bearer.Length..].Trim()
            : takesPassword && value.StartsWith(Basic, StringComparison.OrdinalIgnoreCase) ? PasswordIn(value[Basic.Length..].Trim())
            : null;
    }

    private static string? PasswordIn(string credentials)
    {
        var plain = new byte[credentials.Length];
        return Convert.TryFromBase64String(credentials, plain, out var length) && plain.AsSpan(0, length).IndexOf((byte)':') is >= 0 and var colon
            ? Encoding.UTF8.GetString(plain, colon + 1, length - colon - 1)
            : null;
    }
}
