using System.ComponentModel.DataAnnotations;
using System.Net.Mime;
using System.Text.Json.Serialization;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Pages;
using ConsentLedger.PersonalData;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Microsoft.AspNetCore.Http.HttpResults;

namespace ConsentLedger.SubjectRights;

/// <summary><c>POST /v1/subscribers/export</c>: everything that is held about an address (FACTS 35).</summary>
public static class ExportSubscriber
{
    /// <summary>Maps the route.</summary>
    public static void MapExport(this IEndpointRouteBuilder app) =>
        app.MapPost("/v1/subscribers/export", HandleAsync)
            .RequireScope(Scope.SubscribersExport)
            .Refuses(ProblemType.PurposeNotPermitted)
            .Produces<ExportAnswer>(StatusCodes.Status200OK, MediaTypeNames.Application.Json, MediaTypeNames.Application.Zip)
            .WithExample(new ExportRequest { Address = "ada@example.org", Format = ExportFormat.Json }, Example)
            .WithName("ExportSubscriber").WithTags("Subject rights").WithSummary("Exports everything that is held about an address");

    /// <summary>Whose data to export, and how.</summary>
    public sealed record ExportRequest
    {
        /// <summary>The address. Of one that nothing is known of, the export says so.</summary>
        [Required, MaxLength(Subscribers.Address.MaxLength)]
        public string? Address { get; init; }

        /// <summary>How; a zip if left out.</summary>
        public ExportFormat? Format { get; init; }

        /// <summary>The language of the page in the zip, <c>en</c> or <c>cy</c>; by Accept-Language if left out.</summary>
        [MaxLength(8)]
        public string? Language { get; init; }
    }

    /// <summary>What an export is.</summary>
    [JsonConverter(typeof(LabelJsonConverter<ExportFormat>))]
    public enum ExportFormat
    {
        /// <summary>A page to read and print, JSON, and a CSV file for each kind of record.</summary>
        Zip,

        /// <summary>JSON alone.</summary>
        Json,
    }

    /// <summary>An export as JSON. Beside these it has a list for each other kind of record that is kept: mails, forms, deletions.</summary>
    /// <param name="SubscriberId">The holder of the address.</param>
    /// <param name="Address">The address that was asked about.</param>
    /// <param name="ExportedAt">The moment it tells of.</param>
    /// <param name="NothingHeld">True if nothing is held about the address; every list is empty then.</param>
    /// <param name="Purposes">The purposes that anything is recorded for: why, on what basis, who receives it, how long it is kept.</param>
    /// <param name="Addresses">The address as it was first given.</param>
    /// <param name="States">How the person stands now.</param>
    /// <param name="Events">What happened, newest first, with the wording that was shown and the evidence.</param>
    public sealed record ExportAnswer(
        SubscriberId SubscriberId, string Address, DateTimeOffset ExportedAt, bool NothingHeld, IReadOnlyList<ExportedPurpose> Purposes,
        IReadOnlyList<AddressRecord> Addresses, IReadOnlyList<StateView> States, IReadOnlyList<EventView> Events);

    /// <summary>
    /// Whatever can be refused is refused before the first byte. An address that nothing is known of takes the same way and
    /// is answered in the same form. That it was asked is on record before the first byte.
    /// </summary>
    private static async Task<Results<StreamedExport, Problem>> HandleAsync(
        ExportRequest request, HttpContext context, SubscriberIds subscribers, PersonalExport exports, ExportArchive archive, AuditTrail audit, CancellationToken cancellation)
    {
        var errors = new InputErrors();
        var address = errors.RequireAddress("address", request.Address);
        var texts = request.Language is { } language ? PageTexts.All.GetValueOrDefault(language) : PageTexts.For(context.Request);
        if (texts is null)
        {
            errors.Add("language", $"This is one of: {string.Join(", ", PageTexts.All.Keys.Order(StringComparer.Ordinal))}.");
        }

        if (errors.Any)
        {
            return errors.ToProblem();
        }

        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        await audit.WriteAsync(
            context.Actor(), new AuditEntry(AuditAction.SubscriberExported) { SubscriberId = subscribers.Of(address!).Value }, cancellation);
        var snapshot = await exports.OpenAsync(address!, cancellation);
        return new StreamedExport(snapshot, archive, request.Format == ExportFormat.Json ? null : texts);
    }

    private static readonly ExportAnswer Example = new(
        SubscriberId.Parse("6f1c2a94-0d3b-5e77-a1c8-9b20f4d5e613", null), "ada@example.org", new DateTimeOffset(2026, 11, 22, 9, 30, 0, TimeSpan.Zero),
        NothingHeld: false, Purposes: [], [new AddressRecord("ada@example.org", new DateTimeOffset(2026, 5, 2, 10, 15, 0, TimeSpan.Zero))], States: [], Events: []);
}
