using System.Collections.Frozen;
using System.Globalization;
using System.Reflection;
using System.Text.Json;
using ConsentLedger.Http;

namespace ConsentLedger.Pages;

/// <summary>
/// The words of the pages in one language, from <c>Pages/Texts/{language}.json</c>. Another language is another file
/// there and nothing else; a test holds the files to the same keys.
/// </summary>
public sealed class PageTexts
{
    /// <summary>The language spoken where nothing else is asked for.</summary>
    public const string DefaultLanguage = "en";

    private readonly FrozenDictionary<string, string> texts;

    private PageTexts(string language, FrozenDictionary<string, string> texts)
    {
        Language = language;
        this.texts = texts;
    }

    /// <summary>Every language, by its code.</summary>
    public static FrozenDictionary<string, PageTexts> All { get; } = Load().ToFrozenDictionary(texts => texts.Language, StringComparer.OrdinalIgnoreCase);

    /// <summary>Its code (BCP 47): <c>en</c>, <c>cy</c>.</summary>
    public string Language { get; }

    /// <summary>What it calls itself: English, Cymraeg.</summary>
    public string Name => this["language"];

    /// <summary>Every key.</summary>
    public IEnumerable<string> Keys => texts.Keys;

    /// <summary>One text.</summary>
    public string this[string key] =>
        texts.GetValueOrDefault(key) ?? throw new ArgumentException($"There is no text {key} in {Language}.", nameof(key));

    /// <summary>One text, with what stands in braces in it replaced: <c>{purpose}</c>.</summary>
    public string With(string key, params ReadOnlySpan<(string Name, string Value)> values)
    {
        var text = this[key];
        foreach (var (name, value) in values)
        {
            text = text.Replace($"{{{name}}}", value, StringComparison.Ordinal);
        }

        return text;
    }

    /// <summary>A day in words: 22 November 2026. Of UTC, which is the ledger's.</summary>
    public string Day(DateTimeOffset time) => time.UtcDateTime.ToString("d MMMM yyyy", CultureInfo.GetCultureInfo(Language));

    /// <summary>A day and the time of it, in UTC, in the words of the language.</summary>
    public string Time(DateTimeOffset time) => time.UtcDateTime.ToString("d MMMM yyyy, HH:mm 'UTC'", CultureInfo.GetCultureInfo(Language));

    /// <summary>A problem's title. Its English is <see cref="ProblemType"/>'s own, which the API answers with.</summary>
    public string TitleOf(ProblemType problem) => texts.GetValueOrDefault($"problem.{problem.Slug}", problem.Title);

    /// <summary>A problem's explanation.</summary>
    public string ExplanationOf(ProblemType problem) => texts.GetValueOrDefault($"problem.{problem.Slug}.text", problem.Explanation);

    /// <summary>From here on this request is answered in this language, unless one was chosen by hand: that of a form.</summary>
    public static void Prefer(HttpContext context, string language) => context.Features.Set(new Preferred(All[language]));

    /// <summary>The language a request asks for: <c>?lang=</c>, else the one preferred for it, else the best of <c>Accept-Language</c>, else English.</summary>
    public static PageTexts For(HttpRequest request)
    {
        if (request.Query["lang"] is [{ } chosen] && All.TryGetValue(chosen, out var texts))
        {
            return texts;
        }

        if (request.HttpContext.Features.Get<Preferred>() is { } preferred)
        {
            return preferred.Texts;
        }

        return request.GetTypedHeaders().AcceptLanguage
            .Where(range => range.Quality is not 0)
            .OrderByDescending(range => range.Quality ?? 1)
            .Select(range => All.GetValueOrDefault(range.Value.Value?.Split('-')[0] ?? string.Empty))
            .FirstOrDefault(known => known is not null) ?? All[DefaultLanguage];
    }

    private sealed record Preferred(PageTexts Texts);

    private static IEnumerable<PageTexts> Load()
    {
        const string Folder = "texts/";
        var assembly = Assembly.GetExecutingAssembly();
        foreach (var name in assembly.GetManifestResourceNames().Where(name => name.StartsWith(Folder, StringComparison.Ordinal)))
        {
            using var stream = assembly.GetManifestResourceStream(name)!;
            var texts = JsonSerializer.Deserialize<Dictionary<string, string>>(stream)!;
            yield return new PageTexts(Path.GetFileNameWithoutExtension(name[Folder.Length..]), texts.ToFrozenDictionary(StringComparer.Ordinal));
        }
    }
}
