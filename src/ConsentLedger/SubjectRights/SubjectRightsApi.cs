namespace ConsentLedger.SubjectRights;

/// <summary>The routes by which an organisation answers people who use their rights (API "Subject rights").</summary>
public static class SubjectRightsApi
{
    /// <summary>Maps them.</summary>
    public static void MapSubjectRights(this IEndpointRouteBuilder app)
    {
        app.MapExport();
        app.MapRectify();
        app.MapErase();
        app.MapHolds();
        app.MapRequests();
        app.MapCopies();
    }
}
