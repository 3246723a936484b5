namespace ConsentLedger.Choices;

/// <summary>
/// What every page on which people say yes or no rests on: a request and its confirmation, a withdrawal and its undoing.
/// </summary>
public static class ChoicePages
{
    /// <summary>Adds it.</summary>
    public static IServiceCollection AddChoices(this IServiceCollection services) =>
        services
            .AddSingleton<OfferCatalogue>()
            .AddSingleton<SignUpStore>()
            .AddSingleton<SignUpMails>()
            .AddSingleton<Confirmations>()
            .AddSingleton<NetworkLimit>()
            .AddSingleton<Withdrawals>()
            .AddSingleton<Undoing>();

    /// <summary>Maps the confirmation link. Wrong settings are found here, at the start.</summary>
    public static void MapChoices(this IEndpointRouteBuilder app)
    {
        _ = app.ServiceProvider.GetRequiredService<NetworkLimit>();
        app.MapConfirm();
    }
}
