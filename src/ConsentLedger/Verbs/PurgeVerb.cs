using System.CommandLine;
using System.Globalization;
using ConsentLedger.Pages;
using ConsentLedger.Retention;
using ConsentLedger.Security;

namespace ConsentLedger.Verbs;

/// <summary><c>purge</c>: does now what the schedule does at night.</summary>
internal static class PurgeVerb
{
    public static Command Command()
    {
        var dryRun = new Option<bool>("--dry-run") { Description = "Delete nothing; only count what would go." };
        var command = new Command("purge", "Purges what has lapsed, now. The service does it on a schedule.") { dryRun };
        command.SetAction((parsed, cancellation) => RunAsync(parsed, parsed.GetValue(dryRun), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(ParseResult parsed, bool dryRun, CancellationToken cancellation)
    {
        var configuration = CommandVerbs.Configuration(parsed);
        await using var installation = await CommandVerbs.OpenAsync(parsed, cancellation);
        await using var services = installation.Services(services => services.AddSingleton<IConfiguration>(configuration).AddPages().AddRetention(configuration));
        PurgeRun run;
        using (var progress = new Progress("records purged"))
        {
            run = await services.GetRequiredService<RetentionRunner>().RunAsync(
                Actor.OfCommand("purge"), PurgeTrigger.Cli, dryRun, new Batches(progress), cancellation);
        }

        var purged = run.Purged;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"""
            purge run {run.Id}{(run.DryRun ? " (dry run: nothing was deleted)" : run.IsOpen ? " is being done by the service" : "")}
              pending   {purged.Pending}
              lapsed    {purged.Lapsed}
              ended     {purged.Ended}
              evidence  {purged.Evidence}
              facets    {purged.Facets}
              addresses {purged.Address}
              requests  {purged.Requests}
              audit     {purged.Audit}
              expired   {run.Expired} consents ran out
              held back {run.HeldBack} subscribers
            """));
        return run.Status == PurgeStatus.Failed ? 1 : 0;
    }

    private sealed class Batches(Progress progress) : IProgress<PurgeRun>
    {
        public void Report(PurgeRun value) => progress.Report(value.Purged.Total);
    }
}
