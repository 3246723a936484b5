using System.Globalization;
using System.Text.Json;
using ConsentLedger.Choices;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Pages;
using ConsentLedger.Security;
using Microsoft.Net.Http.Headers;

namespace ConsentLedger.SignUps;

/// <summary>
/// The form, on the service's own page and on others': <c>GET</c>, <c>POST</c> and <c>OPTIONS /signup/{form}</c>, and
/// <c>GET /signup/{form}/challenge</c>. Whatever address is sent, the answer and the work before it are the same.
/// </summary>
internal static class SignUpPage
{
    /// <summary>The longest body that is read, in bytes.</summary>
    private const int MaxBody = 64 * 1024;

    /// <summary>Maps the routes. There is no authentication, and no cookie that another site could use.</summary>
    public static void MapSignUpPage(this IEndpointRouteBuilder app)
    {
        app.MapMethods("/signup/{key}", PageHeaders.GetAndHead, ShowAsync).AsPage();
        app.MapPost("/signup/{key}", PostAsync).AsPage().WithMetadata(new Microsoft.AspNetCore.Mvc.RequestSizeLimitAttribute(MaxBody));
        app.MapGet("/signup/{key}/challenge", ChallengeAsync).AsPage();
        app.MapMethods("/signup/{key}", [HttpMethods.Options], PreflightAsync).ExcludeFromDescription();
    }

    /// <summary>The page; or for a program that asks for JSON, which the form on another site is made from, what it shows.</summary>
    private static async Task<IResult> ShowAsync(
        string key, HttpContext context, FormCatalogue forms, Organisation organisation, PublicUrl publicUrl, CancellationToken cancellation)
    {
        if (await forms.FindAsync(key, cancellation) is not { } form)
        {
            return Problem.NotFound();
        }

        var offers = await OffersAsync(context, form, forms, cancellation);
        if (offers.Count == 0)
        {
            return Problem.NotFound();
        }

        context.Response.Headers.Append(HeaderNames.Vary, HeaderNames.Accept);
        if (!Site.IsForScript(context.Request))
        {
            return Page(context, form, offers, publicUrl);
        }

        return Allow(context, form, publicUrl)
            ? FormDescription.Of(form, offers, PageTexts.For(context.Request), organisation, publicUrl).ToResult(context)
            : new Problem(ProblemType.OriginNotAllowed);
    }

    /// <summary>Takes a sign-up. It is durable before this answers, and looked into after.</summary>
    private static async Task<IResult> PostAsync(
        string key, HttpContext context, FormCatalogue forms, SignUpStore store, SignUpWorker worker, Challenges challenges, NetworkLimit limit,
        PublicUrl publicUrl, CancellationToken cancellation)
    {
        if (await forms.FindAsync(key, cancellation) is not { } form)
        {
            return Problem.NotFound();
        }

        var request = context.Request;
        if (!Allow(context, form, publicUrl))
        {
            return new Problem(ProblemType.OriginNotAllowed);
        }

        if (limit.Take(context.Connection.RemoteIpAddress, context.Response) is { } busy)
        {
            return busy;
        }

        var errors = new InputErrors();
        var input = await ReadAsync(request, errors, cancellation);
        var offers = await OffersAsync(context, form, forms, cancellation, input);
        if (input is null || offers.Count == 0)
        {
            return input is null && !errors.Any ? new Problem(ProblemType.UnsupportedMediaType) : errors.Any ? errors.ToProblem() : Problem.NotFound();
        }

        var returnUrl = input.ReturnUrl(form, errors);
        var signUp = input.Read(form, offers, SourceKind.WebForm, PageUrl(request, form, publicUrl), Visitor.Of(context), errors);
        var isForPerson = Site.IsForPerson(request) && !request.HasJsonContentType();
        if (signUp is null)
        {
            return isForPerson ? Page(context, form, offers, publicUrl, input, returnUrl, WhatIsWrong(errors)) : errors.ToProblem();
        }

        if (!input.IsTrapped)
        {
            var answer = form.Challenge ? await challenges.TakeAsync(form, input, context, cancellation) : ChallengeAnswer.Counts;
            if (answer != ChallengeAnswer.Counts)
            {
                return isForPerson ? Page(context, form, offers, publicUrl, input, returnUrl, again: answer, byHand: challenges.MakeByHand(form))
                    : answer == ChallengeAnswer.TooMany ? new Problem(ProblemType.RateLimited)
                    : Problem.Invalid(answer == ChallengeAnswer.Unsolved ? "solution" : "challenge", Challenges.Explain(answer, form));
            }

            await store.ReceiveAsync(signUp, id: null, CancellationToken.None);
            worker.Wake();
        }

        return !isForPerson ? TypedResults.Accepted((string?)null, new SignUpAccepted())
            : returnUrl is null ? PageResult.Of<CheckYourMail>()
            : new SeeOther(returnUrl);
    }

    /// <summary>Something to work on. Nothing is kept of it.</summary>
    private static async Task<IResult> ChallengeAsync(
        string key, HttpContext context, FormCatalogue forms, Challenges challenges, PublicUrl publicUrl, CancellationToken cancellation)
    {
        if (await forms.FindAsync(key, cancellation) is not { } form)
        {
            return Problem.NotFound();
        }

        if (!Allow(context, form, publicUrl))
        {
            return new Problem(ProblemType.OriginNotAllowed);
        }

        var challenge = challenges.Make(form);
        return TypedResults.Ok(new ChallengeView(challenge.Text, challenge.Bits, challenge.ExpiresAt));
    }

    /// <summary>What a browser asks before it sends JSON from another site.</summary>
    private static async Task<IResult> PreflightAsync(
        string key, HttpContext context, FormCatalogue forms, PublicUrl publicUrl, CancellationToken cancellation)
    {
        if (await forms.FindAsync(key, cancellation) is not { } form)
        {
            return Problem.NotFound();
        }

        if (!Allow(context, form, publicUrl))
        {
            return new Problem(ProblemType.OriginNotAllowed);
        }

        var headers = context.Response.Headers;
        headers.AccessControlAllowMethods = "POST";
        headers.AccessControlAllowHeaders = "content-type";
        headers.AccessControlMaxAge = "600";
        return TypedResults.NoContent();
    }

    /// <summary>
    /// Lets in the form's own sites, this service's page, and whoever names no site: a browser's private form post, a
    /// program. The sites may read the answer.
    /// </summary>
    private static bool Allow(HttpContext context, Form form, PublicUrl publicUrl)
    {
        context.Response.Headers.Append(HeaderNames.Vary, HeaderNames.Origin);
        var origin = context.Request.Headers.Origin.ToString();
        if (form.Origins.Contains(origin, StringComparer.OrdinalIgnoreCase))
        {
            context.Response.Headers.AccessControlAllowOrigin = origin;
            return true;
        }

        return origin.Length == 0 || (origin == "null" && context.Request.HasFormContentType)
            || origin == new Uri(publicUrl.ToString()).GetLeftPart(UriPartial.Authority);
    }

    private static async Task<SignUpInput?> ReadAsync(HttpRequest request, InputErrors errors, CancellationToken cancellation)
    {
        try
        {
            if (request.HasFormContentType)
            {
                return SignUpInput.Of(await request.ReadFormAsync(cancellation));
            }

            if (request.HasJsonContentType())
            {
                using var json = await JsonDocument.ParseAsync(request.Body, cancellationToken: cancellation);
                return SignUpInput.Of(json.RootElement, errors);
            }
        }
        catch (Exception unreadable) when (unreadable is JsonException or InvalidDataException || (unreadable is IOException and not BadHttpRequestException))
        {
            errors.Add("body", "This can't be read as what its content type says.");
        }

        return null;
    }

    /// <summary>The page's language is that chosen by hand, then the form's own.</summary>
    private static Task<IReadOnlyList<Offer>> OffersAsync(
        HttpContext context, Form form, FormCatalogue forms, CancellationToken cancellation, SignUpInput? input = null)
    {
        PageTexts.Prefer(context, input?.Language is { } chosen && PageTexts.All.ContainsKey(chosen) ? chosen : form.Language);
        return forms.OffersAsync(form, PageTexts.For(context.Request).Language, cancellation);
    }

    /// <summary>
    /// The form, empty or as it was filled in. One that asks for work has the one script that does it; it works without, too
    /// (see <see cref="Challenges"/>).
    /// </summary>
    private static PageResult Page(
        HttpContext context, Form form, IReadOnlyList<Offer> offers, PublicUrl publicUrl, SignUpInput? input = null, string? returnUrl = null,
        List<string>? wrong = null, ChallengeAnswer? again = null, Challenge? byHand = null)
    {
        if (form.Challenge)
        {
            PageHeaders.AllowOwnScripts(context);
        }

        if (returnUrl is not null)
        {
            PageHeaders.AllowReturnTo(context, new Uri(returnUrl));
        }

        return PageResult.Of<SignUpForm>(
            new
            {
                Offers = offers,
                form.Fields,
                Age = offers.Max(offer => offer.Purpose.MinimumAge) is { } age and > 0 ? age.ToString(CultureInfo.InvariantCulture) : null,
                Wrong = wrong ?? [],
                Given = input?.Texts,
                Chosen = input?.Purposes,
                ReturnUrl = returnUrl,
                Script = form.Challenge ? EmbedScript.PathOn(publicUrl) : null,
                ByHand = byHand?.Text,
                Again = again is null ? null : again == ChallengeAnswer.TooMany ? "signup.step.busy" : "signup.step.text",
            },
            again == ChallengeAnswer.TooMany ? StatusCodes.Status429TooManyRequests
            : wrong is not null ? StatusCodes.Status400BadRequest
            : StatusCodes.Status200OK);
    }

    private static List<string> WhatIsWrong(InputErrors errors)
    {
        string[] known = ["address", "purposes", "age", "guardian"];
        var paths = errors.ToProblem().Errors!.Keys;
        return [.. paths.Select(path => known.Contains(path) ? $"signup.error.{path}" : "signup.error.other").Distinct()];
    }

    /// <summary>The page it happened on, as far as the browser tells, and only if it may stand there.</summary>
    private static string? PageUrl(HttpRequest request, Form form, PublicUrl publicUrl) =>
        request.GetTypedHeaders().Referer is { } referer && form.Origins.Contains(referer.GetLeftPart(UriPartial.Authority), StringComparer.OrdinalIgnoreCase)
            ? referer.GetLeftPart(UriPartial.Path) is { Length: <= 500 } url ? url : null
        : request.Headers.Origin.ToString() is { Length: > 0 } origin && form.Origins.Contains(origin, StringComparer.OrdinalIgnoreCase) ? origin
        : publicUrl.Link($"/signup/{form.Key}");

    /// <summary>303, as a page: the way back to the site after its form was posted.</summary>
    private sealed class SeeOther(string url) : IResult
    {
        public Task ExecuteAsync(HttpContext httpContext)
        {
            httpContext.Response.StatusCode = StatusCodes.Status303SeeOther;
            httpContext.Response.Headers.Location = url;
            return Task.CompletedTask;
        }
    }
}

/// <summary>Something to work on before a form is sent: find the smallest number that solves it, and send both along.</summary>
/// <param name="Challenge">Goes before the number, with a dot between; and back as it is, as <c>challenge</c>.</param>
/// <param name="Bits">With how many zero bits the SHA-256 of that has to begin; the number goes back as <c>solution</c>.</param>
/// <param name="ExpiresAt">Until when it is taken, once.</param>
public sealed record ChallengeView(string Challenge, int Bits, DateTimeOffset ExpiresAt);
