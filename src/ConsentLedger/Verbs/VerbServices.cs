using ConsentLedger.Choices;
using ConsentLedger.Database;
using ConsentLedger.Feedback;
using ConsentLedger.Hosting;
using ConsentLedger.Mail;
using ConsentLedger.Pages;
using ConsentLedger.PersonalData;
using ConsentLedger.Preferences;
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
            .AddRequests()
            .AddPersonalData(configuration));
}
