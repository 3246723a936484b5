using System.Globalization;
using System.Text;
using System.Text.Json;
using ConsentLedger.Database;
using ConsentLedger.Http;
using ConsentLedger.Mail;
using ConsentLedger.Pages;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using Dapper;
using Npgsql;

namespace ConsentLedger.SubjectRights;

/// <summary>
/// The register of requests and complaints in the database. Each step is one transaction: how the request stands, the
/// step in its history, the line in the audit trail, for an objection or a restriction the event that makes it so, and for
/// a copy the mail that takes the person to it.
/// They are there together or not at all, so a step that was cut off can be taken again.
/// </summary>
public sealed class RequestRegister(
    NpgsqlDataSource database, RightInForce rights, SubscriberIds subscribers, CopyMails copies, MailOutbox outbox, Sealer sealer, AuditTrail audit,
    TimeProvider clock)
{
    private const string Columns = """
        request.subscriber_id, request_id, kind::text, status::text, person, received_at, acknowledged_at, paused_at, paused_for,
        extended_months, closed_at, delivered::text
        """;

    private const string FindSql = $"select {Columns} from rights_request request where request_id = @id";
    private const string Table = "rights_request";
    private const string StepTable = "rights_request_step";

    // Beside the lock of a person, which is a number alone.
    private const int StepLock = 0x5251_5354;

    /// <summary>Enters a request, and puts it in force if it is an objection or a restriction. Durable when this returns.</summary>
    /// <param name="by">Who enters it.</param>
    /// <param name="id">Its id, if whoever enters it may be told nothing and do so again; one that is there already is left as it is.</param>
    /// <param name="kind">What is asked for.</param>
    /// <param name="address">By whom.</param>
    /// <param name="receivedAt">When it came.</param>
    /// <param name="channel">How it came.</param>
    /// <param name="note">What they said.</param>
    /// <param name="cancellation">Gives up; nothing of it is kept then.</param>
    public async Task<Entry> ReceiveAsync(
        Actor by, Guid? id, RequestKind kind, Address address, DateTimeOffset receivedAt, string? channel, string? note, CancellationToken cancellation)
    {
        const string Sql = """
            insert into rights_request (subscriber_id, request_id, kind, person, received_at, due_at)
            values (@subscriber, @id, @kind::request_kind, @person, @received, @due)
            on conflict do nothing
            """;
        var now = Instant.Of(clock.GetUtcNow());
        var request = new RightsRequest { SubscriberId = subscribers.Of(address), Id = id ?? Guid.CreateVersion7(now), Kind = kind, ReceivedAt = receivedAt };
        var person = new Person(address.Given, channel);
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);
        var entered = await connection.ExecuteAsync(new CommandDefinition(
            Sql,
            new
            {
                subscriber = request.SubscriberId.Value,
                id = request.Id,
                kind = Label<RequestKind>.Of(kind),
                person = sealer.Seal(JsonSerializer.SerializeToUtf8Bytes(person), SealedPlace.Of(Table, request.SubscriberId.Value, request.Id)),
                received = receivedAt.UtcDateTime,
                due = request.DueAt(now)?.UtcDateTime,
            },
            cancellationToken: cancellation));
        if (entered == 0)
        {
            return (await FindAsync(connection, request.Id, cancellation))!;
        }

        await rights.PutInForceAsync(connection, request, address, now, cancellation);
        await RecordAsync(connection, request, RequestStep.Received, by, note, now, cancellation);
        var history = await ReadHistoryAsync(connection, [request.Id], cancellation);
        await transaction.CommitAsync(cancellation);
        return new Entry(request, person.Address, person.Channel, history[request.Id]);
    }

    /// <summary>One request, or null.</summary>
    public async Task<Entry?> FindAsync(Guid id, CancellationToken cancellation)
    {
        await using var connection = await database.OpenConnectionAsync(cancellation);
        return await FindAsync(connection, id, cancellation);
    }

    /// <summary>Requests, the one due first first; those that have no date, and those that are closed, after them.</summary>
    /// <param name="filter">Which.</param>
    /// <param name="after">Where the last page ended.</param>
    /// <param name="limit">How many at most.</param>
    /// <param name="cancellation">Gives up.</param>
    public async Task<IReadOnlyList<Entry>> ListAsync(Filter filter, Place after, int limit, CancellationToken cancellation)
    {
        // A clock that stands still moves the date along with the time: which are due is asked of that date, and the order is
        // that of the dates that stand still, or a page would begin before the last one ended.
        const string Sql = $"""
            select {Columns}
            from (
                select rights_request.*,
                       case when closed_at is null then due_at + coalesce(@now - paused_at, interval 'PT0S') end as due
                from rights_request
            ) request
            where (@status::text is null or status = @status::request_status)
                and (@kind::text is null or kind = @kind::request_kind)
                and (@dueFrom::timestamptz is null or due >= @dueFrom)
                and (@dueBefore::timestamptz is null or due < @dueBefore)
                and (case when closed_at is null then coalesce(due_at, @never) else @never end, request_id) > (@afterDue, @afterId)
            order by case when closed_at is null then coalesce(due_at, @never) else @never end, request_id
            limit @limit
            """;
        await using var connection = await database.OpenConnectionAsync(cancellation);
        var rows = (await connection.QueryAsync<Row>(new CommandDefinition(
            Sql,
            new
            {
                status = Label<RequestStatus>.Of(filter.Status),
                kind = Label<RequestKind>.Of(filter.Kind),
                dueFrom = filter.DueFrom?.UtcDateTime,
                dueBefore = filter.DueBefore?.UtcDateTime,
                now = clock.GetUtcNow().UtcDateTime,
                never = Place.Never.UtcDateTime,
                afterDue = after.Due.UtcDateTime,
                afterId = after.Id,
                limit,
            },
            cancellationToken: cancellation))).AsList();
        var history = await ReadHistoryAsync(connection, [.. rows.Select(row => row.RequestId)], cancellation);
        return [.. rows.Select(row => ToEntry(row, history[row.RequestId]))];
    }

    /// <summary>
    /// Takes a step, and returns how the request stands then, or why the step can't be taken; null for a request that is
    /// not there. Steps of one request take turns, with all that they do. One that has been taken already changes nothing.
    /// </summary>
    /// <param name="by">Who takes it.</param>
    /// <param name="id">Of which request.</param>
    /// <param name="step">Which step, and what it comes to.</param>
    /// <param name="cancellation">Gives up; nothing of the step is kept then.</param>
    public async Task<(Entry? Entry, Problem? Problem)> TakeAsync(Actor by, Guid id, Step step, CancellationToken cancellation)
    {
        const string Sql = """
            update rights_request
            set status = @status::request_status, acknowledged_at = @acknowledged, paused_at = @paused, paused_for = @pausedFor,
                extended_months = @months, due_at = @due, closed_at = @closed, delivered = @delivered::request_delivery
            where subscriber_id = @subscriber and request_id = @id
            """;
        await using var connection = await database.OpenConnectionAsync(cancellation);
        await using var transaction = await connection.BeginTransactionAsync(cancellation);

        // The row itself stays free: an erasure, which a step may do, takes the address out of it.
        await connection.ExecuteAsync(new CommandDefinition(
            "select pg_advisory_xact_lock(@StepLock, hashtext(@id::text))", new { StepLock, id }, commandTimeout: 0, cancellationToken: cancellation));
        if (await FindAsync(connection, id, cancellation) is not { } entry)
        {
            return (null, null);
        }

        var now = Instant.Of(clock.GetUtcNow());
        if (step.At is { } said && (said > now || said < entry.Request.ReceivedAt || entry.History.Any(taken => said < taken.At && taken.Step is RequestStep.Paused or RequestStep.Resumed)))
        {
            return (entry, Problem.Invalid("at", "This is ahead of now, or before the request came or its clock last stopped or went on."));
        }

        var move = step.Take(entry.Request, step.At ?? now);
        if (move is not { Request: { } request, IsNew: true })
        {
            return (entry, move.Why is { } why ? new Problem(ProblemType.RequestTransition, why) : null);
        }

        if (step.Do is not null && await step.Do(entry, cancellation) is { } problem)
        {
            return (entry, problem);
        }

        if (step.Kind == RequestStep.Completed)
        {
            if (request.Delivered == RequestDelivery.Mail && await copies.SendAsync(connection, entry, step.Language, now, cancellation) is { } hindrance)
            {
                return (entry, new Problem(ProblemType.CannotBeMailed, hindrance));
            }

            if (entry.Address is { } given)
            {
                await rights.PutInForceAsync(connection, request, Address.Parse(given, CultureInfo.InvariantCulture), now, cancellation);
            }
        }
        else if (step.Kind == RequestStep.Refused)
        {
            await rights.LiftAsync(connection, request, now, cancellation);
        }

        await connection.ExecuteAsync(new CommandDefinition(
            Sql,
            new
            {
                status = Label<RequestStatus>.Of(request.Status),
                acknowledged = request.AcknowledgedAt?.UtcDateTime,
                paused = request.PausedAt?.UtcDateTime,
                pausedFor = request.PausedFor,
                months = (short)request.ExtendedMonths,
                due = (request with { PausedAt = null }).DueAt(now)?.UtcDateTime,
                closed = request.ClosedAt?.UtcDateTime,
                delivered = Label<RequestDelivery>.Of(request.Delivered),
                subscriber = request.SubscriberId.Value,
                id,
            },
            cancellationToken: cancellation));
        await RecordAsync(connection, request, step.Kind, by, step.Note, step.At ?? now, cancellation);

        // Read anew: an erasure has taken the address and the words.
        var taken = await FindAsync(connection, id, cancellation);
        await transaction.CommitAsync(cancellation);
        outbox.Wake();
        return (taken, null);
    }

    private async Task RecordAsync(
        NpgsqlConnection connection, RightsRequest request, RequestStep step, Actor by, string? note, DateTimeOffset now, CancellationToken cancellation)
    {
        const string Sql = """
            insert into rights_request_step (subscriber_id, request_id, step_id, step, taken_at, actor, key_id, note)
            values (@subscriber, @request, @id, @step::request_step, @now, @actor::audit_actor, @KeyId, @note)
            """;
        var id = Guid.CreateVersion7(now);
        await connection.ExecuteAsync(new CommandDefinition(
            Sql,
            new
            {
                subscriber = request.SubscriberId.Value,
                request = request.Id,
                id,
                step = Label<RequestStep>.Of(step),
                now = now.UtcDateTime,
                actor = Label<ActorKind>.Of(by.Kind),
                by.KeyId,
                note = note is null ? null : sealer.Seal(Encoding.UTF8.GetBytes(note), SealedPlace.Of(StepTable, request.SubscriberId.Value, id)),
            },
            cancellationToken: cancellation));
        var details = new Dictionary<string, string> { ["kind"] = Label<RequestKind>.Of(request.Kind) };
        if (step == RequestStep.Completed && request.Delivered is { } delivered)
        {
            details["delivered"] = Label<RequestDelivery>.Of(delivered);
        }

        await audit.WriteAsync(
            connection,
            by,
            new AuditEntry($"request-{Label<RequestStep>.Of(step)}")
            {
                SubscriberId = request.SubscriberId.Value,
                Target = request.Id.ToString("D"),
                Details = details,
            },
            cancellation);
    }

    private async Task<Entry?> FindAsync(NpgsqlConnection connection, Guid id, CancellationToken cancellation)
    {
        var row = await connection.QuerySingleOrDefaultAsync<Row>(new CommandDefinition(FindSql, new { id }, cancellationToken: cancellation));
        return row is null ? null : ToEntry(row, (await ReadHistoryAsync(connection, [id], cancellation))[id]);
    }

    private async Task<ILookup<Guid, Taken>> ReadHistoryAsync(NpgsqlConnection connection, Guid[] requests, CancellationToken cancellation)
    {
        const string Sql = """
            select step.subscriber_id, step.request_id, step_id, step::text, taken_at, actor::text, key_id, api_key.name, note
            from rights_request request join rights_request_step step using (subscriber_id, request_id) left join api_key using (key_id)
            where request_id = any (@requests)
            order by taken_at, step.step, step_id
            """;
        var rows = await connection.QueryAsync<StepRow>(new CommandDefinition(Sql, new { requests }, cancellationToken: cancellation));
        return rows.ToLookup(
            row => row.RequestId,
            row => new Taken(
                Label<RequestStep>.Parse(row.Step), row.TakenAt, Label<ActorKind>.Parse(row.Actor), row.KeyId, row.Name,
                OpenNote(row.Note, new SubscriberId(row.SubscriberId), row.StepId, sealer)));
    }

    /// <summary>Who asked, and how; null once they were erased.</summary>
    internal static Person? OpenPerson(byte[]? box, SubscriberId subscriber, Guid request, Sealer sealer) =>
        box is null ? null : JsonSerializer.Deserialize<Person>(sealer.Open(box, SealedPlace.Of(Table, subscriber.Value, request)));

    /// <summary>The words of a step; null if there were none, or once the person was erased.</summary>
    internal static string? OpenNote(byte[]? box, SubscriberId subscriber, Guid step, Sealer sealer) =>
        box is null ? null : Encoding.UTF8.GetString(sealer.Open(box, SealedPlace.Of(StepTable, subscriber.Value, step)));

    private Entry ToEntry(Row row, IEnumerable<Taken> history)
    {
        var person = OpenPerson(row.Person, new SubscriberId(row.SubscriberId), row.RequestId, sealer);
        var request = new RightsRequest
        {
            SubscriberId = new SubscriberId(row.SubscriberId),
            Id = row.RequestId,
            Kind = Label<RequestKind>.Parse(row.Kind),
            Status = Label<RequestStatus>.Parse(row.Status),
            ReceivedAt = row.ReceivedAt,
            AcknowledgedAt = row.AcknowledgedAt,
            PausedAt = row.PausedAt,
            PausedFor = row.PausedFor,
            ExtendedMonths = row.ExtendedMonths,
            ClosedAt = row.ClosedAt,
            Delivered = row.Delivered is null ? null : Label<RequestDelivery>.Parse(row.Delivered),
        };
        return new Entry(request, person?.Address, person?.Channel, history);
    }

    /// <summary>A request with what is sealed of it, opened.</summary>
    /// <param name="Request">How it stands.</param>
    /// <param name="Address">Who asks; null once they were erased.</param>
    /// <param name="Channel">How it came.</param>
    /// <param name="History">What was done about it, in that order.</param>
    public sealed record Entry(RightsRequest Request, string? Address, string? Channel, IEnumerable<Taken> History);

    /// <summary>A step that was taken.</summary>
    /// <param name="Step">Which.</param>
    /// <param name="At">When.</param>
    /// <param name="Actor">By whom.</param>
    /// <param name="KeyId">The API key it was taken with.</param>
    /// <param name="Name">The name of that key.</param>
    /// <param name="Note">Why, in words.</param>
    public sealed record Taken(RequestStep Step, DateTimeOffset At, ActorKind Actor, Guid? KeyId, string? Name, string? Note);

    /// <summary>A step to take.</summary>
    /// <param name="Kind">Which.</param>
    /// <param name="Take">What it comes to, should it be taken at a time.</param>
    /// <param name="Note">Why, in words.</param>
    public sealed record Step(RequestStep Kind, Func<RightsRequest, DateTimeOffset, RequestMove> Take, string? Note)
    {
        /// <summary>When it was taken, if that is noted later; null for now.</summary>
        public DateTimeOffset? At { get; init; }

        /// <summary>The language of the mail by which a copy is sent.</summary>
        public string Language { get; init; } = PageTexts.DefaultLanguage;

        /// <summary>
        /// What is done before it is noted, durable by itself: a crash in between leaves it done and the step to be taken again.
        /// A problem leaves the request as it was.
        /// </summary>
        public Func<Entry, CancellationToken, Task<Problem?>>? Do { get; init; }
    }

    /// <summary>Which requests to list; null for any.</summary>
    /// <param name="Status">How far they are.</param>
    /// <param name="Kind">What for.</param>
    /// <param name="DueFrom">Not closed, and due then or later.</param>
    /// <param name="DueBefore">Not closed, and due before then.</param>
    public sealed record Filter(RequestStatus? Status, RequestKind? Kind, DateTimeOffset? DueFrom, DateTimeOffset? DueBefore);

    /// <summary>A place in the list.</summary>
    /// <param name="Due">When the request there is due.</param>
    /// <param name="Id">Its id.</param>
    public readonly record struct Place(DateTimeOffset Due, Guid Id)
    {
        /// <summary>What has no date is listed as if due then.</summary>
        public static readonly DateTimeOffset Never = new(9999, 1, 1, 0, 0, 0, TimeSpan.Zero);

        /// <summary>Before the first.</summary>
        public static readonly Place Start = new(DateTimeOffset.UnixEpoch, Guid.Empty);

        /// <summary>Of a request: by the date that stands still while its clock does.</summary>
        public static Place Of(RightsRequest request) =>
            new((request.IsOpen ? (request with { PausedAt = null }).DueAt(request.ReceivedAt) : null) ?? Never, request.Id);
    }

    /// <summary>What is sealed of a request.</summary>
    internal sealed record Person(string Address, string? Channel);

    private sealed record Row(
        Guid SubscriberId, Guid RequestId, string Kind, string Status, byte[]? Person, DateTimeOffset ReceivedAt, DateTimeOffset? AcknowledgedAt,
        DateTimeOffset? PausedAt, TimeSpan PausedFor, short ExtendedMonths, DateTimeOffset? ClosedAt, string? Delivered);

    private sealed record StepRow(
        Guid SubscriberId, Guid RequestId, Guid StepId, string Step, DateTimeOffset TakenAt, string Actor, Guid? KeyId, string? Name, byte[]? Note);
}
