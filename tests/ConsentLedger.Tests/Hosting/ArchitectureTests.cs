using System.Text.RegularExpressions;
using ArchUnitNET.Domain;
using ArchUnitNET.Loader;
using ConsentLedger.Hosting;

namespace ConsentLedger.Tests.Hosting;

/// <summary>DESIGN "Layout": dependencies run strictly downward and never in a circle.</summary>
public sealed partial class ArchitectureTests
{
    /// <summary>
    /// The layers, lowest first; a folder that is not named here is a feature. What is on one line does not refer to each
    /// other. Http is the leaf that features and the routes of Purposes use, and knows nothing of the ledger.
    /// </summary>
    private static readonly string[][] Below = [["Database"], ["Security"], ["Subscribers"], ["Http"], ["Purposes"], ["Ledger"], ["Pages"], ["Mail"], ["Choices"], ["PersonalData"]];

    private static readonly string[][] Above = [["Hosting"], ["Verbs"], ["Program"]];

    private static readonly Lazy<Architecture> Service = new(() => new ArchLoader().LoadAssembly(typeof(LedgerService).Assembly).Build());

    [Fact]
    public void Dependencies_run_strictly_downward()
    {
        var upward = Dependencies().Where(edge => Rank(edge.To) >= Rank(edge.From))
            .Select(edge => $"{edge.From} -> {edge.To}, as in {edge.Example}").Order(StringComparer.Ordinal).ToList();
        upward.ShouldBeEmpty(string.Join('\n', upward));
    }

    [Fact]
    public void Features_do_not_refer_to_each_other()
    {
        // Said on its own because it is the rule people break: what two features need moves down.
        var between = Dependencies().Where(edge => IsFeature(edge.From) && IsFeature(edge.To)).Select(edge => edge.Example).ToList();
        between.ShouldBeEmpty(string.Join('\n', between));
        Dependencies().Select(edge => edge.From).Where(IsFeature).ShouldContain("Checks");
    }

    [Fact]
    public void The_search_sees_what_there_is()
    {
        var edges = Dependencies().Select(edge => $"{edge.From} -> {edge.To}").ToHashSet();
        foreach (var edge in new[] { "Ledger -> Purposes", "Ledger -> Database", "Checks -> Ledger", "Purposes -> Http", "Hosting -> Checks", "Verbs -> Hosting" })
        {
            edges.ShouldContain(edge);
        }
    }

    [Fact]
    public void The_clock_and_chance_come_from_where_a_test_can_hold_them()
    {
        var found =
            from file in Repository.SourceFiles()
            from line in File.ReadLines(file).Index()
            where Ambient().IsMatch(line.Item) && !line.Item.TrimStart().StartsWith("///", StringComparison.Ordinal)
            select $"{Path.GetRelativePath(Repository.Root, file)}:{line.Index + 1}: {line.Item.Trim()}";
        found.ShouldBeEmpty();
        Ambient().IsMatch("var now = DateTimeOffset.UtcNow;").ShouldBeTrue();
    }

    private static IEnumerable<(string From, string To, string Example)> Dependencies() =>
        from type in Service.Value.Types
        let @from = Folder(type)
        where @from is not null
        from dependency in type.Dependencies
        let to = Folder(dependency.Target)
        where to is not null && to != @from
        group $"{type.FullName} -> {dependency.Target.FullName}" by (From: @from, To: to) into edge
        select (edge.Key.From, edge.Key.To, edge.First());

    private static string? Folder(IType type) =>
        type.Namespace?.FullName.Split('.') is ["ConsentLedger", var folder, ..] ? folder
        : type.FullName.Split('/', '+')[0] == "Program" ? "Program"
        : null;

    private static bool IsFeature(string folder) => Rank(folder) == Below.Length;

    private static int Rank(string folder)
    {
        var below = Array.FindIndex(Below, layer => layer.Contains(folder));
        var above = Array.FindIndex(Above, layer => layer.Contains(folder));
        return below >= 0 ? below : above >= 0 ? Below.Length + 1 + above : Below.Length;
    }

    [GeneratedRegex(@"\bDateTime(Offset)?\.(UtcNow|Now|Today)\b|\bnew Random\b|\bRandom\.Shared\b|CreateVersion7\(\)|\bStopwatch\.")]
    private static partial Regex Ambient();
}
