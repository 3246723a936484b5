using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Hosting;

/// <summary>What every feature builds on, in the container.</summary>
public static class ServiceHost
{
    /// <summary>
    /// Adds the ledger and what lies under it. Whoever calls has opened the database and holds its keys, and outlives
    /// the host.
    /// </summary>
    public static IServiceCollection AddLedger(
        this IServiceCollection services, PublicUrl publicUrl, LedgerDatabase database, KeyRing keys, TimeProvider clock)
    {
        DapperTypes.Register();
        return services
            .AddSingleton(publicUrl)
            .AddSingleton(clock)
            .AddSingleton(keys)
            .AddSingleton(database)
            .AddSingleton(database.Service)
            .AddSingleton<Sealer>()
            .AddSingleton<AuditTrail>()
            .AddSingleton<SubscriberIds>()
            .AddSingleton<PurposeCatalogue>()
            .AddSingleton<LedgerMetrics>()
            .AddSingleton<LedgerStore>()
            .AddSingleton<LedgerLog>()
            .AddSingleton<UnsubscribeLinks>()
            .AddSingleton<ApiKeyCatalogue>();
    }

    /// <summary>Adds the conventions that all routes share: JSON, problems, keys and scopes.</summary>
    public static IServiceCollection AddHttpConventions(this IServiceCollection services)
    {
        services.ConfigureHttpJsonOptions(options => JsonConventions.Apply(options.SerializerOptions));
        services.Configure<RouteHandlerOptions>(options => options.ThrowOnBadRequest = true);
        services.Configure<Microsoft.AspNetCore.Server.Kestrel.Core.KestrelServerOptions>(options => options.AddServerHeader = false);
        services.AddExceptionHandler<ProblemHandling>();
        return services.AddSingleton<IdempotencyStore>().AddHostedService<IdempotencyCleanup>();
    }

    /// <summary>Puts the conventions in front of the routes.</summary>
    public static WebApplication UseHttpConventions(this WebApplication app)
    {
        app.UseExceptionHandler(new ExceptionHandlerOptions { SuppressDiagnosticsCallback = _ => true, ExceptionHandler = _ => Task.CompletedTask });
        app.UseStatusCodePages(context => context.HttpContext.Response.StatusCode switch
        {
            StatusCodes.Status404NotFound => Problem.NotFound().ExecuteAsync(context.HttpContext),
            StatusCodes.Status405MethodNotAllowed => new Problem(ProblemType.MethodNotAllowed).ExecuteAsync(context.HttpContext),
            StatusCodes.Status413PayloadTooLarge => new Problem(ProblemType.PayloadTooLarge).ExecuteAsync(context.HttpContext),
            StatusCodes.Status415UnsupportedMediaType => new Problem(ProblemType.UnsupportedMediaType).ExecuteAsync(context.HttpContext),
            _ => Task.CompletedTask,
        });
        app.UseMiddleware<ApiKeyAuthentication>();
        app.UseBodyLimit();
        app.UseMiddleware<Idempotency>();
        return app;
    }
}
