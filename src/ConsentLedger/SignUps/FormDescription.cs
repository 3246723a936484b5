using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text.Json;
using ConsentLedger.Choices;
using ConsentLedger.Pages;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using Microsoft.Extensions.Options;
using Microsoft.Net.Http.Headers;

namespace ConsentLedger.SignUps;

/// <summary>
/// All that a form shows, in one language, for a page elsewhere to show it the same: <c>GET /signup/{form}</c> with
/// <c>Accept: application/json</c>. Nothing in it is about anybody.
/// </summary>
/// <param name="Form">The form's key.</param>
/// <param name="Language">The language all of this is in.</param>
/// <param name="Organisation">Who asks.</param>
/// <param name="Url">Where it is posted to, and where it stands as a page.</param>
/// <param name="Challenge">True if <c>{url}/challenge</c> has to be solved before it is posted.</param>
/// <param name="Purposes">What can be chosen.</param>
/// <param name="Fields">What is asked beside the address.</param>
/// <param name="MinimumAge">The highest of the purposes' ages; null where none has one, and then age is not asked.</param>
/// <param name="Texts">Labels, messages and what to say to a mistake, by name.</param>
public sealed record FormDescription(
    string Form, string Language, string Organisation, string Url, bool Challenge, IReadOnlyList<FormDescription.OfferedPurpose> Purposes,
    IReadOnlyList<FormDescription.AskedField> Fields, int? MinimumAge, IReadOnlyDictionary<string, string> Texts)
{
    /// <summary>
    /// A minute: a new wording is shown almost at once, and a page that shows the old one for that long says so with the
    /// version it posts.
    /// </summary>
    private const string Caching = "public, max-age=60";

    /// <summary>A purpose that can be chosen.</summary>
    /// <param name="Key">Goes back in <c>purposes</c>.</param>
    /// <param name="Name">What it is called.</param>
    /// <param name="Description">What it is, or null.</param>
    /// <param name="MinimumAge">The age from which people consent to it alone; null for none.</param>
    /// <param name="Notice">What is agreed to; null if nothing was published.</param>
    public sealed record OfferedPurpose(string Key, string Name, string? Description, int? MinimumAge, Wording? Notice);

    /// <summary>The wording to show as it is.</summary>
    /// <param name="Version">Goes back as <c>notice-{purpose}</c>, so that the evidence names what was shown.</param>
    /// <param name="Language">The language it is in, which may be another than the form's.</param>
    /// <param name="Statement">The words.</param>
    /// <param name="PrivacyNoticeUrl">Where more is said, or null.</param>
    public sealed record Wording(int Version, string Language, string Statement, string? PrivacyNoticeUrl);

    /// <summary>Something asked beside the address.</summary>
    /// <param name="Name">What it goes back as.</param>
    /// <param name="Label">What to call it.</param>
    /// <param name="Autocomplete">What browsers call it, so that they can fill it in (WCAG 2.2, 1.3.5), or null.</param>
    public sealed record AskedField(string Name, string Label, string? Autocomplete);

    internal static FormDescription Of(Form form, IReadOnlyList<Offer> offers, PageTexts texts, Organisation organisation, PublicUrl publicUrl)
    {
        var age = offers.Max(offer => AgeOf(offer.Purpose));
        (string, string)[] values = [("organisation", organisation.Name ?? publicUrl.Host), ("age", $"{age}")];
        return new FormDescription(
            form.Key,
            texts.Language,
            organisation.Name ?? publicUrl.Host,
            publicUrl.Link($"/signup/{form.Key}"),
            form.Challenge,
            [.. offers.Select(offer => new OfferedPurpose(offer.Purpose.Key, offer.Purpose.Name, offer.Purpose.Description, AgeOf(offer.Purpose), WordingOf(offer)))],
            [.. form.Fields.Select(field => new AskedField(field, ExtraField.Label(field, texts), ExtraField.Autocomplete(field)))],
            age,
            TextKeys.ToDictionary(text => text.Name, text => texts.With(text.Key, values), StringComparer.Ordinal));
    }

    /// <summary>The answer, under a tag of its own content.</summary>
    internal IResult ToResult(HttpContext context)
    {
        var options = context.RequestServices.GetRequiredService<IOptions<Microsoft.AspNetCore.Http.Json.JsonOptions>>().Value.SerializerOptions;
        var json = JsonSerializer.SerializeToUtf8Bytes(this, options);
        context.Response.Headers.CacheControl = Caching;
        context.Response.Headers.ContentLanguage = Language;
        return TypedResults.Bytes(json, "application/json; charset=utf-8", entityTag: new EntityTagHeaderValue($"\"{Base64Url.EncodeToString(SHA256.HashData(json).AsSpan(0, 9))}\""));
    }

    private static readonly (string Name, string Key)[] TextKeys =
    [
        ("choose", "signup.choose"), ("address", "signup.address"), ("privacy", "signup.privacy"), ("button", "signup.button"),
        ("next", "signup.next"), ("age", "signup.age"), ("over", "signup.age.over"), ("under", "signup.age.under"),
        ("guardian", "signup.guardian"), ("trap", "signup.trap"), ("working", "signup.working"), ("sent", "checkmail.title"),
        ("sentText", "checkmail.text"), ("late", "checkmail.late"), ("busy", "error.busy.text"), ("failed", "signup.failed"),
        ("page", "signup.page"), ("errorAddress", "signup.error.address"), ("errorPurposes", "signup.error.purposes"),
        ("errorAge", "signup.error.age"), ("errorGuardian", "signup.error.guardian"), ("errorOther", "signup.error.other"),
    ];

    private static int? AgeOf(Purpose purpose) => purpose.MinimumAge is > 0 ? purpose.MinimumAge : null;

    private static Wording? WordingOf(Offer offer) =>
        offer.Notice is { } notice ? new Wording(notice.Version, notice.Language, notice.Statement, notice.PrivacyNoticeUrl) : null;
}

/// <summary>What a form asks beside the address: any name will do, and some are known.</summary>
internal static class ExtraField
{
    /// <summary>What people are asked for; the name itself where there is no better text.</summary>
    public static string Label(string name, PageTexts texts) => texts.Keys.Contains($"field.{name}") ? texts[$"field.{name}"] : name;

    /// <summary>The token by which browsers know what to fill in, for the names that mean one.</summary>
    public static string? Autocomplete(string name) => name switch
    {
        "name" => "name",
        "firstName" => "given-name",
        "lastName" => "family-name",
        "postcode" => "postal-code",
        _ => null,
    };
}
