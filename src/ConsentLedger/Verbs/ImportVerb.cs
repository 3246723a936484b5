using System.CommandLine;
using System.Globalization;
using ConsentLedger.Database;
using ConsentLedger.Events;
using ConsentLedger.Ledger;
using ConsentLedger.Security;

namespace ConsentLedger.Verbs;

/// <summary><c>import FILE</c>: brings a list into the ledger.</summary>
internal static class ImportVerb
{
    public static Command Command()
    {
        var file = new Argument<FileInfo>("file") { Description = "A .csv file with a header row, or an .ndjson file with an object a line." };
        var dryRun = new Option<bool>("--dry-run") { Description = "Append nothing; only say what would come of it." };
        var allowResubscribe = new Option<bool>("--allow-resubscribe") { Description = "Append also rows that bring back someone who said no." };
        var command = new Command("import", "Imports a list of events. A bad row is reported and skipped; the same file again changes nothing.")
        {
            file, dryRun, allowResubscribe,
        };
        command.SetAction((parsed, cancellation) => RunAsync(
            parsed,
            parsed.GetRequiredValue(file),
            new ImportOptions { DryRun = parsed.GetValue(dryRun), AllowResubscribe = parsed.GetValue(allowResubscribe) },
            cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, FileInfo file, ImportOptions options, CancellationToken cancellation)
    {
        var format = file.Extension.ToUpperInvariant() switch
        {
            ".CSV" => ImportFormat.Csv,
            ".NDJSON" or ".JSONL" => ImportFormat.NdJson,
            _ => throw new StartupException("The file's name ends in .csv, .ndjson or .jsonl: that says how it is written."),
        };
        await using var installation = await CommandVerbs.OpenAsync(parsed, cancellation);
        await installation.CatchUpAsync(CommandVerbs.Configuration(parsed), cancellation);
        await using var services = installation.Services(services => services.AddEvents());
        var audit = services.GetRequiredService<AuditTrail>();
        var actor = Actor.OfCommand("import");
        await audit.WriteAsync(actor, options.Started(), cancellation);
        await using var list = file.OpenRead();
        ImportReport? report;
        ImportFault? fault;
        using (var progress = new Progress("records read"))
        {
            (report, fault) = await services.GetRequiredService<Importer>().RunAsync(list, format, options, progress, cancellation, cancellation);
        }

        if (fault is not null)
        {
            throw new StartupException($"Nothing was appended. {fault.Path}: {fault.Detail}");
        }

        await audit.WriteAsync(actor, report!.Finished(), cancellation);
        foreach (var problem in report.Problems)
        {
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"line {problem.Line}: {Label<EventFaultCode>.Of(problem.Code)}: {problem.Detail}"));
        }

        Console.WriteLine(string.Create(
            CultureInfo.InvariantCulture,
            $"{report.Received} received: {report.Appended} {(options.DryRun ? "would be appended" : "appended")}, {report.Unchanged} unchanged, {report.HeldBack} held back, {report.Rejected} rejected"));
        return 0;
    }
}
