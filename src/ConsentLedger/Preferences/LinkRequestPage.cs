using ConsentLedger.Choices;
using ConsentLedger.Http;
using ConsentLedger.Pages;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Preferences;

/// <summary>
/// The way in without a link: <c>GET</c>, <c>HEAD</c> and <c>POST /preferences</c>. Whatever address is sent, the answer and
/// the work before it are the same (FACTS 62).
/// </summary>
internal static class LinkRequestPage
{
    // People don't see it and browsers don't fill it; what does is a program that fills in everything.
    private const string Trap = "comment";

    /// <summary>Maps the routes.</summary>
    public static void MapLinkRequest(this IEndpointRouteBuilder app)
    {
        app.MapMethods("/preferences", PageHeaders.GetAndHead, () => PageResult.Of<LinkRequest>()).AsPage();
        app.MapPost("/preferences", PostAsync).AsPage();
    }

    /// <summary>Takes a request. It is durable before this answers, and looked into after.</summary>
    private static async Task<IResult> PostAsync(
        HttpContext context, LinkRequests requests, SubscriberIds subscribers, NetworkLimit limit, CancellationToken cancellation)
    {
        if (limit.Take(context.Connection.RemoteIpAddress, context.Response) is { } busy)
        {
            return busy;
        }

        if (await PageForm.ReadFieldsAsync(context.Request, cancellation) is not { } fields)
        {
            return Problem.Invalid("body", "This is the form of the page that asks for an address, and nothing else.");
        }

        var typed = fields.GetValueOrDefault("address");
        if (!Address.TryParse(typed, provider: null, out var address) || address.Kind != AddressKind.Email)
        {
            return PageResult.Of<LinkRequest>(new { Address = typed, IsWrong = true }, StatusCodes.Status400BadRequest);
        }

        if (string.IsNullOrEmpty(fields.GetValueOrDefault(Trap)))
        {
            await requests.ReceiveAsync(subscribers.Of(address), address, PageTexts.For(context.Request).Language, CancellationToken.None);
        }

        return PageResult.Of<LinkSent>();
    }
}
