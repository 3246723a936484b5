using ConsentLedger.Choices;
using ConsentLedger.Http;
using ConsentLedger.Pages;
using ConsentLedger.PersonalData;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.SubjectRights;

/// <summary>
/// <c>/copy/{token}</c>: where somebody who asked for a copy of what is held downloads it. Opening the page shows a button and
/// no data: scanners open links (FACTS 65).
/// </summary>
internal static class CopyPage
{
    /// <summary>Maps the routes.</summary>
    public static void MapCopies(this IEndpointRouteBuilder app)
    {
        app.MapMethods("/copy/{token}", PageHeaders.GetAndHead, AskAsync).AsPage();
        app.MapPost("/copy/{token}", SendAsync).AsPage();
    }

    private static async Task<IResult> AskAsync(string token, KeyRing keys, RequestRegister register, TimeProvider clock, CancellationToken cancellation) =>
        !CopyToken.TryVerify(token, keys, out var link) ? Problem.NotFound()
        : await FindAddressAsync(link, register, clock, cancellation) is null ? PageResult.Of<CopyOver>()
        : PageResult.Of<CopyPrompt>();

    /// <summary>Sends it, as it is at this moment. That it was asked for is on record before the first byte.</summary>
    private static async Task<IResult> SendAsync(
        string token, HttpContext context, KeyRing keys, RequestRegister register, PersonalDownload download, NetworkLimit limit, TimeProvider clock,
        CancellationToken cancellation)
    {
        if (!CopyToken.TryVerify(token, keys, out var link))
        {
            return Problem.NotFound();
        }

        if (await PageForm.ReadOnlyFieldAsync(context.Request, cancellation) != PageForm.Pressed)
        {
            return Problem.Invalid("body", "This is the form of the page that offers a copy, and nothing else.");
        }

        return limit.Take(context.Connection.RemoteIpAddress, context.Response) is { } busy ? busy
            : await FindAddressAsync(link, register, clock, cancellation) is not { } address ? PageResult.Of<CopyOver>()
            : await download.OpenAsync(link.Subscriber, address, PageTexts.For(context.Request), context.Subject(), cancellation, link.Request);
    }

    /// <summary>Whose copy it is; null once the link is too old, or the person was erased.</summary>
    private static async Task<Address?> FindAddressAsync(CopyToken link, RequestRegister register, TimeProvider clock, CancellationToken cancellation) =>
        link.ExpiresAt > clock.GetUtcNow() && (await register.FindAsync(link.Request, cancellation))?.Address is { } given
            ? Address.Parse(given, provider: null)
            : null;
}
