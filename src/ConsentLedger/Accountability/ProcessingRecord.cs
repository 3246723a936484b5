using System.Text;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Pages;
using ConsentLedger.PersonalData;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.Accountability;

/// <summary>
/// <c>GET /v1/processing-record</c>: the record of processing (Art 30, FACTS 40), made from the purposes and the
/// settings, so that it is never behind: as JSON, as CSV for a spreadsheet, or as a page to print, by <c>Accept</c>.
/// </summary>
public static class ProcessingRecord
{
    private const string Json = "application/json";
    private const string Csv = "text/csv";
    private const string Html = "text/html";

    /// <summary>Adds what it needs.</summary>
    public static IServiceCollection AddProcessingRecord(this IServiceCollection services, IConfiguration configuration) =>
        services.AddSingleton(ProcessingStatement.Read(configuration)).AddSingleton(AccountabilityKept.Read(configuration));

    /// <summary>Maps the route.</summary>
    public static void MapProcessingRecord(this IEndpointRouteBuilder app) =>
        app.MapGet("/v1/processing-record", HandleAsync)
            .RequireScope(Scope.RecordsRead)
            .Refuses(ProblemType.PurposeNotPermitted)
            .Produces<ProcessingRecordView>(StatusCodes.Status200OK, Json, Csv, Html)
            .WithExample(answer: Example)
            .WithName("GetProcessingRecord").WithTags("Accountability").WithSummary("Shows the record of processing (Article 30)");

    private static readonly DateTimeOffset ExampleTime = new(2026, 11, 22, 9, 30, 0, TimeSpan.Zero);

    private static readonly ProcessingRecordView Example = new(
        ExampleTime,
        new ProcessingController("Hafod Museum", "1 High Street, Hafod", "data@hafod.example", null, null, "Z1234567"),
        "None outside the United Kingdom.", ProcessingStatement.DefaultSecurity,
        [
            new ProcessingActivity(
                "newsletter", "Newsletter", "What is on at the museum, once a month.", PurposeStatus.Active, LawfulBasis.Consent, Channel.Email,
                ProcessingStatement.DefaultPeople, ["name", "e-mail address"], false, ["our e-mail provider"], new Period(24, 0), null, 13,
                new PurposeRetention(), ExampleTime, ExampleTime),
        ],
        new AccountabilityKept(AccountabilityKept.DefaultRequests, AccountabilityKept.DefaultAudit));

    /// <summary>The record of processing.</summary>
    /// <param name="GeneratedAt">When it was made.</param>
    /// <param name="Controller">Who answers for the data.</param>
    /// <param name="Transfers">Transfers to other countries, and the safeguards; null if the settings say nothing.</param>
    /// <param name="Security">How the data is protected.</param>
    /// <param name="Activities">What is done with it: one for each purpose.</param>
    /// <param name="AccountabilityKept">How long that is kept which shows that the law was kept: what people asked for, and the audit trail.</param>
    public sealed record ProcessingRecordView(
        DateTimeOffset GeneratedAt, ProcessingController Controller, string? Transfers, string Security, IReadOnlyList<ProcessingActivity> Activities,
        AccountabilityKept AccountabilityKept);

    /// <summary>The controller.</summary>
    /// <param name="Name">Its name.</param>
    /// <param name="Address">Its postal address.</param>
    /// <param name="Email">Its e-mail address for questions about data.</param>
    /// <param name="Phone">Its telephone number.</param>
    /// <param name="DataProtectionOfficer">Its data protection officer, where it has one.</param>
    /// <param name="RegistrationNumber">Its number in the ICO's register of fee payers.</param>
    public sealed record ProcessingController(
        string? Name, string? Address, string? Email, string? Phone, string? DataProtectionOfficer, string? RegistrationNumber);

    /// <summary>What is done with data for one purpose.</summary>
    /// <param name="Purpose">The purpose's key.</param>
    /// <param name="Name">What it is called.</param>
    /// <param name="Description">What people get.</param>
    /// <param name="Status">Whether it is still written for.</param>
    /// <param name="Basis">What makes it lawful.</param>
    /// <param name="Channel">How messages are sent.</param>
    /// <param name="People">The categories of people.</param>
    /// <param name="DataCategories">The categories of data.</param>
    /// <param name="SpecialCategory">True if a consent reveals special category data.</param>
    /// <param name="Recipients">Who receives it.</param>
    /// <param name="ConsentLifetime">How long a consent is good for; null for as long as it is not withdrawn.</param>
    /// <param name="EndsAt">When the purpose ends; null if it is open-ended.</param>
    /// <param name="MinimumAge">The age from which someone consents alone, in years.</param>
    /// <param name="Retention">How long records are kept once they lapse.</param>
    /// <param name="CreatedAt">Since when.</param>
    /// <param name="UpdatedAt">When it last changed.</param>
    public sealed record ProcessingActivity(
        string Purpose, string Name, string? Description, PurposeStatus Status, LawfulBasis Basis, Channel Channel, string People,
        string[] DataCategories, bool SpecialCategory, string[] Recipients, Period? ConsentLifetime, DateTimeOffset? EndsAt, int? MinimumAge,
        PurposeRetention Retention, DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt);

    private static async Task<Results<Ok<ProcessingRecordView>, ContentHttpResult, PageResult, Problem>> HandleAsync(
        HttpContext context, PurposeCatalogue purposes, Organisation organisation, ControllerContact contact, ProcessingStatement statement,
        AccountabilityKept kept, TimeProvider clock, CancellationToken cancellation)
    {
        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        var now = Instant.Of(clock.GetUtcNow());
        var record = new ProcessingRecordView(
            now,
            new ProcessingController(organisation.Name, contact.Address, contact.Email, contact.Phone, contact.DataProtectionOfficer, contact.RegistrationNumber),
            statement.Transfers,
            statement.Security,
            [.. (await purposes.ListAsync(cancellation)).Select(purpose => Of(purpose, statement.People, now))],
            kept);
        context.Response.Headers.CacheControl = "no-store";
        context.Response.Headers.Vary = "Accept, Accept-Language";
        return Wanted(context.Request) switch
        {
            Html => PageResult.Of<ProcessingRecordPage>(new { Record = record }),
            Csv => TypedResults.Text(ToCsv(record), Csv, Encoding.UTF8),
            _ => TypedResults.Ok(record),
        };
    }

    private static ProcessingActivity Of(Purpose purpose, string people, DateTimeOffset now) => new(
        purpose.Key, purpose.Name, purpose.Description, purpose.Terms.HasEnded(now) ? PurposeStatus.Ended : PurposeStatus.Active, purpose.Basis,
        purpose.Channel, people, purpose.DataCategories, purpose.SpecialCategory, purpose.Recipients, purpose.ConsentLifetime, purpose.EndsAt,
        purpose.MinimumAge, purpose.Retention, purpose.CreatedAt, purpose.UpdatedAt);

    /// <summary>A line a purpose, each with the controller in front, so that a line alone says whose record it is.</summary>
    private static string ToCsv(ProcessingRecordView record)
    {
        var csv = new StringBuilder(SafeCsv.Start);
        SafeCsv.AppendLine(
            csv,
            [
                "controller", "contact", "dataProtectionOfficer", "purpose", "name", "description", "status", "basis", "channel", "people", "dataCategories",
                "specialCategory", "recipients", "consentLifetime", "endsAt", "minimumAge", "retentionPending", "retentionLapsed", "retentionEvidence", "transfers", "security",
                "retentionRequests", "retentionAudit",
            ]);
        var controller = record.Controller;
        foreach (var activity in record.Activities)
        {
            SafeCsv.AppendLine(
                csv,
                [
                    controller.Name ?? string.Empty,
                    string.Join("; ", new[] { controller.Address, controller.Email, controller.Phone }.OfType<string>()),
                    controller.DataProtectionOfficer ?? string.Empty,
                    activity.Purpose, activity.Name, activity.Description ?? string.Empty, Label<PurposeStatus>.Of(activity.Status), Label<LawfulBasis>.Of(activity.Basis),
                    Label<Channel>.Of(activity.Channel), activity.People, string.Join("; ", activity.DataCategories), activity.SpecialCategory ? "true" : "false",
                    string.Join("; ", activity.Recipients), activity.ConsentLifetime?.ToString() ?? string.Empty,
                    activity.EndsAt is { } end ? Instant.Format(end) : string.Empty,
                    activity.MinimumAge?.ToString(System.Globalization.CultureInfo.InvariantCulture) ?? string.Empty,
                    activity.Retention.Pending.ToString(), activity.Retention.Lapsed.ToString(), activity.Retention.Evidence?.ToString() ?? string.Empty,
                    record.Transfers ?? string.Empty, record.Security,
                    record.AccountabilityKept.Requests.ToString(), record.AccountabilityKept.Audit.ToString(),
                ]);
        }

        return csv.ToString();
    }

    /// <summary>What is asked for most; JSON if nothing of the three is.</summary>
    private static string Wanted(HttpRequest request)
    {
        var accepted = request.GetTypedHeaders().Accept;
        return new[] { Json, Html, Csv }.MaxBy(Quality)!;

        double Quality(string mediaType) =>
            accepted.Where(range => range.MediaType.Equals(mediaType, StringComparison.OrdinalIgnoreCase)).Select(range => range.Quality ?? 1).FirstOrDefault();
    }
}

/// <summary>What the record says beside the purposes, from <c>ConsentLedger:ProcessingRecord</c>.</summary>
/// <param name="People">The categories of people.</param>
/// <param name="Transfers">Transfers to other countries, and the safeguards.</param>
/// <param name="Security">How the data is protected.</param>
public sealed record ProcessingStatement(string People, string? Transfers, string Security)
{
    /// <summary>The categories of people unless set otherwise.</summary>
    public const string DefaultPeople = "People who signed up, visited, supported or asked about the organisation";

    /// <summary>How the data is protected unless set otherwise: what this service does by itself.</summary>
    public const string DefaultSecurity =
        "Addresses, evidence and mails are encrypted (AES-256-GCM) under a key kept outside the database; history can only be added to; access is by scoped keys, and who looks at or changes records is recorded.";

    /// <summary>Reads the settings.</summary>
    public static ProcessingStatement Read(IConfiguration configuration)
    {
        var settings = configuration.GetSection("ConsentLedger:ProcessingRecord");
        return new ProcessingStatement(Text("People") ?? DefaultPeople, Text("Transfers"), Text("Security") ?? DefaultSecurity);

        string? Text(string name) => settings[name]?.Trim() is { Length: > 0 } text ? text : null;
    }
}
