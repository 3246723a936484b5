using ConsentLedger.Purposes;

namespace ConsentLedger.Choices;

/// <summary>A purpose as a page offers it, with what people are shown and agree to.</summary>
/// <param name="Purpose">The purpose.</param>
/// <param name="Notice">The wording; null if nothing was published.</param>
public sealed record Offer(Purpose Purpose, Notice? Notice);

/// <summary>One purpose that was chosen, and the version of the notice that was shown.</summary>
internal sealed record Choice(int Purpose, int? NoticeVersion);

/// <summary>Puts purposes and their notices together.</summary>
public sealed class OfferCatalogue(PurposeCatalogue purposes)
{
    /// <summary>
    /// These purposes, each with its newest notice in the first of these languages that it has one in, or in another if it has
    /// none in those.
    /// </summary>
    public async Task<IReadOnlyList<Offer>> NowAsync(IReadOnlyList<Purpose> offered, IReadOnlyList<string> languages, CancellationToken cancellation)
    {
        var notices = await purposes.FindNoticesAsync(
            offered.SelectMany(purpose => purpose.NoticeVersions.Select(version => (purpose.Id, version))), cancellation);
        return
        [
            .. offered.Select(purpose => new Offer(
                purpose,
                notices.Where(notice => notice.Key.Purpose == purpose.Id)
                    .Select(notice => notice.Value)
                    .OrderBy(notice => Rank(notice, languages))
                    .ThenByDescending(notice => notice.Version)
                    .FirstOrDefault())),
        ];
    }

    /// <summary>What was chosen, with the notices as they were shown then.</summary>
    internal async Task<IReadOnlyList<Offer>> AsChosenAsync(IReadOnlyList<Choice> choices, CancellationToken cancellation)
    {
        var all = await purposes.ListAsync(cancellation);
        var notices = await purposes.FindNoticesAsync(
            choices.SelectMany(choice => choice.NoticeVersion is { } shown ? [(new PurposeId(choice.Purpose), shown)] : Array.Empty<(PurposeId, int)>()), cancellation);
        return
        [
            .. from choice in choices
               let purpose = all.FirstOrDefault(purpose => purpose.Id.Value == choice.Purpose)
               where purpose is not null
               select new Offer(purpose, choice.NoticeVersion is { } version ? notices[(purpose.Id, version)] : null),
        ];
    }

    /// <summary>How far back in the list the notice's language stands; behind all of it if it is not there.</summary>
    private static int Rank(Notice notice, IReadOnlyList<string> languages)
    {
        var spoken = notice.Language.Split('-')[0];
        return languages.Index().Where(language => string.Equals(language.Item, spoken, StringComparison.OrdinalIgnoreCase))
            .Select(language => language.Index)
            .FirstOrDefault(languages.Count);
    }
}
