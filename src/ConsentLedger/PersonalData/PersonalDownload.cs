using ConsentLedger.Pages;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.PersonalData;

/// <summary>
/// Everything that is held about a person, for themself (FACTS 35): the same zip that the organisation would send, without
/// asking anybody for it.
/// </summary>
internal sealed class PersonalDownload(PersonalExport exports, ExportArchive archive, AuditTrail audit)
{
    /// <summary>
    /// Opens a snapshot to send. That it was asked for is on record before the first byte, with the request that it answers,
    /// if there is one.
    /// </summary>
    public async Task<StreamedExport> OpenAsync(
        SubscriberId subscriber, Address address, PageTexts texts, Actor by, CancellationToken cancellation, Guid? request = null)
    {
        var entry = new AuditEntry(AuditAction.SubscriberExported) { SubscriberId = subscriber.Value, Target = request?.ToString("D") };
        await audit.WriteAsync(by, entry, cancellation);
        return new StreamedExport(await exports.OpenAsync(address, cancellation), archive, texts);
    }
}
