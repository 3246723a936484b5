using System.Globalization;
using System.Text.Json;
using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Pages;
using ConsentLedger.Purposes;

namespace ConsentLedger.PersonalData;

/// <summary>Says what is in the records in the words of one language.</summary>
public sealed class ExportWords
{
    private readonly CultureInfo culture;
    private readonly Dictionary<string, string> purposes;
    private readonly HashSet<string> known;

    /// <summary>Words in this language, about these purposes.</summary>
    public ExportWords(PageTexts texts, IEnumerable<Purpose> purposes)
    {
        T = texts;
        culture = CultureInfo.GetCultureInfo(texts.Language);
        known = [.. texts.Keys];
        this.purposes = purposes.ToDictionary(purpose => purpose.Key, purpose => purpose.Name);
    }

    /// <summary>The language's texts.</summary>
    public PageTexts T { get; }

    /// <summary>What a purpose is called.</summary>
    public string Purpose(string key) => key == PurposeKey.All ? T["export.everything"] : purposes.GetValueOrDefault(key, key);

    /// <summary>What happened, or how somebody stands.</summary>
    public string Kind(EventKind kind) => T[$"export.kind.{Label<EventKind>.Of(kind)}"];

    /// <summary>What makes it lawful.</summary>
    public string Basis(LawfulBasis basis) => T[$"export.basis.{Label<LawfulBasis>.Of(basis)}"];

    /// <summary>Where it came from.</summary>
    public string Source(SourceKind source) => T[$"export.source.{Label<SourceKind>.Of(source)}"];

    /// <summary>A day and a time, in UTC.</summary>
    public string Time(DateTimeOffset time) => T.Time(time);

    /// <summary>A length of time.</summary>
    public string Period(Period period) => string.Join(' ', new[] { Part("month", period.Months), Part("day", period.Days) }.Where(part => part.Length > 0));

    /// <summary>What a kind of record is called; by its name where nobody has found words for it.</summary>
    public string Section(IPersonalRecords kind) => Known($"export.section.{kind.Name}") ?? kind.Name;

    /// <summary>What a field of a record is called, likewise.</summary>
    public string Field(string path) => Known($"export.field.{path}") ?? path;

    /// <summary>The value of a record's field, for a person.</summary>
    public string Value(JsonElement record, string path)
    {
        var value = SafeCsv.ValueAt(record, path);
        return path switch
        {
            "purpose" => Purpose(value),
            "kind" or "status" or "rule" => Known($"export.kind.{value}") ?? Known($"export.{path}.{value}") ?? value,
            _ => Instant.TryParse(value, out var time) ? Time(time) : value,
        };
    }

    /// <summary>Evidence as names and values, those that nest with a dot between.</summary>
    public IEnumerable<(string Name, string Value)> Details(IReadOnlyDictionary<string, object?>? members, string prefix = "")
    {
        foreach (var (name, value) in members ?? new Dictionary<string, object?>())
        {
            if (value is IReadOnlyDictionary<string, object?> nested)
            {
                foreach (var inner in Details(nested, $"{prefix}{name}."))
                {
                    yield return inner;
                }
            }
            else if (value is not null)
            {
                yield return (Known($"export.evidence.{prefix}{name}") ?? prefix + name, Convert.ToString(value, CultureInfo.InvariantCulture)!);
            }
        }
    }

    private string? Known(string key) => known.Contains(key) ? T[key] : null;

    private string Part(string unit, int count) =>
        count == 0 ? string.Empty : T.With($"export.{(count == 1 ? unit : unit + "s")}", ("count", count.ToString(CultureInfo.InvariantCulture)));
}
