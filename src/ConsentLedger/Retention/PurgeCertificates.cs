using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Pages;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using Dapper;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace ConsentLedger.Retention;

/// <summary>
/// <c>GET /v1/retention/runs/{id}/certificate</c>: what a run deleted, by purpose and rule, signed: as JSON, or as a page
/// to print, by <c>Accept</c>; and the public key by which anybody verifies it, <c>GET /.well-known/consentledger-key</c>.
/// </summary>
/// <remarks>
/// The signature is over the certificate in its canonical form (RFC 8785). The certificate holds nothing personal. It is made
/// and signed as the run ends, from the records of the run and their positions in the log, and binds each by a digest: from then
/// on it says the same, whatever becomes of the settings or the database.
/// </remarks>
public sealed class PurgeCertificates(NpgsqlDataSource database, PurposeCatalogue purposes, Organisation organisation, LedgerSignature signature)
{
    /// <summary>The certificate of a run, once that has ended; null for one that has not, that is not there, or that deleted nothing for good.</summary>
    public async Task<SignedCertificate?> FindAsync(Guid run, CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        var row = await connection.QuerySingleOrDefaultAsync<Kept?>(new CommandDefinition(
            "select certificate, certificate_signature from purge_run where run_id = @run and certificate is not null", new { run }, cancellationToken: cancellation));
        return row is null ? null : new SignedCertificate(JsonDocument.Parse(row.Certificate).RootElement, LedgerSignature.Algorithm, signature.PublicKey, row.CertificateSignature);
    }

    /// <summary>Makes the certificate of a run, as it ends: in canonical form, with the signature. The log has all that it deleted.</summary>
    internal async Task<(byte[] Certificate, string Signature)> MakeAsync(PurgeRun run, CancellationToken cancellation)
    {
        var keys = (await purposes.ListAsync(cancellation)).ToDictionary(purpose => purpose.Id.Value, purpose => purpose.Key);
        var (went, records) = await ReadAsync(run.Id, cancellation);
        if (run.Purged.Audit > 0)
        {
            // What went of the audit trail leaves its number, and no records.
            went[(0, Label<PurgeRule>.Of(PurgeRule.Audit))] = new Went { Count = run.Purged.Audit };
        }

        var byPurpose = went.GroupBy(pair => keys.GetValueOrDefault(pair.Key.Purpose, PurposeKey.All), StringComparer.Ordinal);
        var certificate = new Dictionary<string, object?>
        {
            ["type"] = "consentledger/purge-certificate/1",
            ["organisation"] = organisation.Name,
            ["runId"] = run.Id.ToString("D"),
            ["status"] = Label<PurgeStatus>.Of(run.Status),
            ["trigger"] = Label<PurgeTrigger>.Of(run.Trigger),
            ["requestedAt"] = Instant.Format(run.RequestedAt),
            ["startedAt"] = Instant.Format(run.StartedAt!.Value),
            ["finishedAt"] = Instant.Format(run.FinishedAt!.Value),
            ["expired"] = run.Expired,
            ["heldBack"] = run.HeldBack,
            ["purged"] = byPurpose.ToDictionary(group => group.Key, group => (object?)ByRule(group)),
            ["records"] = records,
        };
        var canonical = CanonicalJson.Write(certificate);
        return (canonical, signature.Sign(canonical));
    }

    private static Dictionary<string, object?> ByRule(IEnumerable<KeyValuePair<(int Purpose, string Rule), Went>> went) => went
        .GroupBy(pair => pair.Key.Rule, pair => pair.Value, StringComparer.Ordinal)
        .ToDictionary(rule => rule.Key, rule => (object?)rule.Aggregate(new Went(), (sum, one) => sum.With(one)).ToJson());

    /// <summary>
    /// What went by purpose and rule; and how many records there are of it, with the SHA-256 over them, a line each, in the
    /// order of their key. Read as it comes, a long run in no more memory than a short one.
    /// </summary>
    /// <remarks>
    /// A record's position is the last that its event has as the run ends: one that was purged before and imported again has
    /// an earlier one, of which that run's certificate tells.
    /// </remarks>
    private async Task<(Dictionary<(int Purpose, string Rule), Went> Went, Dictionary<string, object?> Records)> ReadAsync(Guid run, CancellationToken cancellation)
    {
        const string Sql = """
            select subscriber_id, event_id, rule::text, coalesce(purpose_id, 0), occurred_at, (
                select max(position) from log_entry entry
                where entry.subscriber_id = record.subscriber_id and entry.event_id = record.event_id)
            from purge_record record
            where run_id = $1
            order by subscriber_id, event_id, record.rule
            """;
        var went = new Dictionary<(int, string), Went>();
        using var digest = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var command = new NpgsqlCommand(Sql, connection) { CommandTimeout = 0 };
        command.Parameters.Add(new NpgsqlParameter<Guid> { TypedValue = run });
        await using var reader = await command.ExecuteReaderAsync(cancellation);
        var count = 0L;
        while (await reader.ReadAsync(cancellation))
        {
            var (rule, purpose) = (reader.GetString(2), reader.GetInt32(3));
            var occurredAt = reader.IsDBNull(4) ? (DateTimeOffset?)null : reader.GetFieldValue<DateTimeOffset>(4);
            var position = reader.IsDBNull(5) ? (long?)null : reader.GetInt64(5);
            var record = new Went
            {
                Count = 1,
                First = occurredAt,
                Last = occurredAt,
                FirstPosition = position,
                LastPosition = position,
            };
            went[(purpose, rule)] = went.GetValueOrDefault((purpose, rule)).With(record);
            count++;
            digest.AppendData(Encoding.ASCII.GetBytes(string.Create(
                CultureInfo.InvariantCulture, $"{reader.GetGuid(0):D} {reader.GetGuid(1):D} {rule} {position?.ToString(CultureInfo.InvariantCulture) ?? "-"}\n")));
        }

        return (went, new Dictionary<string, object?> { ["count"] = count, ["sha256"] = Convert.ToHexStringLower(digest.GetHashAndReset()) });
    }

    private sealed record Kept(byte[] Certificate, string CertificateSignature);

    /// <summary>How much went, of what time, and from where to where in the log.</summary>
    private readonly record struct Went
    {
        public long Count { get; init; }

        public DateTimeOffset? First { get; init; }

        public DateTimeOffset? Last { get; init; }

        public long? FirstPosition { get; init; }

        public long? LastPosition { get; init; }

        public Went With(Went other) => new()
        {
            Count = Count + other.Count,
            First = Min(First, other.First),
            Last = Max(Last, other.Last),
            FirstPosition = Min(FirstPosition, other.FirstPosition),
            LastPosition = Max(LastPosition, other.LastPosition),
        };

        public Dictionary<string, object?> ToJson() => new()
        {
            ["count"] = Count,
            ["from"] = First is { } first ? Instant.Format(first) : null,
            ["to"] = Last is { } last ? Instant.Format(last) : null,
            ["positions"] = FirstPosition is null ? null : new Dictionary<string, object?> { ["from"] = FirstPosition, ["to"] = LastPosition },
        };

        private static T? Min<T>(T? one, T? other)
            where T : struct, IComparable<T> => one is null || other?.CompareTo(one.Value) < 0 ? other ?? one : one;

        private static T? Max<T>(T? one, T? other)
            where T : struct, IComparable<T> => one is null || other?.CompareTo(one.Value) > 0 ? other ?? one : one;
    }
}

/// <summary>A certificate, and what it is verified by.</summary>
/// <param name="Certificate">What is certified. The signature is over its canonical form (RFC 8785).</param>
/// <param name="Algorithm">Ed25519.</param>
/// <param name="PublicKey">The key it is verified by, in base64. Compare it with the one at <c>/.well-known/consentledger-key</c>.</param>
/// <param name="Signature">In base64.</param>
public sealed record SignedCertificate(JsonElement Certificate, string Algorithm, string PublicKey, string Signature);

/// <summary>The routes.</summary>
public static class PurgeCertificateRoutes
{
    private const string Json = "application/json";
    private const string Html = "text/html";

    /// <summary>Maps them.</summary>
    public static void MapPurgeCertificates(this IEndpointRouteBuilder app)
    {
        app.MapGet("/v1/retention/runs/{id:guid}/certificate", IssueAsync)
            .RequireScope(Scope.RetentionRead)
            .Refuses(ProblemType.PurposeNotPermitted, ProblemType.NotFound)
            .Produces<SignedCertificate>(StatusCodes.Status200OK, Json, Html)
            .WithExample(answer: Example)
            .WithName("GetPurgeCertificate").WithTags("Retention").WithSummary("Certifies what a purge run deleted, signed");
        app.MapGet("/.well-known/consentledger-key", (LedgerSignature signature) => TypedResults.Ok(new VerifyingKey(LedgerSignature.Algorithm, signature.PublicKey)))
            .ExcludeFromDescription();
    }

    private static readonly SignedCertificate Example = new(
        JsonDocument.Parse("""
            {"type":"consentledger/purge-certificate/1","organisation":"Hafod Museum","runId":"019aab3c-5f00-7c3e-9a41-5d0f6b2c8e17","status":"completed","trigger":"schedule",
             "requestedAt":"2026-11-22T03:17:00.000000Z","startedAt":"2026-11-22T03:17:00.000000Z","finishedAt":"2026-11-22T03:17:02.000000Z",
             "expired":0,"heldBack":1,"purged":{"newsletter":{"lapsed":{"count":12,"from":"2024-10-02T08:00:00.000000Z","positions":{"from":3,"to":97},"to":"2024-11-21T19:30:00.000000Z"}}},
             "records":{"count":12,"sha256":"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"}}
            """).RootElement,
        LedgerSignature.Algorithm, "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
        "5VZDAMNgrHKQhuLMgG6CioSHfx645dl02HPgZSJJAVVfuIIVkKM7rMYeOXAc+bRr0lv18FlbviRlUUFDjnoQCw==");

    /// <summary>The key by which certificates are verified.</summary>
    /// <param name="Algorithm">Ed25519.</param>
    /// <param name="PublicKey">Its 32 bytes in base64.</param>
    public sealed record VerifyingKey(string Algorithm, string PublicKey);

    private static async Task<Results<Ok<SignedCertificate>, PageResult, Problem>> IssueAsync(
        Guid id, HttpContext context, PurgeRuns runs, PurgeCertificates certificates, CancellationToken cancellation)
    {
        if (!context.Caller().MayUse(PurposeKey.All))
        {
            return new Problem(ProblemType.PurposeNotPermitted);
        }

        if (await certificates.FindAsync(id, cancellation) is not { } signed || await runs.FindAsync(id, cancellation) is not { } run)
        {
            return Problem.NotFound("There is a certificate of a run that has ended, and none of a dry run: that deletes nothing.");
        }

        context.Response.Headers.CacheControl = "no-store";
        context.Response.Headers.Vary = "Accept, Accept-Language";
        if (context.Request.GetTypedHeaders().Accept.MaxBy(range => range.Quality ?? 1)?.MediaType.Equals(Html, StringComparison.OrdinalIgnoreCase) == true)
        {
            return PageResult.Of<PurgeCertificatePage>(new { Run = run, Signed = signed });
        }

        return TypedResults.Ok(signed);
    }
}
