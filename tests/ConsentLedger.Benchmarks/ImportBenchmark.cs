using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using ConsentLedger.Database;
using Npgsql;

namespace ConsentLedger.Benchmarks;

/// <summary>
/// A list imported over HTTP, made while it is sent, against the least that could be done: the rows it came to, sealed
/// already, copied into a staging table of another database and from there inserted into the same tables.
/// </summary>
internal static class ImportBenchmark
{
    private const string Columns = """
        event.subscriber_id, event.event_id, event.purpose_id, event.kind, event.basis, event.notice_version, event.source_kind,
        event.occurred_at, event.recorded_at, event.expires_at, event.evidence_digest, event.commitment, event.opening,
        subscriber.address, evidence.sealed, evidence.opening as evidence_opening
        """;

    private const string Inserts = """
        insert into consent_event
        select subscriber_id, event_id, purpose_id, kind, basis, notice_version, source_kind, occurred_at, recorded_at, expires_at,
            evidence_digest, commitment, opening
        from staged on conflict do nothing;
        insert into subscriber select subscriber_id, address, recorded_at from staged on conflict do nothing;
        insert into evidence select subscriber_id, event_id, purpose_id, occurred_at, sealed, evidence_opening from staged where sealed is not null;
        insert into outbox select subscriber_id, event_id, purpose_id, kind, occurred_at, recorded_at, commitment from staged;
        insert into consent_state
        select distinct on (subscriber_id, purpose_id) subscriber_id, purpose_id, kind, basis, occurred_at, expires_at, event_id
        from staged
        order by subscriber_id, purpose_id, occurred_at desc, kind desc, event_id desc
        """;

    public static async Task<int> RunAsync(Arguments arguments)
    {
        var rows = arguments.Subscribers;
        Console.WriteLine($"{rows:N0} rows, {Environment.ProcessorCount} cores shared by the list, the service and PostgreSQL");
        await using var scene = await Scene.SetAsync(0);
        var server = await scene.StartServiceAsync();
        using var client = new HttpClient { BaseAddress = server.Url, Timeout = Timeout.InfiniteTimeSpan };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", scene.Key);

        var first = await ImportAsync(client, server, rows, "import");
        var again = await ImportAsync(client, server, rows, "again ");
        scene.Stop(server);
        var floor = await RunFloorAsync(scene);
        Console.WriteLine(Line($"floor   {floor,7:N1} s   {rows / floor,9:N0} rows/s"));
        Console.WriteLine(Line($"ratio of import to floor {floor / first:N2}, of importing it again {floor / again:N2}"));
        return 0;
    }

    /// <summary>Writes the list into a file.</summary>
    public static async Task WriteAsync(string path, int rows)
    {
        using var list = new List(rows);
        await using var file = File.Create(path);
        await list.CopyToAsync(file);
    }

    /// <summary>Sends such a file, in a process of its own: what a load measures is not to wait for its collector.</summary>
    public static async Task<int> SendAsync(string path, string url, string key)
    {
        using var client = new HttpClient { Timeout = Timeout.InfiniteTimeSpan };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
        using var content = new StreamContent(File.OpenRead(path)) { Headers = { ContentType = new MediaTypeHeaderValue("text/csv") } };
        using var answer = await client.PostAsync(new Uri(url), content);
        answer.EnsureSuccessStatusCode();
        return 0;
    }

    private static async Task<double> ImportAsync(HttpClient client, Server server, int rows, string name)
    {
        var start = Stopwatch.GetTimestamp();
        using var list = new List(rows);
        using var answer = await client.PostAsync(new Uri("/v1/events/import", UriKind.Relative), list);
        var body = await answer.Content.ReadAsStringAsync();
        var seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        Console.WriteLine(Line($"{name}  {seconds,7:N1} s   {rows / seconds,9:N0} rows/s   sent in {list.Sent.TotalSeconds:N1} s   peak memory {server.PeakMemory} MB   {body}"));
        return seconds;
    }

    private static async Task<double> RunFloorAsync(Scene scene)
    {
        var rows = Path.Combine(scene.DataDirectory, "rows.copy");
        var other = new NpgsqlConnectionStringBuilder(scene.Installation.Server.ConnectionString) { Database = "floor" }.ConnectionString;
        await scene.SqlAsync("create database floor");
        await using var ledger = new LedgerDatabase(other);
        await new Migrator(ledger).ApplyAsync(CancellationToken.None);

        // The events' ids are as good as in no order of subscribers, like a list.
        await using (var source = await OpenAsync(scene.Installation.Server.ConnectionString))
        await using (var stream = await source.BeginRawBinaryCopyAsync(
            $"copy (select {Columns} from consent_event event join subscriber using (subscriber_id) left join evidence using (subscriber_id, event_id) order by event.event_id) to stdout (format binary)"))
        await using (var file = File.Create(rows))
        {
            await stream.CopyToAsync(file);
        }

        await scene.SqlAsync("checkpoint");
        await using var target = await OpenAsync(other);
        await ExecuteAsync(target, $"create table staged as select {Columns} from consent_event event join subscriber using (subscriber_id) join evidence using (subscriber_id, event_id)");
        var start = Stopwatch.GetTimestamp();
        await using (var transaction = await target.BeginTransactionAsync())
        {
            await using (var stream = await target.BeginRawBinaryCopyAsync("copy staged from stdin (format binary)"))
            await using (var file = File.OpenRead(rows))
            {
                await file.CopyToAsync(stream);
            }

            foreach (var insert in Inserts.Split(';'))
            {
                await ExecuteAsync(target, insert);
            }

            await transaction.CommitAsync();
        }

        return Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    private static async Task<NpgsqlConnection> OpenAsync(string connectionString)
    {
        var connection = new NpgsqlConnection(new NpgsqlConnectionStringBuilder(connectionString)
        {
            Options = $"-c search_path={LedgerDatabase.Schema}",
            CommandTimeout = 0,
            Pooling = false,
        }.ConnectionString);
        await connection.OpenAsync();
        return connection;
    }

    private static async Task ExecuteAsync(NpgsqlConnection connection, string sql)
    {
        await using var command = new NpgsqlCommand(sql, connection) { CommandTimeout = 0 };
        await command.ExecuteNonQueryAsync();
    }

    private static string Line(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);

    /// <summary>The list, written as it is sent; one in twenty rows is a withdrawal, and every subscriber has two.</summary>
    private sealed class List : HttpContent
    {
        private readonly int rows;

        public List(int rows)
        {
            this.rows = rows;
            Headers.ContentType = new MediaTypeHeaderValue("text/csv");
        }

        public TimeSpan Sent { get; private set; }

        protected override async Task SerializeToStreamAsync(Stream stream, TransportContext? context)
        {
            var start = Stopwatch.GetTimestamp();
            var text = new StringBuilder("address,purpose,kind,occurredAt,sourceKind,sourceReference,sourceUrl,evidence.ip,evidence.userAgent\n");
            var begin = new DateTime(2024, 1, 1, 0, 0, 0, DateTimeKind.Utc);
            for (var row = 0; row < rows; row++)
            {
                text.Append(
                    CultureInfo.InvariantCulture,
                    $"Subscriber-{row / 2}@museum.example,{(row % 2 == 0 ? "newsletter" : "events")},{(row % 20 == 0 ? "withdrawn" : "given")},{begin.AddSeconds(row):yyyy-MM-dd'T'HH:mm:ss'Z'},web-form,\"Form A, page {row % 9}\",https://museum.example/join,192.0.2.{row % 250},Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0\n");
                if (text.Length > 60_000)
                {
                    await stream.WriteAsync(Encoding.UTF8.GetBytes(text.ToString()));
                    text.Clear();
                }
            }

            await stream.WriteAsync(Encoding.UTF8.GetBytes(text.ToString()));
            Sent = Stopwatch.GetElapsedTime(start);
        }

        protected override bool TryComputeLength(out long length)
        {
            length = 0;
            return false;
        }
    }
}
