namespace ConsentLedger.Http;

/// <summary>
/// A kind of refusal (RFC 9457): its slug makes the <c>type</c>, under which the service serves a page that explains it.
/// </summary>
/// <param name="Slug">Last segment of the type URL.</param>
/// <param name="Status">The status it is answered with.</param>
/// <param name="Title">The same for every occurrence.</param>
/// <param name="Explanation">For the page: what happened and what to do.</param>
public sealed record ProblemType(string Slug, int Status, string Title, string Explanation)
{
    /// <summary>The request says something that can't be; <c>errors</c> lists what, by member.</summary>
    public static readonly ProblemType Validation = new(
        "validation", 400, "The request is not valid",
        "One or more members of the request are missing, unknown or hold what they can't hold. The errors member lists them by path. Nothing was changed. Mend them and send the request again.");

    /// <summary>No key, or one that is not known.</summary>
    public static readonly ProblemType Unauthenticated = new(
        "unauthenticated", 401, "A valid API key is required",
        "Send the key in the Authorization header: Bearer clk_…. The one that came is missing, unknown, revoked, expired or belongs to another installation. Make one with: consentledger keys create.");

    /// <summary>The key lacks a scope.</summary>
    public static readonly ProblemType InsufficientScope = new(
        "insufficient-scope", 403, "The API key lacks a scope",
        "The key is valid and may not do this. The scope member names what it lacks. Use another key, or make one with that scope.");

    /// <summary>The key is bound to other purposes.</summary>
    public static readonly ProblemType PurposeNotPermitted = new(
        "purpose-not-permitted", 403, "The API key is not for this purpose",
        "The key is bound to certain purposes, so that data given for one can't be used for another, and the purpose asked for is not among them.");

    /// <summary>The form may not stand on that site.</summary>
    public static readonly ProblemType OriginNotAllowed = new(
        "origin-not-allowed", 403, "The form may not be sent from this site",
        "Each sign-up form lists the sites it may stand on, and the one that sent this is not among them. Nothing was changed. Add the site to the form's origins.");

    /// <summary>It does not come from whom it says it comes from.</summary>
    public static readonly ProblemType SignatureInvalid = new(
        "signature-invalid", 403, "The provider's signature is not valid",
        "The API key is good, and the mail provider's signature is missing, wrong or too old, so that nothing was recorded. Compare the provider's key, or its topics, with the service's settings.");

    /// <summary>Nothing is there.</summary>
    public static readonly ProblemType NotFound = new(
        "not-found", 404, "There is nothing here",
        "Nothing is kept under this name, or this page does not exist. Check the spelling; a key of a purpose is all lower case.");

    /// <summary>The resource is there and does not do this.</summary>
    public static readonly ProblemType MethodNotAllowed = new(
        "method-not-allowed", 405, "The method is not allowed here",
        "The Allow header lists the methods this resource answers to.");

    /// <summary>An event with this id says something else.</summary>
    public static readonly ProblemType EventConflict = new(
        "event-conflict", 409, "Another event has this id",
        "An event with the same id and other content is in the ledger already. The ledger is append-only: to correct an event, append another one with an id of its own.");

    /// <summary>Events name the purpose, so what they rest on is fixed.</summary>
    public static readonly ProblemType PurposeInUse = new(
        "purpose-in-use", 409, "The purpose is in use",
        "Once events name a purpose, its channel and basis are fixed: people agreed to those. End this purpose and put another one under a new key.");

    /// <summary>The step does not follow from how the request of a person stands.</summary>
    public static readonly ProblemType RequestTransition = new(
        "request-transition", 409, "The request is not in a state for this",
        "Requests and complaints are open, paused, completed or refused, and not every step can be taken from each of them: what is closed stays closed, an extension is told within the first month, and an objection to direct marketing is never refused. The detail says which of these it is. Nothing was changed.");

    /// <summary>The person can't be sent what they asked for by mail.</summary>
    public static readonly ProblemType CannotBeMailed = new(
        "cannot-be-mailed", 409, "The person can't be sent this by mail",
        "Completing a request for a copy mails the person a link to it, and this person can't be mailed: the address is no e-mail address, mail to it came back, or it was erased. Nothing was changed. Export what is held, hand it over or send it by other means, and complete the request with \"delivered\": \"by-hand\".");

    /// <summary>The same request is being worked on.</summary>
    public static readonly ProblemType IdempotencyKeyInFlight = new(
        "idempotency-key-in-flight", 409, "The first request with this Idempotency-Key is still running",
        "Wait as long as Retry-After says and send the same request again: it will be answered as the first one was.");

    /// <summary>Somebody else changed it first.</summary>
    public static readonly ProblemType PreconditionFailed = new(
        "precondition-failed", 412, "It is not what you expected it to be",
        "If-Match names a version that is no longer current, or If-None-Match: * was sent and there is one. Read it again, then decide.");

    /// <summary>The body is longer than it may be.</summary>
    public static readonly ProblemType PayloadTooLarge = new(
        "payload-too-large", 413, "The request body is too large",
        "Ordinary requests take one mebibyte, a batch of checks four. Lists of any length go to the import and to the stream of checks.");

    /// <summary>The body is in a format that is not read here.</summary>
    public static readonly ProblemType UnsupportedMediaType = new(
        "unsupported-media-type", 415, "The content type is not supported here",
        "Send application/json, or for an import text/csv or application/x-ndjson, and say so in Content-Type.");

    /// <summary>The key was used for another request.</summary>
    public static readonly ProblemType IdempotencyKeyReused = new(
        "idempotency-key-reused", 422, "The Idempotency-Key was used for another request",
        "A key stands for one request: its first answer is kept for 24 hours and replayed. Make a new key for every new request.");

    /// <summary>Too much at once.</summary>
    public static readonly ProblemType RateLimited = new(
        "rate-limited", 429, "Too many requests",
        "Wait as long as Retry-After says. The RateLimit headers tell what is left and when it refills.");

    /// <summary>A defect here.</summary>
    public static readonly ProblemType Internal = new(
        "internal-error", 500, "Something went wrong here",
        "This is a defect of the service and not of the request. Whatever was being written was not acknowledged; it is safe to send the request again. The operator finds the cause in the service's log.");

    /// <summary>The database is away.</summary>
    public static readonly ProblemType LedgerUnavailable = new(
        "ledger-unavailable", 503, "The ledger can't be asked right now",
        "The database does not answer. Treat a check that ends like this as a no. Wait as long as Retry-After says and try again; the service recovers by itself.");

    /// <summary>A mail provider is away.</summary>
    public static readonly ProblemType ProviderUnavailable = new(
        "provider-unavailable", 503, "The mail provider can't be asked right now",
        "To know that a report is the provider's own, the provider has to be asked, and it does not answer. Nothing was recorded. Wait as long as Retry-After says and send the report again; providers do so by themselves.");

    /// <summary>Every type, in the order of status.</summary>
    public static IReadOnlyList<ProblemType> All { get; } =
    [
        Validation, Unauthenticated, InsufficientScope, PurposeNotPermitted, OriginNotAllowed, SignatureInvalid, NotFound, MethodNotAllowed, EventConflict,
        PurposeInUse, RequestTransition, CannotBeMailed, IdempotencyKeyInFlight, PreconditionFailed, PayloadTooLarge, UnsupportedMediaType,
        IdempotencyKeyReused, RateLimited, Internal, LedgerUnavailable, ProviderUnavailable,
    ];
}
