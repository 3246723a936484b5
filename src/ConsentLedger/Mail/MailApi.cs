using System.Text.Json.Serialization;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Security;
using Dapper;
using Microsoft.AspNetCore.Http.HttpResults;
using Npgsql;

namespace ConsentLedger.Mail;

/// <summary>Mail: the outbox and its delivery, and <c>GET /v1/mail</c> for whoever looks after the service.</summary>
public static class MailApi
{
    /// <summary>Adds what sending mail needs. Wrong settings are found here, at the start.</summary>
    public static IServiceCollection AddMail(this IServiceCollection services, IConfiguration configuration, PublicUrl publicUrl)
    {
        var settings = MailSettings.Read(configuration, publicUrl);
        services.AddSingleton(settings).AddSingleton<MailMetrics>().AddSingleton<MailOutbox>().AddSingleton<MailFiles>().AddHostedService<MailDelivery>();
        return settings.Smtp is { } smtp
            ? services.AddSingleton<IMailTransport>(_ => new SmtpTransport(smtp))
            : services.AddSingleton<IMailTransport>(provider => provider.GetRequiredService<MailFiles>());
    }

    /// <summary>Maps the route.</summary>
    public static void MapMail(this IEndpointRouteBuilder app) =>
        app.MapGet("/v1/mail", ListAsync)
            .RequireScope(Scope.AuditRead)
            .Refuses(ProblemType.Validation)
            .WithExample(answer: new Page<MailView>([Example], null))
            .WithName("ListMail").WithTags("Service").WithSummary("Lists mails that wait or were set aside, newest first");

    private static readonly MailView Example = new(
        Guid.Parse("019a9f2e-5c00-7a31-9d4e-3f1b6c8a2d10"), "confirmation", MailStatus.Poison, 1, 550,
        new DateTimeOffset(2026, 11, 22, 9, 30, 0, TimeSpan.Zero), null);

    /// <summary>What of a mail can be shown: nothing of its recipient and its words.</summary>
    /// <param name="Id">The first part of its Message-ID, with which the mail server's log can be searched.</param>
    /// <param name="Kind">What it is: <c>confirmation</c>, <c>already-subscribed</c>.</param>
    /// <param name="Status">How it stands.</param>
    /// <param name="Attempts">How often it was tried.</param>
    /// <param name="SmtpCode">The mail server's last refusal; null if it made none.</param>
    /// <param name="CreatedAt">When it was queued.</param>
    /// <param name="NextAttemptAt">When it is tried next; null once it is set aside.</param>
    public sealed record MailView(
        Guid Id, string Kind, MailStatus Status, int Attempts, int? SmtpCode, DateTimeOffset CreatedAt, DateTimeOffset? NextAttemptAt);

    /// <summary>How a mail can stand.</summary>
    [JsonConverter(typeof(LabelJsonConverter<MailStatus>))]
    public enum MailStatus
    {
        /// <summary>It is sent as soon as the mail server takes it.</summary>
        Waiting,

        /// <summary>The mail server took it.</summary>
        Sent,

        /// <summary>The mail server refuses it for good, or no server took it for three days.</summary>
        Poison,
    }

    private static async Task<Results<Ok<Page<MailView>>, Problem>> ListAsync(
        NpgsqlDataSource database, CancellationToken cancellation, string status = "poison", int limit = Page<MailView>.DefaultLimit, string? cursor = null)
    {
        if (status is not ("poison" or "waiting"))
        {
            return Problem.Invalid("status", "Must be one of: poison, waiting.");
        }

        var after = Guid.AllBitsSet;
        if (cursor is not null && !Guid.TryParse(cursor, out after))
        {
            return Problem.Invalid("cursor", "This is not a cursor of this list.");
        }

        if (Paging.Check(limit) is { } problem)
        {
            return problem;
        }

        await using var connection = await database.OpenConnectionAsync(cancellation);
        var rows = await connection.QueryAsync<MailRow>(new CommandDefinition(
            """
            select mail_id, kind, status::text, attempts, smtp_code, created_at, next_attempt_at from mail_outbox
            where status = @status::mail_status and mail_id < @after
            order by mail_id desc
            limit @fetched
            """,
            new { status, after, fetched = limit + 1 },
            cancellationToken: cancellation));
        return TypedResults.Ok(Paging.PageOf(rows.Select(row => row.ToView()), limit, mail => mail.Id.ToString()));
    }

    private sealed record MailRow(Guid MailId, string Kind, string Status, int Attempts, int? SmtpCode, DateTimeOffset CreatedAt, DateTimeOffset NextAttemptAt)
    {
        public MailView ToView()
        {
            var status = Label<MailStatus>.Parse(Status);
            return new MailView(MailId, Kind, status, Attempts, SmtpCode, CreatedAt, status == MailStatus.Waiting ? NextAttemptAt : null);
        }
    }
}
