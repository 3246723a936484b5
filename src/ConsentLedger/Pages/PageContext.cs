using ConsentLedger.Security;

namespace ConsentLedger.Pages;

/// <summary>What every page knows of the request it answers.</summary>
public sealed class PageContext
{
    private readonly HttpContext context;
    private readonly string basePath;
    private readonly SiteAssets assets;

    internal PageContext(HttpContext context)
    {
        this.context = context;
        var services = context.RequestServices;
        Organisation = services.GetRequiredService<Organisation>();
        assets = services.GetRequiredService<SiteAssets>();
        basePath = new Uri(services.GetRequiredService<PublicUrl>().Link("/")).AbsolutePath.TrimEnd('/');
        Texts = PageTexts.For(context.Request);
    }

    /// <summary>Whose service this is.</summary>
    public Organisation Organisation { get; }

    /// <summary>What it is called in a sentence; where no name is set, that of the service.</summary>
    public string OrganisationName => Organisation.Name ?? "ConsentLedger";

    /// <summary>The words, in the language asked for.</summary>
    public PageTexts Texts { get; }

    /// <summary>True if the page answers a GET or HEAD, so that a link leads to it again.</summary>
    public bool IsGet => HttpMethods.IsGet(context.Request.Method) || HttpMethods.IsHead(context.Request.Method);

    /// <summary>The path of another page, which keeps the language if it was chosen by hand.</summary>
    public string Link(string path) => basePath + path + (context.Request.Query.ContainsKey("lang") ? $"?lang={Texts.Language}" : string.Empty);

    /// <summary>The path of something in <see cref="SiteAssets"/>.</summary>
    public string Asset(string name) => basePath + assets.PathOf(name);

    /// <summary>This page in another language, relative to where it is.</summary>
    public static string InLanguage(PageTexts texts) => $"?lang={texts.Language}";
}
