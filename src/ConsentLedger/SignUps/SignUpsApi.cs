using System.ComponentModel.DataAnnotations;
using System.Net;
using ConsentLedger.Choices;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.PersonalData;
using ConsentLedger.Security;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.SignUps;

/// <summary>Signing up: <c>POST /v1/signups</c> for a website's own server, and all there is for people.</summary>
public static class SignUpsApi
{
    /// <summary>Adds what signing up needs.</summary>
    public static IServiceCollection AddSignUps(this IServiceCollection services) =>
        services
            .AddSingleton<FormCatalogue>()
            .AddSingleton<Challenges>()
            .AddSingleton<ByHandLimit>()
            .AddSingleton<SignUpWorker>()
            .AddSingleton<IPersonalRecords, SignUpRecords>()
            .AddHostedService(provider => provider.GetRequiredService<SignUpWorker>());

    /// <summary>Maps the routes.</summary>
    public static void MapSignUps(this IEndpointRouteBuilder app)
    {
        app.MapForms();
        app.MapPost("/v1/signups", HandleAsync)
            .RequireScope(Scope.SignUpsWrite)
            .AcceptsIdempotencyKey()
            .Refuses(ProblemType.Validation, ProblemType.PurposeNotPermitted, ProblemType.NotFound, ProblemType.RateLimited)
            .WithExample(Example, new SignUpAccepted())
            .WithName("SignUp").WithTags("Sign-ups").WithSummary("Signs somebody up by a form of the website's own");
        app.MapSignUpPage();
        app.MapEmbed();
    }

    private static readonly SignUpRequest Example = new()
    {
        Form = "website",
        Address = "ada@example.org",
        Purposes = ["newsletter"],
        Language = "en",
        Evidence = new SignUpEvidence { Ip = "203.0.113.7", UserAgent = "Mozilla/5.0", Url = "https://museum.example/newsletter" },
    };

    /// <summary>A sign-up that a website took on its own page; <c>form</c> and <c>address</c> are required.</summary>
    public sealed record SignUpRequest
    {
        /// <summary>The key of the form whose purposes and wording were shown.</summary>
        [Required]
        public string? Form { get; init; }

        /// <summary>The e-mail address.</summary>
        [Required, MaxLength(Subscribers.Address.MaxLength)]
        public string? Address { get; init; }

        /// <summary>Keys of the purposes that were chosen; may be left out where the form has one.</summary>
        [MaxLength(50)]
        public string[]? Purposes { get; init; }

        /// <summary>The language to write in, if not the form's.</summary>
        public string? Language { get; init; }

        /// <summary>Where a chosen purpose has a minimum age: <c>over</c> or <c>under</c> it.</summary>
        public string? Age { get; init; }

        /// <summary>For someone under that age: the e-mail address of a parent or guardian, who is asked to confirm.</summary>
        [MaxLength(Subscribers.Address.MaxLength)]
        public string? Guardian { get; init; }

        /// <summary>The form's own fields, as filled in; others are not kept.</summary>
        public Dictionary<string, string>? Fields { get; init; }

        /// <summary>What the website saw of whoever signed up.</summary>
        public SignUpEvidence? Evidence { get; init; }
    }

    /// <summary>What a website saw of whoever signed up.</summary>
    public sealed record SignUpEvidence
    {
        /// <summary>The IP address.</summary>
        [MaxLength(64)]
        public string? Ip { get; init; }

        /// <summary>What the browser called itself; 256 characters are kept.</summary>
        public string? UserAgent { get; init; }

        /// <summary>The page it happened on.</summary>
        [MaxLength(2000)]
        public string? Url { get; init; }
    }

    /// <summary>Takes a sign-up; durable before it is answered, and looked into after. The answer is the same for everybody.</summary>
    private static async Task<Results<Accepted<SignUpAccepted>, Problem>> HandleAsync(
        SignUpRequest request, HttpContext context, FormCatalogue forms, SignUpStore store, SignUpWorker worker, NetworkLimit limit, KeyRing keys,
        CancellationToken cancellation)
    {
        var errors = new InputErrors();
        var key = errors.RequireText("form", request.Form, 64);
        var url = errors.AcceptUrl("evidence.url", request.Evidence?.Url);
        IPAddress? ip = null;
        if (request.Evidence?.Ip is { } text && !IPAddress.TryParse(text, out ip))
        {
            errors.Add("evidence.ip", "This is not an IP address.");
        }

        if (errors.Any)
        {
            return errors.ToProblem();
        }

        if (await forms.FindAsync(key, cancellation) is not { } form)
        {
            return Problem.NotFound("There is no such form.");
        }

        if (!form.Purposes.All(context.Caller().MayUse))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        // Every sign-up comes from the website's one server; the network that counts is that of whoever filled in the form.
        if (ip is not null && limit.Take(ip, context.Response) is { } busy)
        {
            return busy;
        }

        var offers = await forms.OffersAsync(form, request.Language ?? form.Language, cancellation);
        if (offers.Count == 0)
        {
            return Problem.NotFound("Every purpose of this form has ended.");
        }

        var signUp = ReadInput(request).Read(form, offers, SourceKind.Api, url, Visitor.Of(ip, request.Evidence?.UserAgent), errors);
        if (signUp is null)
        {
            return errors.ToProblem();
        }

        // A request that is sent again is the same sign-up.
        await store.ReceiveAsync(signUp, EventId.Of(keys.EventIdKey, "signup", context.Features.Get<IdempotentRequest>())?.Value, CancellationToken.None);
        worker.Wake();
        return TypedResults.Accepted((string?)null, new SignUpAccepted());
    }

    private static SignUpInput ReadInput(SignUpRequest request)
    {
        var values = (request.Fields ?? []).ToDictionary(field => field.Key, field => new[] { field.Value }, StringComparer.Ordinal);
        foreach (var (name, value) in new[]
        {
            ("address", request.Address), ("language", request.Language), ("age", request.Age), ("guardian", request.Guardian),
        })
        {
            values[name] = value is null ? [] : [value];
        }

        values["purposes"] = request.Purposes ?? [];
        return new SignUpInput(values);
    }
}

/// <summary>A sign-up was taken: nothing is said of the address.</summary>
public sealed record SignUpAccepted;
