namespace ConsentLedger.Checks;

/// <summary>May this address be written to for this purpose, now?</summary>
public static class ChecksApi
{
    /// <summary>Adds what checks need.</summary>
    public static IServiceCollection AddChecks(this IServiceCollection services) =>
        services.AddSingleton<CheckReader>().AddSingleton<ListChecks>();

    /// <summary>Maps the routes.</summary>
    public static void MapChecks(this IEndpointRouteBuilder app)
    {
        app.MapCheck();
        app.MapCheckBatch();
        app.MapStreamChecks();
    }
}
