using System.IO.Compression;
using System.Text;
using ConsentLedger.Pages;

namespace ConsentLedger.PersonalData;

/// <summary>
/// An export as a zip: a page that a person reads and prints, the same as JSON for programs, and a CSV file of each kind
/// of record for spreadsheets.
/// </summary>
public sealed class ExportArchive(IServiceProvider services, ILoggerFactory logs)
{
    private const int FlushAt = 64 * 1024;

    /// <summary>Writes the zip. One that was cut short has no directory at its end, and no program opens it.</summary>
    public async Task WriteAsync(PersonalExport.Snapshot snapshot, PageTexts texts, Stream output, CancellationToken cancellation)
    {
        await using var zip = await ZipArchive.CreateAsync(output, ZipArchiveMode.Create, leaveOpen: true, entryNameEncoding: null, cancellation);
        await using (var page = await AddAsync(texts["export.file"]))
        {
            await new ExportPageWriter(snapshot, texts, services, logs).WriteAsync(page, cancellation);
        }

        await using (var json = await AddAsync("data.json"))
        {
            await snapshot.WriteJsonAsync(json, cancellation);
        }

        foreach (var kind in snapshot.Records)
        {
            await using var csv = await AddAsync($"csv/{kind.Name}.csv");
            await WriteCsvAsync(snapshot, kind, csv, cancellation);
        }

        Task<Stream> AddAsync(string name)
        {
            var entry = zip.CreateEntry(name, CompressionLevel.Fastest);
            entry.LastWriteTime = snapshot.At;
            return entry.OpenAsync(cancellation);
        }
    }

    private static async Task WriteCsvAsync(PersonalExport.Snapshot snapshot, IPersonalRecords kind, Stream output, CancellationToken cancellation)
    {
        var csv = new StringBuilder(SafeCsv.Start);
        SafeCsv.AppendLine(csv, kind.Fields);
        await foreach (var record in snapshot.ReadJsonAsync(kind, cancellation))
        {
            SafeCsv.AppendLine(csv, kind.Fields.Select(field => SafeCsv.ValueAt(record, field)));
            if (csv.Length > FlushAt)
            {
                await FlushAsync();
            }
        }

        await FlushAsync();

        async Task FlushAsync()
        {
            await output.WriteAsync(Encoding.UTF8.GetBytes(csv.ToString()), cancellation);
            csv.Clear();
        }
    }
}
