using ConsentLedger.Pages;
using ConsentLedger.PersonalData;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Preferences;

/// <summary>
/// Everything that is held about a person, for themself (FACTS 35): the same zip that the organisation would send, without
/// asking anybody for it.
/// </summary>
internal sealed class PersonalDownload(PersonalExport exports, ExportArchive archive, AuditTrail audit)
{
    /// <summary>Opens a snapshot to send. That it was asked for is on record before the first byte.</summary>
    public async Task<StreamedExport> OpenAsync(SubscriberId subscriber, Address address, PageTexts texts, Actor by, CancellationToken cancellation)
    {
        await audit.WriteAsync(by, new AuditEntry(AuditAction.SubscriberExported) { SubscriberId = subscriber.Value }, cancellation);
        return new StreamedExport(await exports.OpenAsync(address, cancellation), archive, texts);
    }
}
