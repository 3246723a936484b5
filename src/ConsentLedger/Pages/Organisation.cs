using ConsentLedger.Database;

namespace ConsentLedger.Pages;

/// <summary>Whose service this is, as its pages show it.</summary>
/// <param name="Name">From <c>ConsentLedger:Controller:Name</c>; null until it is set, and then nothing is made up.</param>
/// <param name="Accent">From <c>ConsentLedger:Brand:Colour</c>, <c>#rrggbb</c>.</param>
/// <param name="Logo">From <c>ConsentLedger:Brand:Logo</c>: a file, absolute or in the data directory; null for none.</param>
public sealed record Organisation(string? Name, Accent Accent, Logo? Logo)
{
    private const string DefaultColour = "#1f5c63";

    /// <summary>Reads the settings; a wrong one stops the start.</summary>
    public static Organisation Read(IConfiguration configuration)
    {
        var settings = configuration.GetSection("ConsentLedger");
        var colour = settings["Brand:Colour"] is { Length: > 0 } given ? given : DefaultColour;
        if (!Accent.TryParse(colour, out var accent))
        {
            throw new StartupException("ConsentLedger:Brand:Colour is not a colour: write it as #rrggbb.");
        }

        var name = settings["Controller:Name"]?.Trim();
        var logo = settings["Brand:Logo"] is { Length: > 0 } file ? Logo.Read(file, settings["DataDirectory"] ?? "data") : null;
        return new Organisation(string.IsNullOrEmpty(name) ? null : name, accent, logo);
    }
}

/// <summary>The organisation's logo, kept in memory and served from the service's own origin.</summary>
/// <param name="Content">The file.</param>
/// <param name="ContentType">By its ending: SVG, PNG, JPEG or WebP.</param>
public sealed record Logo(ReadOnlyMemory<byte> Content, string ContentType)
{
    private const int MaxLength = 512 * 1024;

    internal static Logo Read(string file, string dataDirectory)
    {
        var path = Path.Combine(dataDirectory, file);
        var type = Path.GetExtension(path).ToUpperInvariant() switch
        {
            ".SVG" => "image/svg+xml",
            ".PNG" => "image/png",
            ".JPG" or ".JPEG" => "image/jpeg",
            ".WEBP" => "image/webp",
            _ => throw new StartupException("ConsentLedger:Brand:Logo is not an .svg, .png, .jpg or .webp file."),
        };
        try
        {
            var content = File.ReadAllBytes(path);
            return content.Length <= MaxLength
                ? new Logo(content, type)
                : throw new StartupException($"ConsentLedger:Brand:Logo is larger than {MaxLength / 1024} KiB.");
        }
        catch (Exception unreadable) when (unreadable is IOException or UnauthorizedAccessException)
        {
            throw new StartupException($"ConsentLedger:Brand:Logo can't be read: {path}", unreadable);
        }
    }
}
