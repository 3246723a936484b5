using System.ComponentModel.DataAnnotations;
using ConsentLedger.Http;
using ConsentLedger.PersonalData;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.Preferences;

/// <summary>The preference centre: links to it by <c>POST /v1/preference-links</c>, and its pages.</summary>
public static class PreferencesApi
{
    /// <summary>Adds what it needs.</summary>
    public static IServiceCollection AddPreferences(this IServiceCollection services) =>
        services
            .AddSingleton<PreferenceCentre>()
            .AddSingleton<LinkRequests>()
            .AddSingleton<IPersonalRecords, LinkRequestRecords>()
            .AddHostedService(provider => provider.GetRequiredService<LinkRequests>());

    /// <summary>Maps the routes.</summary>
    public static void MapPreferences(this IEndpointRouteBuilder app)
    {
        app.MapPost("/v1/preference-links", MakeAsync)
            .RequireScope(Scope.SubscribersRead)
            .Refuses(ProblemType.Validation, ProblemType.PurposeNotPermitted)
            .WithExample(new PreferenceLinkRequest { Address = "ada@example.org" }, Example)
            .WithTags("Preferences").WithName("MakePreferenceLink").WithSummary("Makes the link to a subscriber's own choices");
        app.MapLinkRequest();
        app.MapPreferencePage();
        app.MapOwnData();
    }

    private static readonly PreferenceLink Example = new(
        "https://consent.museum.example/preferences/AQFbHXw-LwpMfY5pGis8TV5vbPjGgFpDTuCyO8eQ1xZ0bLkTnW4",
        new DateTimeOffset(2026, 11, 23, 9, 30, 0, TimeSpan.Zero));

    /// <summary>Whose choices.</summary>
    public sealed record PreferenceLinkRequest
    {
        /// <summary>The address. Send the link to this address and nowhere else: whoever has it can change the choices.</summary>
        [Required, MaxLength(Subscribers.Address.MaxLength)]
        public string? Address { get; init; }
    }

    /// <summary>A link to somebody's choices.</summary>
    /// <param name="Url">For the person themself to open; it changes nothing when it is fetched.</param>
    /// <param name="ExpiresAt">When it stops working. Opened later, it offers to mail a new one.</param>
    public sealed record PreferenceLink(string Url, DateTimeOffset ExpiresAt);

    /// <summary>
    /// Says nothing of whether the address is known. The page shows every purpose, so a key that is bound to some of them can't
    /// make a link. Whoever has the link acts as the person, so which key made it is on record before it is answered.
    /// </summary>
    private static async Task<Results<Ok<PreferenceLink>, Problem>> MakeAsync(
        PreferenceLinkRequest request, HttpContext context, SubscriberIds subscribers, KeyRing keys, PublicUrl publicUrl, AuditTrail audit,
        TimeProvider clock, CancellationToken cancellation)
    {
        var errors = new InputErrors();
        var address = errors.RequireAddress("address", request.Address);
        if (address is null)
        {
            return errors.ToProblem();
        }

        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        var subscriber = subscribers.Of(address);
        await audit.WriteAsync(context.Actor(), new AuditEntry(AuditAction.PreferenceLinkMade) { SubscriberId = subscriber.Value }, cancellation);
        var token = PreferenceToken.For(subscriber, clock.GetUtcNow());
        return TypedResults.Ok(new PreferenceLink(publicUrl.Link($"/preferences/{token.Sign(keys)}"), token.ExpiresAt));
    }
}
