using ConsentLedger.Http;
using ConsentLedger.Pages;
using ConsentLedger.Security;

namespace ConsentLedger.Choices;

/// <summary>
/// The confirmation link: <c>GET</c>, <c>HEAD</c> and <c>POST /confirm/{token}</c>. Link scanners fetch it, so only the
/// button changes anything (FACTS 65).
/// </summary>
internal static class ConfirmPage
{
    /// <summary>Maps the routes.</summary>
    public static void MapConfirm(this IEndpointRouteBuilder app)
    {
        app.MapMethods("/confirm/{token}", PageHeaders.GetAndHead, AskAsync).AsPage();
        app.MapPost("/confirm/{token}", ConfirmAsync).AsPage();
    }

    private static async Task<IResult> AskAsync(string token, KeyRing keys, Confirmations confirmations, CancellationToken cancellation)
    {
        if (!ConfirmToken.TryVerify(token, keys, out var link))
        {
            return Problem.NotFound();
        }

        var (status, asked) = await confirmations.LookAsync(link, cancellation);
        return status switch
        {
            LinkStatus.Open => PageResult.Of<ConfirmPrompt>(new { Asked = asked }),
            LinkStatus.Expired => PageResult.Of<ConfirmExpired>(),
            LinkStatus.Confirmed => PageResult.Of<Confirmed>(new { Again = true }),
            _ => PageResult.Of<ConfirmClosed>(),
        };
    }

    /// <summary>Confirms, or sends a new link where this one is too old; whoever hangs up meanwhile stops nothing.</summary>
    private static async Task<IResult> ConfirmAsync(
        string token, HttpContext context, KeyRing keys, Confirmations confirmations, NetworkLimit limit, CancellationToken cancellation)
    {
        if (!ConfirmToken.TryVerify(token, keys, out var link))
        {
            return Problem.NotFound();
        }

        if (limit.Take(context.Connection.RemoteIpAddress, context.Response) is { } refusal)
        {
            return refusal;
        }

        if (await PageForm.ReadOnlyFieldAsync(context.Request, cancellation) != PageForm.Pressed)
        {
            return Problem.Invalid("body", "This is the form of the confirmation page, and nothing else.");
        }

        switch (await confirmations.ConfirmAsync(link, Visitor.Of(context), CancellationToken.None))
        {
            case LinkStatus.Open:
                return PageResult.Of<Confirmed>(new { Again = false });
            case LinkStatus.Confirmed:
                return PageResult.Of<Confirmed>(new { Again = true });
            case LinkStatus.Expired:
                await confirmations.SendAgainAsync(link, CancellationToken.None);
                return PageResult.Of<CheckYourMail>();
            default:
                return PageResult.Of<ConfirmClosed>();
        }
    }
}
