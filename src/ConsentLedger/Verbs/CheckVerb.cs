using System.CommandLine;
using System.Globalization;
using ConsentLedger.Checks;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;
using Sylvan.Data.Csv;

namespace ConsentLedger.Verbs;

/// <summary><c>check FILE</c>: which addresses of a list may be written to, for people without code.</summary>
internal static class CheckVerb
{
    private const int ChunkSize = 5_000;

    public static Command Command()
    {
        var file = new Argument<FileInfo>("file") { Description = "A text file with an address a line, or a .csv file with a column 'address'." };
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
        await using var services = installation.Services(services => services.AddChecks());
        var checker = new ListChecker(
            services.GetRequiredService<CheckReader>(),
            services.GetRequiredService<SubscriberIds>(),
            services.GetRequiredService<UnsubscribeLinks>(),
            PurposeKey.TryParse(purposeKey, null, out var key) ? key : throw new StartupException(PurposeKey.Rule),
            all);

        // Written beside its place and moved there at the end: a list that was cut short never looks like a whole one.
        var unfinished = output is null ? null : $"{output.FullName}.unfinished";
        using var progress = new Progress("checked");
        await using (var writer = unfinished is null ? new StreamWriter(Console.OpenStandardOutput()) : new StreamWriter(unfinished))
        {
            await writer.WriteLineAsync(all ? "address,allowed,reason,unsubscribeUrl" : "address,unsubscribeUrl");
            foreach (var chunk in ReadAddresses(file).Chunk(ChunkSize))
            {
                await checker.CheckAsync(chunk, writer, cancellation);
                progress.Report(checker.Received);
            }
        }

        progress.Dispose();
        if (unfinished is not null)
        {
            File.Move(unfinished, output!.FullName, overwrite: true);
        }

        await Console.Error.WriteLineAsync(string.Create(
            CultureInfo.InvariantCulture,
            $"{checker.Received} addresses: {checker.Allowed} may be written to for {purposeKey}, {checker.Received - checker.Allowed} may not."));
        return 0;
    }

    private static IEnumerable<string> ReadAddresses(FileInfo file)
    {
        if (!file.Extension.Equals(".csv", StringComparison.OrdinalIgnoreCase))
        {
            return File.ReadLines(file.FullName).Select(line => line.Trim()).Where(line => line.Length > 0);
        }

        return ReadColumn(file);
    }

    private static IEnumerable<string> ReadColumn(FileInfo file)
    {
        using var csv = CsvDataReader.Create(file.FullName);
        var column = Enumerable.Range(0, csv.FieldCount).FirstOrDefault(column => csv.GetName(column).Equals("address", StringComparison.OrdinalIgnoreCase), -1);
        if (column < 0)
        {
            throw new StartupException($"{file.FullName} has no column 'address'.");
        }

        while (csv.Read())
        {
            if (csv.GetString(column) is { Length: > 0 } address)
            {
                yield return address;
            }
        }
    }

    /// <summary>Checks chunk by chunk and writes what was found.</summary>
    private sealed class ListChecker(CheckReader reader, SubscriberIds subscribers, UnsubscribeLinks links, PurposeKey purposeKey, bool all)
    {
        public long Received { get; private set; }

        public long Allowed { get; private set; }

        public async Task CheckAsync(string[] given, StreamWriter writer, CancellationToken cancellation)
        {
            var addresses = Array.ConvertAll(given, text => Address.TryParse(text, out var address, out _) ? address : null);
            var ids = Array.ConvertAll(addresses, address => address is null ? default : subscribers.Of(address));
            var (purpose, states) = await reader.ReadManyAsync(purposeKey, ids, cancellation);
            if (purpose is null)
            {
                throw new StartupException($"There is no purpose {purposeKey}.");
            }

            var now = Instant.Of(TimeProvider.System.GetUtcNow());
            for (var i = 0; i < given.Length; i++)
            {
                var decision = addresses[i]?.Fits(purpose.Channel) == true ? states[i].Decide(purpose, now) : Decision.Deny(CheckReason.InvalidAddress);
                var url = decision.Allowed && purpose.Channel == Channel.Email ? links.UrlFor(purpose.Id, ids[i]) : string.Empty;
                if (all)
                {
                    await writer.WriteLineAsync($"{Quote(given[i])},{(decision.Allowed ? "true" : "false")},{Label<CheckReason>.Of(decision.Reason)},{url}");
                }
                else if (decision.Allowed)
                {
                    await writer.WriteLineAsync($"{Quote(given[i])},{url}");
                }

                Allowed += decision.Allowed ? 1 : 0;
            }

            Received += given.Length;
        }

        private static string Quote(string text) =>
            text.AsSpan().IndexOfAny(",\"\r\n") < 0 ? text : $"\"{text.Replace("\"", "\"\"", StringComparison.Ordinal)}\"";
    }
}
