using Microsoft.AspNetCore.Http.Features;

namespace ConsentLedger.Pages;

/// <summary>
/// Reads the forms of pages that ask little. There is no anti-forgery token: what such a form may do, the token in
/// its address allows, and there is no session that another site could use.
/// </summary>
public static class PageForm
{
    /// <summary>The longest body that is read, in bytes: a form of few fields, with all that multipart puts around them.</summary>
    public const int MaxBody = 4096;

    /// <summary>What the button of a page sends.</summary>
    public static readonly FormField Pressed = new("confirm", "1");

    /// <summary>
    /// The one field of a form, urlencoded or multipart; null for a body of any other kind, with more, with less or
    /// with a file. A body that is too long ends in 413.
    /// </summary>
    public static async Task<FormField?> ReadOnlyFieldAsync(HttpRequest request, CancellationToken cancellation) =>
        await ReadFieldsAsync(request, cancellation) is { Count: 1 } fields && fields.Single() is var field ? new FormField(field.Key, field.Value) : null;

    /// <summary>
    /// The fields of a form, urlencoded or multipart, by their exact names; null for a body of any other kind, with a file or
    /// with a field twice. A body that is too long ends in 413.
    /// </summary>
    public static async Task<IReadOnlyDictionary<string, string>?> ReadFieldsAsync(HttpRequest request, CancellationToken cancellation)
    {
        if (request.HttpContext.Features.Get<IHttpMaxRequestBodySizeFeature>() is { IsReadOnly: false } limit)
        {
            limit.MaxRequestBodySize = MaxBody;
        }

        if (!request.HasFormContentType)
        {
            return null;
        }

        try
        {
            var form = await request.ReadFormAsync(cancellation);
            return form.Files.Count == 0 && form.All(field => field.Value is [not null])
                ? form.ToDictionary(field => field.Key, field => field.Value[0]!, StringComparer.Ordinal)
                : null;
        }
        catch (InvalidDataException)
        {
            return null;
        }
        catch (IOException broken) when (broken is not BadHttpRequestException)
        {
            // A multipart body that ends before its last boundary.
            return null;
        }
    }
}

/// <summary>A field of a form, as it was sent.</summary>
/// <param name="Name">Exactly, capitals and all.</param>
/// <param name="Value">Exactly.</param>
public readonly record struct FormField(string Name, string Value);
