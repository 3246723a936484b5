using ConsentLedger.Choices;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Pages;
using ConsentLedger.PersonalData;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Npgsql;

namespace ConsentLedger.Preferences;

/// <summary>
/// What people do with their own data: <c>/preferences/{token}/data/address</c> and the <c>/address/{token}</c> that follows it,
/// and <c>/preferences/{token}/data/erase</c>. Opening any of them changes nothing (FACTS 65).
/// </summary>
internal static class OwnDataPages
{
    // Kept with the record of the erasure, so in one language, whatever the page's.
    private const string ErasureReason = "Asked for by the person, among their choices";

    /// <summary>Maps the routes.</summary>
    public static void MapOwnData(this IEndpointRouteBuilder app)
    {
        app.MapMethods("/preferences/{token}/data/address", PageHeaders.GetAndHead, AskAddress).AsPage();
        app.MapPost("/preferences/{token}/data/address", ReceiveAddressAsync).AsPage();
        app.MapMethods("/address/{token}", PageHeaders.GetAndHead, AskToMoveAsync).AsPage();
        app.MapPost("/address/{token}", MoveAsync).AsPage();
        app.MapMethods("/preferences/{token}/data/erase", PageHeaders.GetAndHead, AskToEraseAsync).AsPage();
        app.MapPost("/preferences/{token}/data/erase", EraseAsync).AsPage();
    }

    private static IResult AskAddress(string token, KeyRing keys, TimeProvider clock) =>
        Refuse(token, keys, clock, out _) ?? PageResult.Of<ChangeAddress>(new { Token = token });

    /// <summary>Takes the new address. The request is durable before this answers; the answer is the same whatever address it is.</summary>
    private static async Task<IResult> ReceiveAddressAsync(
        string token, HttpContext context, KeyRing keys, LinkRequests requests, SubscriberIds subscribers, NetworkLimit limit, TimeProvider clock,
        CancellationToken cancellation)
    {
        if (Refuse(token, keys, clock, out var link) is { } refusal)
        {
            return refusal;
        }

        if (limit.Take(context.Connection.RemoteIpAddress, context.Response) is { } busy)
        {
            return busy;
        }

        var field = await PageForm.ReadOnlyFieldAsync(context.Request, cancellation);
        if (field?.Name != "address")
        {
            return Problem.Invalid("body", "This is the form of the page that asks for an address, and nothing else.");
        }

        if (!Address.TryParse(field.Value.Value, provider: null, out var next) || next.Kind != AddressKind.Email || subscribers.Of(next) == link.Subscriber)
        {
            return PageResult.Of<ChangeAddress>(new { Token = token, Address = field.Value.Value, IsWrong = true }, StatusCodes.Status400BadRequest);
        }

        await requests.ReceiveChangeAsync(link.Subscriber, subscribers.Of(next), next, PageTexts.For(context.Request).Language, CancellationToken.None);
        return PageResult.Of<ChangeSent>();
    }

    private static async Task<IResult> AskToMoveAsync(string token, KeyRing keys, LinkRequests requests, TimeProvider clock, CancellationToken cancellation) =>
        !AddressChangeToken.TryVerify(token, keys, out var link) ? Problem.NotFound()
        : link.ExpiresAt <= clock.GetUtcNow() || await requests.FindAsync(link, cancellation) is null ? PageResult.Of<MoveOver>()
        : PageResult.Of<MovePrompt>();

    /// <summary>
    /// Carries the choices over, by the hand of who holds both mailboxes: the request came by a link to the old one, and this by
    /// a link to the new one. Durable before this answers; the request goes after it, and doing it again adds nothing.
    /// </summary>
    private static async Task<IResult> MoveAsync(
        string token, HttpContext context, KeyRing keys, LinkRequests requests, LedgerStore ledger, PurposeCatalogue purposes, Rectification rectification,
        TimeProvider clock, CancellationToken cancellation)
    {
        if (!AddressChangeToken.TryVerify(token, keys, out var link))
        {
            return Problem.NotFound();
        }

        if (await PageForm.ReadOnlyFieldAsync(context.Request, cancellation) != PageForm.Pressed)
        {
            return Problem.Invalid("body", "This is the form of the page that asks to confirm an address, and nothing else.");
        }

        if (link.ExpiresAt <= clock.GetUtcNow() || await requests.FindAsync(link, CancellationToken.None) is not { } row)
        {
            return PageResult.Of<MoveOver>();
        }

        var said = requests.Open(row);
        if (said.ChangeOf is not { } from
            || (await ledger.FindSubscriberAsync(new SubscriberId(from), CancellationToken.None)).Address is not { } old
            || await rectification.RectifyAsync(old, Address.Parse(said.Typed!, provider: null), context.Subject(), CancellationToken.None) is not { } outcome)
        {
            return PageResult.Of<MoveOver>();
        }

        await requests.DeleteAsync(row, CancellationToken.None);
        var heldBack = (await purposes.ListAsync(CancellationToken.None)).Where(purpose => outcome.HeldBack.Contains(purpose.Key)).Select(purpose => purpose.Name);
        return PageResult.Of<Moved>(new { Token = PreferenceToken.For(link.Subscriber, clock.GetUtcNow()).Sign(keys), HeldBack = heldBack.ToList() });
    }

    private static async Task<IResult> AskToEraseAsync(
        string token, KeyRing keys, NpgsqlDataSource database, TimeProvider clock, CancellationToken cancellation)
    {
        if (Refuse(token, keys, clock, out var link) is { } refusal)
        {
            return refusal;
        }

        await using var connection = await database.OpenConnectionAsync(cancellation);
        var guardian = await GuardianshipRecords.AnyStandsAsync(connection, link.Subscriber, cancellation);
        return PageResult.Of<ErasePrompt>(new { Token = token, IsGuardian = guardian });
    }

    /// <summary>Erases; see <see cref="Erasure"/> for what is durable when, and what a crash leaves.</summary>
    private static async Task<IResult> EraseAsync(
        string token, HttpContext context, KeyRing keys, Erasure erasure, TimeProvider clock, CancellationToken cancellation)
    {
        if (Refuse(token, keys, clock, out var link) is { } refusal)
        {
            return refusal;
        }

        if (await PageForm.ReadOnlyFieldAsync(context.Request, cancellation) != PageForm.Pressed)
        {
            return Problem.Invalid("body", "This is the form of the page that asks to erase, and nothing else.");
        }

        var outcome = await erasure.EraseAsync(link.Subscriber, ErasureReason, context.Subject(), CancellationToken.None);
        return PageResult.Of<Erased>(new { IsHeld = outcome.Hold is not null, outcome.IsKeptForAChild });
    }

    /// <summary>What is answered to a link that is none, or that is too old; null for one that works.</summary>
    private static IResult? Refuse(string token, KeyRing keys, TimeProvider clock, out PreferenceToken link) =>
        !PreferenceToken.TryVerify(token, keys, out link) ? Problem.NotFound()
        : link.ExpiresAt <= clock.GetUtcNow() ? PageResult.Of<LinkExpired>(new { Token = token })
        : null;
}
