using System.Globalization;
using ConsentLedger.Choices;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Pages;
using ConsentLedger.PersonalData;
using ConsentLedger.Security;

namespace ConsentLedger.Preferences;

/// <summary>
/// Somebody's choices: <c>GET</c>, <c>HEAD</c> and <c>POST /preferences/{token}</c>, and the page that asks for one consent,
/// <c>GET /preferences/{token}/{purpose}</c>. Link scanners fetch them, so only their buttons change anything (FACTS 65).
/// </summary>
internal static class PreferencePage
{
    /// <summary>Maps the routes. There is no authentication: the token is all the person needs.</summary>
    public static void MapPreferencePage(this IEndpointRouteBuilder app)
    {
        app.MapMethods("/preferences/{token}", PageHeaders.GetAndHead, ShowAsync).AsPage();
        app.MapMethods("/preferences/{token}/{purpose}", PageHeaders.GetAndHead, AskAsync).AsPage();
        app.MapPost("/preferences/{token}", ChangeAsync).AsPage();
    }

    private static async Task<IResult> ShowAsync(string token, KeyRing keys, PreferenceCentre centre, TimeProvider clock, CancellationToken cancellation) =>
        !PreferenceToken.TryVerify(token, keys, out var link) ? Problem.NotFound()
        : link.ExpiresAt <= clock.GetUtcNow() ? PageResult.Of<LinkExpired>(new { Token = token })
        : Page(token, await centre.ReadAsync(link.Subscriber, cancellation));

    /// <summary>
    /// The page that asks for one consent, apart from everything else and in the exact words (FACTS 27); where there is nothing
    /// to ask, all choices.
    /// </summary>
    private static async Task<IResult> AskAsync(
        string token, string purpose, HttpContext context, KeyRing keys, PreferenceCentre centre, OfferCatalogue offers, TimeProvider clock,
        CancellationToken cancellation)
    {
        if (!PreferenceToken.TryVerify(token, keys, out var link))
        {
            return Problem.NotFound();
        }

        if (link.ExpiresAt <= clock.GetUtcNow())
        {
            return PageResult.Of<LinkExpired>(new { Token = token });
        }

        var choices = await centre.ReadAsync(link.Subscriber, cancellation);
        return choices.Find(purpose) is not { } choice ? Problem.NotFound()
            : choice.CanTurnOn ? await AskPageAsync(token, choice, context, offers, tooYoung: false, cancellation)
            : Page(token, choices);
    }

    /// <summary>What the buttons do. Each is durable before it is answered; whoever hangs up meanwhile stops nothing.</summary>
    private static async Task<IResult> ChangeAsync(
        string token, HttpContext context, KeyRing keys, PreferenceCentre centre, LinkRequests requests, OfferCatalogue offers, Undoing undoing,
        PersonalDownload download, NetworkLimit limit, TimeProvider clock, CancellationToken cancellation)
    {
        if (!PreferenceToken.TryVerify(token, keys, out var link))
        {
            return Problem.NotFound();
        }

        var fields = await PageForm.ReadFieldsAsync(context.Request, cancellation);
        var texts = PageTexts.For(context.Request);
        if (link.ExpiresAt <= clock.GetUtcNow())
        {
            return await RenewAsync(token, link, fields, context, requests, limit, texts.Language);
        }

        var choices = await centre.ReadAsync(link.Subscriber, cancellation);
        var visitor = Visitor.Of(context);
        switch (fields)
        {
            case { Count: 1 } when fields.GetValueOrDefault("all") == "off":
                await centre.StopAllAsync(link.Subscriber, visitor, CancellationToken.None);
                return await DoneAsync(new ChoiceOutcome("choices.stopped", null));

            case { Count: 1 } when fields.GetValueOrDefault("undo") is { } undo:
                if (!UndoToken.TryVerify(undo, keys, out var withdrawal) || withdrawal.Subscriber != link.Subscriber)
                {
                    return Problem.NotFound();
                }

                var restored = await undoing.ApplyAsync(withdrawal, SourceKind.PreferenceCentre, visitor, CancellationToken.None);
                return await DoneAsync(restored is null ? new ChoiceOutcome("undo.late", null) : new ChoiceOutcome("choices.undone", restored.Name));

            case { Count: 1 } when choices.Find(fields.GetValueOrDefault("off")) is { } choice:
                var undoable = await centre.TurnOffAsync(link.Subscriber, choice.Purpose, visitor, CancellationToken.None);
                return await DoneAsync(new ChoiceOutcome("choices.turned-off", choice.Purpose.Name, undoable?.Sign(keys)));

            case { Count: 1 } when fields.GetValueOrDefault("download") == "all" && choices.Address is { } address:
                return limit.Take(context.Connection.RemoteIpAddress, context.Response) is { } busy
                    ? busy
                    : await download.OpenAsync(link.Subscriber, address, texts, context.Subject(), cancellation);

            case not null when choices.Find(fields.GetValueOrDefault("on")) is { } choice:
                return await TurnOnAsync(choice, fields);

            default:
                return Problem.Invalid("body", "This is not what one of the page's buttons sends.");
        }

        async Task<IResult> TurnOnAsync(PurposeChoice choice, IReadOnlyDictionary<string, string> sent)
        {
            if (choice.CanTurnOn && choice.Purpose.MinimumAge > 0 && sent.GetValueOrDefault("age") != "over")
            {
                return await AskPageAsync(token, choice, context, offers, tooYoung: true, cancellation);
            }

            // What is on record is what was on the page, even if another wording was published since.
            var shown = int.TryParse(sent.GetValueOrDefault("notice"), NumberStyles.None, CultureInfo.InvariantCulture, out var version) ? version : (int?)null;
            if (choice.Purpose.NoticeVersions.Length > 0 ? shown is not { } known || !choice.Purpose.NoticeVersions.Contains(known) : shown is not null)
            {
                return Problem.Invalid("notice", "This is not a version of the purpose's notice.");
            }

            var offer = (await offers.AsChosenAsync([new Choice(choice.Purpose.Id.Value, shown)], cancellation)).Single();
            var came = await centre.TurnOnAsync(link.Subscriber, offer, texts.Language, visitor, CancellationToken.None);
            return await DoneAsync(new ChoiceOutcome(
                came switch
                {
                    TurnedOn.On => "choices.turned-on",
                    TurnedOn.Asked => "choices.asked",
                    TurnedOn.AskedEnough => "choices.asked-enough",
                    _ => "choices.refused",
                },
                choice.Purpose.Name));
        }

        async Task<IResult> DoneAsync(ChoiceOutcome done) => Page(token, await centre.ReadAsync(link.Subscriber, CancellationToken.None), done);
    }

    /// <summary>An old link changes nothing any more; all it can is have a new one sent to its address.</summary>
    private static async Task<IResult> RenewAsync(
        string token, PreferenceToken link, IReadOnlyDictionary<string, string>? fields, HttpContext context, LinkRequests requests, NetworkLimit limit, string language)
    {
        if (fields is not { Count: 1 } || fields.GetValueOrDefault(PageForm.Pressed.Name) != PageForm.Pressed.Value)
        {
            return PageResult.Of<LinkExpired>(new { Token = token });
        }

        if (limit.Take(context.Connection.RemoteIpAddress, context.Response) is { } busy)
        {
            return busy;
        }

        await requests.ReceiveAsync(link.Subscriber, typed: null, language, CancellationToken.None);
        return PageResult.Of<LinkSent>();
    }

    private static async Task<IResult> AskPageAsync(
        string token, PurposeChoice choice, HttpContext context, OfferCatalogue offers, bool tooYoung, CancellationToken cancellation)
    {
        var language = PageTexts.For(context.Request).Language;
        var offer = (await offers.NowAsync([choice.Purpose], [language, PageTexts.DefaultLanguage], cancellation)).Single();
        return PageResult.Of<TurnOn>(
            new { Token = token, Offer = offer, choice.NeedsConfirmation, TooYoung = tooYoung },
            tooYoung ? StatusCodes.Status400BadRequest : StatusCodes.Status200OK);
    }

    private static PageResult Page(string token, PreferenceChoices choices, ChoiceOutcome? done = null) =>
        PageResult.Of<ChoicesPage>(new { Token = token, Choices = choices, Done = done });
}
