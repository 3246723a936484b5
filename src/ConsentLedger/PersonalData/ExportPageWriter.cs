using System.Text;
using System.Text.Json;
using ConsentLedger.Ledger;
using ConsentLedger.Pages;
using Microsoft.AspNetCore.Components;
using Microsoft.AspNetCore.Components.Web;

namespace ConsentLedger.PersonalData;

/// <summary>
/// Writes the page of an export. The frame is rendered whole and the records a few at a time into the middle of it, so
/// that a long history takes no more memory than a short one.
/// </summary>
internal sealed class ExportPageWriter(PersonalExport.Snapshot snapshot, PageTexts texts, IServiceProvider services, ILoggerFactory logs)
{
    /// <summary>Where in the frame the records go.</summary>
    public const string Records = "<!--records-->";

    private const int AtATime = 50;

    private readonly ExportWords words = new(texts, snapshot.Purposes);

    public async Task WriteAsync(Stream output, CancellationToken cancellation)
    {
        var states = new List<StateView>();
        await foreach (var state in snapshot.ReadAsync(Kind("states"), cancellation))
        {
            states.Add((StateView)state);
        }

        var frame = await RenderAsync<ExportPage>(new() { ["Snapshot"] = snapshot, ["Words"] = words, ["States"] = states });
        var middle = frame.IndexOf(Records, StringComparison.Ordinal);
        await WriteAsync(output, frame[..middle], cancellation);
        await WriteRecordsAsync<ExportEvents, EventView>(output, Kind("events"), record => (EventView)record, cancellation);
        foreach (var kind in snapshot.Records.Where(kind => kind.Name is not ("states" or "events")))
        {
            await WriteRecordsAsync<ExportTable, JsonElement>(
                output, kind, record => JsonSerializer.SerializeToElement(record, record.GetType(), PersonalExport.Json), cancellation);
        }

        await WriteAsync(output, frame[(middle + Records.Length)..], cancellation);
    }

    private IPersonalRecords Kind(string name) => snapshot.Records.Single(kind => kind.Name == name);

    private async Task WriteRecordsAsync<TComponent, TRecord>(
        Stream output, IPersonalRecords kind, Func<object, TRecord> shown, CancellationToken cancellation)
        where TComponent : IComponent
    {
        var part = new List<TRecord>(AtATime);
        var first = true;
        await foreach (var record in snapshot.ReadAsync(kind, cancellation))
        {
            part.Add(shown(record));
            if (part.Count == AtATime)
            {
                await FlushAsync();
            }
        }

        if (part.Count > 0)
        {
            await FlushAsync();
        }

        async Task FlushAsync()
        {
            await WriteAsync(output, await RenderAsync<TComponent>(new() { ["Words"] = words, ["Kind"] = kind, ["First"] = first, ["Records"] = part }), cancellation);
            part.Clear();
            first = false;
        }
    }

    private static Task WriteAsync(Stream output, string html, CancellationToken cancellation) =>
        output.WriteAsync(Encoding.UTF8.GetBytes(html), cancellation).AsTask();

    private async Task<string> RenderAsync<TComponent>(Dictionary<string, object?> parameters)
        where TComponent : IComponent
    {
        await using var renderer = new HtmlRenderer(services, logs);
        return await renderer.Dispatcher.InvokeAsync(async () =>
            (await renderer.RenderComponentAsync<TComponent>(ParameterView.FromDictionary(parameters))).ToHtmlString());
    }
}
