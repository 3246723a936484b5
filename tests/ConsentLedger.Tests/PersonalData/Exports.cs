using System.IO.Compression;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using ConsentLedger.PersonalData;
using ConsentLedger.Retention;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Retention;
using Microsoft.Extensions.DependencyInjection;

namespace ConsentLedger.Tests.PersonalData;

/// <summary>Asks for what is held, and reads what comes.</summary>
internal static class Exports
{
    public static Task<JsonNode> ExportAsync(this TestService service, string address) =>
        service.PostAsync("/v1/subscribers/export", new JsonObject { ["address"] = address, ["format"] = "json" }).ReadAsync();

    /// <summary>One file of the zip, as text.</summary>
    public static async Task<string> ReadZipAsync(this TestService service, string address, string file, string language = "en")
    {
        var answer = await service.PostAsync("/v1/subscribers/export", new JsonObject { ["address"] = address, ["format"] = "zip" }, null, ("Accept-Language", language));
        answer.StatusCode.ShouldBe(HttpStatusCode.OK);
        using var zip = new ZipArchive(await answer.Content.ReadAsStreamAsync(TestContext.Current.CancellationToken));
        using var reader = new StreamReader(zip.GetEntry(file).ShouldNotBeNull($"No {file}: {string.Join(' ', zip.Entries.Select(entry => entry.FullName))}").Open(), new UTF8Encoding(false), detectEncodingFromByteOrderMarks: false);
        return await reader.ReadToEndAsync(TestContext.Current.CancellationToken);
    }

    /// <summary>Every kind of record that the service says it keeps.</summary>
    public static IReadOnlyList<IPersonalRecords> Kinds(this TestService service) => [.. service.Services.GetServices<IPersonalRecords>()];

    /// <summary>Purges what is due; the service's own worker may be the one that does it.</summary>
    public static async Task PurgeNowAsync(this TestService service)
    {
        var run = await service.Services.GetRequiredService<RetentionRunner>().RunAsync(Actor.Service, PurgeTrigger.Cli, false, null, TestContext.Current.CancellationToken);
        (await service.DoneAsync(run.Id.ToString())).Text("status").ShouldBe("completed");
    }
}
