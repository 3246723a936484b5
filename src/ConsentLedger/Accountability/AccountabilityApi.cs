namespace ConsentLedger.Accountability;

/// <summary>What an organisation shows a regulator: who did what, what it does with data, and what went wrong (Art 5(2)).</summary>
public static class AccountabilityApi
{
    /// <summary>Adds what it needs.</summary>
    public static IServiceCollection AddAccountability(this IServiceCollection services, IConfiguration configuration) =>
        services.AddProcessingRecord(configuration);

    /// <summary>Maps the routes.</summary>
    public static void MapAccountability(this IEndpointRouteBuilder app)
    {
        app.MapAudit();
        app.MapBreaches();
        app.MapAffectedSubscribers();
        app.MapProcessingRecord();
    }
}
