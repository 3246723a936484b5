using ConsentLedger.Choices;
using ConsentLedger.Database;
using ConsentLedger.Purposes;
using Dapper;
using Npgsql;

namespace ConsentLedger.SignUps;

/// <summary>Where people sign up: what for, from which sites, and what may be asked beside the address.</summary>
/// <param name="Key">The slug it is called by.</param>
/// <param name="Purposes">The keys of the purposes that can be chosen.</param>
/// <param name="Origins">The sites it may stand on: <c>https://museum.example</c>.</param>
/// <param name="ReturnUrls">Where people may be sent afterwards.</param>
/// <param name="Language">The language it speaks, and its mails.</param>
/// <param name="Fields">What is asked beside the address; nothing else is kept.</param>
/// <param name="Challenge">True if a browser has to work a little before a sign-up is taken.</param>
/// <param name="CreatedAt">When it was first put.</param>
/// <param name="UpdatedAt">When it last changed.</param>
public sealed record Form(
    string Key, string[] Purposes, string[] Origins, string[] ReturnUrls, string Language, string[] Fields, bool Challenge,
    DateTimeOffset CreatedAt, DateTimeOffset UpdatedAt);

/// <summary>The forms, read from the database each time: a change takes effect at once on every instance.</summary>
public sealed class FormCatalogue(NpgsqlDataSource database, PurposeCatalogue purposes, OfferCatalogue offers, TimeProvider clock)
{
    internal const string Columns = "key, purposes, origins, return_urls, language, fields, challenge, created_at, updated_at";

    /// <summary>The form with this key, or null.</summary>
    public async Task<Form?> FindAsync(string key, CancellationToken cancellation) =>
        PurposeKey.TryParse(key, null, out _)
            ? await DatabaseResilience.Repeatable.ExecuteAsync(
                async token =>
                {
                    await using var connection = await database.OpenConnectionAsync(token);
                    return await connection.QuerySingleOrDefaultAsync<Form>(new CommandDefinition(
                        $"select {Columns} from form where key = @key", new { key }, cancellationToken: token));
                },
                cancellation)
            : null;

    /// <summary>Every form, by key.</summary>
    public async Task<IReadOnlyList<Form>> ListAsync(CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        var forms = await connection.QueryAsync<Form>(new CommandDefinition($"select {Columns} from form order by key", cancellationToken: cancellation));
        return forms.AsList();
    }

    /// <summary>What a form offers now, in a language: its purposes that have not ended, each with its notice.</summary>
    public async Task<IReadOnlyList<Offer>> OffersAsync(Form form, string language, CancellationToken cancellation)
    {
        var now = clock.GetUtcNow();
        var all = await purposes.ListAsync(cancellation);
        var offered = form.Purposes.Select(key => all.Single(purpose => purpose.Key == key)).Where(purpose => !purpose.Terms.HasEnded(now)).ToList();
        return await offers.NowAsync(offered, [language, form.Language], cancellation);
    }
}
