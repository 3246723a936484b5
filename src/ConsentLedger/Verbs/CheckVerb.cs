using System.CommandLine;
using System.Globalization;
using System.IO.Pipelines;
using ConsentLedger.Checks;
using ConsentLedger.Database;
using ConsentLedger.Purposes;

namespace ConsentLedger.Verbs;

/// <summary><c>check FILE</c>: which addresses of a list may be written to, for people without code.</summary>
internal static class CheckVerb
{
    private const int ChunkSize = 5_000;

    public static Command Command()
    {
        var file = new Argument<FileInfo>("file") { Description = "A text file with an address a line, a .csv file with a column 'address', or an .ndjson file." };
        var purpose = new Option<string>("--purpose") { Description = "The key of the purpose the messages are for.", Required = true };
        var output = new Option<FileInfo?>("--output") { Description = "Where to write who may be written to, as CSV; standard output if left out." };
        var all = new Option<bool>("--all") { Description = "Write the others as well, with the reason." };
        var command = new Command("check", "Says which addresses of a list may be written to for a purpose.") { file, purpose, output, all };
        command.SetAction((parsed, cancellation) => RunAsync(
            parsed, parsed.GetRequiredValue(file), parsed.GetRequiredValue(purpose), parsed.GetValue(output), parsed.GetValue(all), cancellation));
        return command;
    }

    private static async Task<int> RunAsync(
        ParseResult parsed, FileInfo file, string purposeKey, FileInfo? output, bool all, CancellationToken cancellation)
    {
        if (!file.Exists)
        {
            throw new StartupException($"There is no file {file.FullName}.");
        }

        await using var installation = await CommandVerbs.OpenAsync(parsed, cancellation);
        await installation.CatchUpAsync(CommandVerbs.Configuration(parsed), cancellation);
        await using var services = installation.Services(services => services.AddChecks());
        var checks = services.GetRequiredService<ListChecks>();
        var key = PurposeKey.TryParse(purposeKey, null, out var known) ? known : throw new StartupException(PurposeKey.Rule);
        await using var list = file.OpenRead();
        var addresses = new AddressReader(list, FormatOf(file));
        if (!await addresses.ReadHeaderAsync(cancellation))
        {
            throw new StartupException($"{file.FullName} has no column 'address'.");
        }

        // Written beside its place and moved there at the end: a list that was cut short never looks like a whole one, and
        // neither does the list of the time before.
        output?.Delete();
        var unfinished = output is null ? null : $"{output.FullName}.unfinished";
        using var progress = new Progress("checked", () => (double)list.Position / Math.Max(list.Length, 1));
        var summary = default(ListSummary);
        await using (var target = unfinished is null ? Console.OpenStandardOutput() : File.Create(unfinished))
        {
            var writer = PipeWriter.Create(target);
            var answers = new CsvAnswerWriter(writer, links: true, allowedOnly: !all);
            answers.WriteHeader();
            while (await addresses.ReadAsync(ChunkSize, cancellation) is { Count: > 0 } chunk)
            {
                var part = await checks.DecideAsync(key, chunk, withLinks: true, cancellation) ?? throw new StartupException($"There is no purpose {key}.");
                answers.Write(part);
                await writer.FlushAsync(cancellation);
                summary = summary.With(part);
                progress.Report(summary.Received);
            }

            await writer.CompleteAsync();
        }

        progress.Dispose();
        if (unfinished is not null)
        {
            File.Move(unfinished, output!.FullName, overwrite: true);
        }

        await Console.Error.WriteLineAsync(string.Create(
            CultureInfo.InvariantCulture,
            $"{summary.Received} addresses: {summary.Allowed} may be written to for {purposeKey}, {summary.Denied} may not, {summary.Invalid} are no address for it."));
        return 0;
    }

    private static AddressListFormat FormatOf(FileInfo file) => file.Extension.ToLowerInvariant() switch
    {
        ".csv" => AddressListFormat.Csv,
        ".ndjson" or ".jsonl" => AddressListFormat.NdJson,
        _ => AddressListFormat.Text,
    };
}
