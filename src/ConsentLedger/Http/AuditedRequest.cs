using System.Diagnostics;
using ConsentLedger.Security;

namespace ConsentLedger.Http;

/// <summary>Who the <see cref="AuditTrail"/> names for what a request does.</summary>
public static class AuditedRequest
{
    /// <summary>The key that <see cref="RouteConventions.RequireScope"/> let in.</summary>
    public static Actor Actor(this HttpContext context) => new(ActorKind.Key, context.Caller().KeyId, null, RequestId(context));

    /// <summary>A subscriber who came by a signed link.</summary>
    public static Actor Subject(this HttpContext context) => new(ActorKind.Subject, null, null, RequestId(context));

    /// <summary>Whoever opened the set-up link.</summary>
    public static Actor SetUpLink(this HttpContext context) => new(ActorKind.SetUpLink, null, null, RequestId(context));

    // The trace id, which the log's lines carry and which goes on to whatever a caller traces.
    private static string RequestId(HttpContext context) => Activity.Current?.TraceId.ToHexString() ?? context.TraceIdentifier;
}
