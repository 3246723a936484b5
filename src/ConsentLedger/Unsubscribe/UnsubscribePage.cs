using ConsentLedger.Choices;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Pages;
using ConsentLedger.PersonalData;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace ConsentLedger.Unsubscribe;

/// <summary>The unsubscribe link: <c>GET</c>, <c>HEAD</c> and <c>POST /u/{token}</c> (RFC 8058, FACTS 1-7).</summary>
public static class UnsubscribePage
{
    private const string OneClickAnswer = "Unsubscribed. / Wedi dad-danysgrifio.\n";

    /// <summary>What a mail program posts, as a form's field (RFC 8058 §3.2).</summary>
    private static readonly FormField OneClick = new("List-Unsubscribe", "One-Click");

    /// <summary>Adds what unsubscribing needs.</summary>
    public static IServiceCollection AddUnsubscribe(this IServiceCollection services) =>
        services.AddSingleton<WithdrawalSpool>().AddSingleton<IPersonalRecords, SpoolRecords>().AddHostedService<SpooledWithdrawals>();

    /// <summary>Maps the routes. There is no authentication: the token is all a mail program has.</summary>
    public static void MapUnsubscribe(this IEndpointRouteBuilder app)
    {
        var links = app.MapGroup("/u").WithTags("Unsubscribe");
        links.MapMethods("/{token}", PageHeaders.GetAndHead, AskAsync)
            .WithPageHeaders()
            .Refuses(ProblemType.NotFound)
            .WithName("ShowUnsubscribe").WithSummary("Shows a page with a button; changes nothing");
        links.MapPost("/{token}", WithdrawAsync)
            .WithPageHeaders()
            .Refuses(ProblemType.Validation, ProblemType.NotFound, ProblemType.PayloadTooLarge)
            .WithName("Unsubscribe").WithSummary("Withdraws, in one click");
        app.MapUndo();
    }

    /// <summary>The page with the button. Link scanners fetch it, so it changes nothing and shows nothing of anybody (FACTS 5, 65).</summary>
    private static async Task<Results<PageResult, Problem>> AskAsync(
        string token, KeyRing keys, PurposeCatalogue purposes, LedgerDatabase database, CancellationToken cancellation) =>
        Read(token, keys) is { } link
            ? PageResult.Of<UnsubscribePrompt>(new { Purpose = await FindNameAsync(link, purposes, database, cancellation) })
            : Problem.NotFound();

    /// <summary>
    /// Withdraws. It is answered once the withdrawal is durable, in the ledger or, while that can't be asked, on disk; a
    /// client that hangs up meanwhile stops nothing: no unsubscribe is lost.
    /// </summary>
    private static async Task<Results<ContentHttpResult, PageResult, Problem>> WithdrawAsync(
        string token, HttpContext context, KeyRing keys, PurposeCatalogue purposes, LedgerDatabase database, Withdrawals withdrawals, WithdrawalSpool spool,
        TimeProvider clock, CancellationToken cancellation)
    {
        if (Read(token, keys) is not { } link)
        {
            return Problem.NotFound();
        }

        var field = await PageForm.ReadOnlyFieldAsync(context.Request, cancellation);
        if (field != OneClick && field != PageForm.Pressed)
        {
            return Problem.Invalid("body", $"This is a form that says {UnsubscribeHeaders.OneClick}, and nothing else.");
        }

        var how = field == OneClick ? WithdrawalWay.OneClick : WithdrawalWay.Page;
        var withdrawal = Withdrawal.From(context, link, how, clock.GetUtcNow());
        UndoToken? undo = null;
        try
        {
            undo = await database.ShortWork.ExecuteAsync(async token => await withdrawals.ApplyAsync(withdrawal, token), CancellationToken.None);
        }
        catch (Exception fault) when (fault is NpgsqlException || DatabaseResilience.MeansAway(fault))
        {
            // Whatever the database has against it, a person has said no. If it was written after all, applying it again
            // changes nothing.
            await spool.KeepAsync(withdrawal);
        }

        return how == WithdrawalWay.OneClick
            ? TypedResults.Text(OneClickAnswer, "text/plain; charset=utf-8")
            : PageResult.Of<UnsubscribeDone>(new { Purpose = await FindNameAsync(link, purposes, database, cancellation), Undo = undo?.Sign(keys) });
    }

    /// <summary>What a token says, if it is one of ours for a purpose.</summary>
    private static UnsubscribeToken? Read(string token, KeyRing keys) =>
        UnsubscribeToken.TryVerify(token, keys, out var link) && !link.Purpose.IsFacet ? link : null;

    /// <summary>
    /// What the purpose is called; null if it is gone, or if the ledger can't be asked: the page does without.
    /// </summary>
    private static async Task<string?> FindNameAsync(
        UnsubscribeToken link, PurposeCatalogue purposes, LedgerDatabase database, CancellationToken cancellation)
    {
        try
        {
            return (await database.ShortWork.ExecuteAsync(async token => await purposes.FindAsync(link.Purpose, token), cancellation))?.Name;
        }
        catch (Exception fault) when (DatabaseResilience.MeansAway(fault))
        {
            return null;
        }
    }
}
