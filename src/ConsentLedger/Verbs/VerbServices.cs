using ConsentLedger.Choices;
using ConsentLedger.Database;
using ConsentLedger.Feedback;
using ConsentLedger.Hosting;
using ConsentLedger.Mail;
using ConsentLedger.Pages;
using ConsentLedger.PersonalData;
using ConsentLedger.Preferences;
using ConsentLedger.Renewals;
using ConsentLedger.Security;
using ConsentLedger.SignUps;
using ConsentLedger.SubjectRights;
using ConsentLedger.Unsubscribe;

namespace ConsentLedger.Verbs;

/// <summary>The container of a verb: the ledger and what the verb adds, without a web server around it.</summary>
internal static class VerbServices
{
    public static ServiceProvider Services(this Installation installation, Action<IServiceCollection> add)
    {
        // A verb makes no links of its own but those its settings name; without any it is the local service's.
        var publicUrl = new PublicUrl(installation.Settings.PublicUrl ?? new Uri(ServeVerb.DefaultUrl));
        var services = new ServiceCollection()
            .AddLogging(logging => logging
                .SetMinimumLevel(LogLevel.Warning)
                .AddSimpleConsole(console => console.SingleLine = true)
                .AddConsole(console => console.LogToStandardErrorThreshold = LogLevel.Trace))
            .AddMetrics()
            .AddLedger(publicUrl, installation.Database, installation.Keys, TimeProvider.System);
        add(services);
        return services.BuildServiceProvider();
    }

    /// <summary>
    /// What <c>serve</c> does before it answers: whoever put the database back from a back-up, and however, it learns of every
    /// erasure and refusal since before a verb reads it or adds to it.
    /// </summary>
    public static async Task CatchUpAsync(this Installation installation, IConfiguration configuration, CancellationToken cancellation)
    {
        await using var services = installation.ServicesOfPersonalData(configuration);
        await services.GetRequiredService<JournalKeeper>().ReplayAsync(cancellation);
    }

    /// <summary>The container of a verb that works on personal data, wherever it is kept: all that keep some are in it.</summary>
    public static ServiceProvider ServicesOfPersonalData(this Installation installation, IConfiguration configuration) =>
        installation.Services(services => services
            .AddSingleton(configuration)
            .AddSingleton(new DataDirectory(installation.Settings.DataDirectory))
            .AddMail(configuration, new PublicUrl(installation.Settings.PublicUrl ?? new Uri(ServeVerb.DefaultUrl)))
            .AddPages()
            .AddChoices()
            .AddUnsubscribe()
            .AddSignUps()
            .AddFeedback()
            .AddRequests()
            .AddPreferences()
            .AddRenewals(configuration)
            .AddPersonalData(configuration));
}
