using System.Globalization;
using System.Reflection;
using Microsoft.AspNetCore.Http.Metadata;

namespace ConsentLedger.Http;

/// <summary>
/// Refuses a query whose values can't be read, naming them. The binding that the compiler makes takes an optional value that
/// is empty for one that was left out, so that <c>?dryRun=</c> would be no dry run, and answers any other that it can't read
/// with a bare 400.
/// </summary>
public static class StrictQuery
{
    private delegate bool Reading(string? value);

    /// <summary>Holds every route that is mapped on these to it. Nothing is added to a route without such values.</summary>
    public static RouteGroupBuilder WithStrictQuery(this RouteGroupBuilder routes)
    {
        ((IEndpointConventionBuilder)routes).Finally(endpoint =>
        {
            var values = endpoint.Metadata.OfType<IParameterBindingMetadata>()
                .Where(parameter => parameter is { IsOptional: true, HasTryParse: true, HasBindAsync: false })
                .Select(parameter => (parameter.Name, CanRead: ReadingOf(parameter.ParameterInfo.ParameterType)))
                .ToArray();
            if (values.Length > 0 && endpoint.RequestDelegate is { } handle)
            {
                endpoint.RequestDelegate = context => Check(context.Request.Query, values) is { } problem ? problem.ExecuteAsync(context) : handle(context);
            }
        });
        return routes;
    }

    private static Problem? Check(IQueryCollection query, (string Name, Reading CanRead)[] values)
    {
        InputErrors? errors = null;
        foreach (var (name, canRead) in values)
        {
            if (query.TryGetValue(name, out var given) && !canRead(given))
            {
                (errors ??= new InputErrors()).Add(name, "This is not valid.");
            }
        }

        return errors?.ToProblem();
    }

    private static Reading ReadingOf(Type type) =>
        typeof(StrictQuery).GetMethod(nameof(CanRead), BindingFlags.NonPublic | BindingFlags.Static)!
            .MakeGenericMethod(Nullable.GetUnderlyingType(type) ?? type)
            .CreateDelegate<Reading>();

    private static bool CanRead<T>(string? value)
        where T : IParsable<T> => T.TryParse(value, CultureInfo.InvariantCulture, out _);
}
