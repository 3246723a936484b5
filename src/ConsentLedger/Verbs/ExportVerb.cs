using System.CommandLine;
using ConsentLedger.Database;
using ConsentLedger.Pages;
using ConsentLedger.PersonalData;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Verbs;

/// <summary><c>export ADDRESS</c>: answers a person who asks what is held about them, for people without code.</summary>
internal static class ExportVerb
{
    public static Command Command()
    {
        var address = new Argument<string>("address") { Description = "Whose data: an e-mail address, tel:+44… or ref:…" };
        var output = new Option<FileInfo?>("--output") { Description = "The file to write, .zip or .json; export.zip if left out. It must not exist." };
        var language = new Option<string>("--language") { Description = "The language of the page in it: en or cy.", DefaultValueFactory = _ => PageTexts.DefaultLanguage };
        var command = new Command("export", "Writes everything that is held about an address into a file that only you can read.") { address, output, language };
        command.SetAction((parsed, cancellation) => RunAsync(
            parsed, parsed.GetRequiredValue(address), parsed.GetValue(output) ?? new FileInfo("export.zip"), parsed.GetRequiredValue(language), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, string text, FileInfo output, string language, CancellationToken cancellation)
    {
        if (!Address.TryParse(text, out var address, out var problem))
        {
            throw new StartupException(problem);
        }

        if (!PageTexts.All.TryGetValue(language, out var texts))
        {
            throw new StartupException($"--language is one of: {string.Join(", ", PageTexts.All.Keys.Order(StringComparer.Ordinal))}.");
        }

        CommandVerbs.RefuseExisting(output);
        var configuration = CommandVerbs.Configuration(parsed);
        await using var installation = await CommandVerbs.OpenAsync(parsed, cancellation);
        await installation.CatchUpAsync(configuration, cancellation);
        await using var services = installation.ServicesOfPersonalData(configuration);
        await services.GetRequiredService<AuditTrail>().WriteAsync(
            Actor.OfCommand("export"),
            new AuditEntry(AuditAction.SubscriberExported) { SubscriberId = services.GetRequiredService<SubscriberIds>().Of(address).Value },
            cancellation);
        await using var snapshot = await services.GetRequiredService<PersonalExport>().OpenAsync(address, cancellation);
        var archive = services.GetRequiredService<ExportArchive>();
        await DurableFile.WriteAsync(output.FullName, file =>
            output.Extension.Equals(".json", StringComparison.OrdinalIgnoreCase)
                ? snapshot.WriteJsonAsync(file, cancellation)
                : archive.WriteAsync(snapshot, texts, file, cancellation));
        Console.WriteLine($"wrote {output.FullName}");
        return 0;
    }
}
