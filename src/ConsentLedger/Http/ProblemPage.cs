namespace ConsentLedger.Http;

/// <summary>
/// Shows a problem as a page instead of as JSON. It is set as a feature of a request that comes from a person's
/// browser, so that whatever refuses the request need not know who asked.
/// </summary>
/// <param name="context">The request; status, <c>Retry-After</c> and <c>Cache-Control</c> are set already.</param>
/// <param name="problem">What is the matter.</param>
public delegate Task ProblemPage(HttpContext context, Problem problem);
