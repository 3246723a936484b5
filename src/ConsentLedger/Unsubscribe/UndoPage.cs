using ConsentLedger.Choices;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Pages;
using ConsentLedger.Security;

namespace ConsentLedger.Unsubscribe;

/// <summary>
/// Undoing an unsubscribe made a moment ago, from the page that says it was made: <c>GET</c>, <c>HEAD</c> and
/// <c>POST /undo/{token}</c>. Not at the unsubscribe link: that can only ever withdraw.
/// </summary>
internal static class UndoPage
{
    /// <summary>Maps the routes.</summary>
    public static void MapUndo(this IEndpointRouteBuilder app)
    {
        app.MapMethods("/undo/{token}", PageHeaders.GetAndHead, AskAsync).AsPage();
        app.MapPost("/undo/{token}", UndoAsync).AsPage();
    }

    /// <summary>The button again, for who comes back to this address; nothing changes.</summary>
    private static async Task<IResult> AskAsync(string token, KeyRing keys, Undoing undoing, CancellationToken cancellation) =>
        !UndoToken.TryVerify(token, keys, out var withdrawal) ? Problem.NotFound()
        : await undoing.LookAsync(withdrawal, cancellation) is { } purpose ? PageResult.Of<UndoPrompt>(new { Purpose = purpose.Name })
        : PageResult.Of<UndoLate>();

    /// <summary>Restores what stood before; durable before this answers, and whoever hangs up meanwhile stops nothing.</summary>
    private static async Task<IResult> UndoAsync(string token, HttpContext context, KeyRing keys, Undoing undoing, CancellationToken cancellation)
    {
        if (!UndoToken.TryVerify(token, keys, out var withdrawal))
        {
            return Problem.NotFound();
        }

        if (await PageForm.ReadOnlyFieldAsync(context.Request, cancellation) != PageForm.Pressed)
        {
            return Problem.Invalid("body", "This is the form of the page that undoes an unsubscribe, and nothing else.");
        }

        return await undoing.ApplyAsync(withdrawal, SourceKind.UnsubscribeLink, Visitor.Of(context), CancellationToken.None) is { } purpose
            ? PageResult.Of<UndoDone>(new { Purpose = purpose.Name })
            : PageResult.Of<UndoLate>();
    }
}
