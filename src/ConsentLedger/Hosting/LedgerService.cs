using ConsentLedger.Accountability;
using ConsentLedger.Administration;
using ConsentLedger.Checks;
using ConsentLedger.Choices;
using ConsentLedger.Database;
using ConsentLedger.Events;
using ConsentLedger.Feedback;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Mail;
using ConsentLedger.Pages;
using ConsentLedger.PersonalData;
using ConsentLedger.Preferences;
using ConsentLedger.Purposes;
using ConsentLedger.Renewals;
using ConsentLedger.Retention;
using ConsentLedger.Security;
using ConsentLedger.SignUps;
using ConsentLedger.SubjectRights;
using ConsentLedger.Unsubscribe;

namespace ConsentLedger.Hosting;

/// <summary>The whole service: each feature adds what it needs and maps its own routes.</summary>
public static class LedgerService
{
    /// <summary>
    /// Builds it over an open, migrated database. The caller starts it, and closes the database after it.
    /// </summary>
    /// <param name="arguments">Command-line settings.</param>
    /// <param name="publicUrl">Where it is reached from outside.</param>
    /// <param name="database">The database, by role.</param>
    /// <param name="keys">The installation's keys.</param>
    /// <param name="data">Where it keeps what is not in the database.</param>
    /// <param name="clock">The time.</param>
    /// <param name="configure">What a test sets beyond that.</param>
    public static WebApplication Build(
        string[] arguments, PublicUrl publicUrl, LedgerDatabase database, KeyRing keys, DataDirectory data, TimeProvider clock,
        Action<WebApplicationBuilder>? configure = null)
    {
        var builder = WebApplication.CreateSlimBuilder(new WebApplicationOptions
        {
            Args = arguments,
            ApplicationName = "ConsentLedger",
            ContentRootPath = AppContext.BaseDirectory,
        });
        builder.Services
            .AddSingleton(data)
            .AddLedger(publicUrl, database, keys, clock)
            .AddHostedService<LogKeeper>()
            .AddHttpConventions()
            .AddEvents()
            .AddChecks()
            .AddPages()
            .AddChoices()
            .AddUnsubscribe()
            .AddSignUps()
            .AddFeedback()
            .AddRequests()
            .AddPreferences()
            .AddSetup()
            .AddLedgerMetrics()
            .AddOpenApiDocumentation();

        // The framework logs a line a request, with its path; an unsubscribe link's token is a path.
        builder.Logging.AddFilter("Microsoft.AspNetCore", LogLevel.Warning).AddFilter("Npgsql", LogLevel.Warning);
        configure?.Invoke(builder);
        builder.Services
            .AddMail(builder.Configuration, publicUrl)
            .AddPersonalData(builder.Configuration)
            .AddRetention(builder.Configuration)
            .AddRenewals(builder.Configuration)
            .AddAccountability(builder.Configuration);

        var app = builder.Build();
        app.UseForwardedHeaders();
        app.UsePages();
        app.UseHttpConventions();
        var routes = app.MapGroup(string.Empty).WithStrictQuery();
        routes.MapPurposes();
        routes.MapNotices();
        routes.MapEvents();
        routes.MapChecks();
        routes.MapUnsubscribeLinks();
        routes.MapChoices();
        routes.MapUnsubscribe();
        routes.MapSignUps();
        routes.MapFeedback();
        routes.MapPreferences();
        routes.MapRetention();
        routes.MapRenewals();
        routes.MapSubjectRights();
        routes.MapMail();
        routes.MapAccountability();
        routes.MapKeys();
        routes.MapSetup();
        routes.MapHealth();
        routes.MapMetrics();
        app.MapOpenApiDocumentation();
        routes.MapSite();
        return app;
    }
}
