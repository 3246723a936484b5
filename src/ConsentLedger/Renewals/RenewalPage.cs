using System.Globalization;
using ConsentLedger.Choices;
using ConsentLedger.Http;
using ConsentLedger.Pages;
using ConsentLedger.PersonalData;
using ConsentLedger.Purposes;
using ConsentLedger.Security;

namespace ConsentLedger.Renewals;

/// <summary>
/// The link in a reminder: <c>GET</c>, <c>HEAD</c> and <c>POST /renew/{token}</c>. Link scanners fetch it, so only the
/// button changes anything (FACTS 65).
/// </summary>
public static class RenewalPage
{
    private const string Notice = "notice";

    /// <summary>Adds what reminders and renewals need; a wrong setting ends the start here.</summary>
    /// <exception cref="Database.StartupException">A setting can't be what it says.</exception>
    public static IServiceCollection AddRenewals(this IServiceCollection services, IConfiguration configuration) => services
        .AddSingleton(ReminderOptions.Read(configuration))
        .AddSingleton<ReminderMetrics>()
        .AddSingleton<ReminderMails>()
        .AddSingleton<Reminders>()
        .AddSingleton<Renewing>()
        .AddSingleton<IPersonalRecords, ReminderRecords>()
        .AddHostedService<ReminderSchedule>();

    /// <summary>Maps the routes. There is no authentication: the token is all the person has.</summary>
    public static void MapRenewals(this IEndpointRouteBuilder app)
    {
        app.MapMethods("/renew/{token}", PageHeaders.GetAndHead, AskAsync).AsPage();
        app.MapPost("/renew/{token}", RenewAsync).AsPage();
    }

    private static async Task<IResult> AskAsync(
        string token, HttpContext context, KeyRing keys, Renewing renewing, OfferCatalogue offers, CancellationToken cancellation)
    {
        if (!RenewalToken.TryVerify(token, keys, out var link))
        {
            return Problem.NotFound();
        }

        var found = await renewing.LookAsync(link, cancellation);
        return found is { Status: RenewalStatus.Open, Purpose: { } purpose }
            ? await AskPageAsync(context, purpose, found, offers, cancellation)
            : Page(found, again: true);
    }

    /// <summary>Renews; durable before this answers, and whoever hangs up meanwhile stops nothing.</summary>
    private static async Task<IResult> RenewAsync(
        string token, HttpContext context, KeyRing keys, Renewing renewing, PurposeCatalogue purposes, OfferCatalogue offers, NetworkLimit limit,
        CancellationToken cancellation)
    {
        if (!RenewalToken.TryVerify(token, keys, out var link))
        {
            return Problem.NotFound();
        }

        if (limit.Take(context.Connection.RemoteIpAddress, context.Response) is { } refusal)
        {
            return refusal;
        }

        var fields = await PageForm.ReadFieldsAsync(context.Request, cancellation);
        if (fields?.GetValueOrDefault(PageForm.Pressed.Name) != PageForm.Pressed.Value || fields.Keys.Any(name => name != PageForm.Pressed.Name && name != Notice))
        {
            return Problem.Invalid("body", "This is the form of the page that renews a consent, and nothing else.");
        }

        if (await purposes.FindAsync(link.Purpose, cancellation) is not { } purpose)
        {
            return Page(new RenewalView(RenewalStatus.Closed, null, null, null), again: true);
        }

        // What is on record is what was on the page, even if another wording was published since.
        var shown = int.TryParse(fields.GetValueOrDefault(Notice), NumberStyles.None, CultureInfo.InvariantCulture, out var version) ? version : (int?)null;
        if (purpose.NoticeVersions.Length > 0 ? shown is not { } known || !purpose.NoticeVersions.Contains(known) : fields.ContainsKey(Notice))
        {
            return Problem.Invalid(Notice, "This is not a version of the purpose's notice.");
        }

        var offer = (await offers.AsChosenAsync([new Choice(purpose.Id.Value, shown)], cancellation)).Single();
        var found = await renewing.ApplyAsync(link, offer, Visitor.Of(context), CancellationToken.None);
        return Page(found with { Status = found.Status == RenewalStatus.Open ? RenewalStatus.Renewed : found.Status }, again: found.Status != RenewalStatus.Open);
    }

    /// <summary>What is agreed to now, in the page's language where it was published in that.</summary>
    private static async Task<PageResult> AskPageAsync(
        HttpContext context, Purpose purpose, RenewalView found, OfferCatalogue offers, CancellationToken cancellation)
    {
        var before = (await offers.AsChosenAsync([new Choice(purpose.Id.Value, found.Agreed)], cancellation)).Single();
        var offer = (await offers.NowAsync([purpose], [PageTexts.For(context.Request).Language, PageTexts.DefaultLanguage], cancellation)).Single();
        return PageResult.Of<RenewPrompt>(new { Offer = offer, found.ExpiresAt, IsNew = Renewing.HasChanged(before.Notice, offer.Notice) });
    }

    private static PageResult Page(RenewalView found, bool again) => found.Status switch
    {
        RenewalStatus.Renewed => PageResult.Of<Renewed>(new { Purpose = found.Purpose!.Name, found.ExpiresAt, Again = again }),
        RenewalStatus.RanOut => PageResult.Of<RenewalRanOut>(new { Purpose = found.Purpose!.Name }),
        _ => PageResult.Of<RenewalClosed>(),
    };
}
