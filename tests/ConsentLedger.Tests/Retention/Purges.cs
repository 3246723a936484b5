using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Database;
using ConsentLedger.Tests.Hosting;
using Npgsql;

namespace ConsentLedger.Tests.Retention;

/// <summary>Asks for purge runs, and looks at what they left.</summary>
internal static class Purges
{
    /// <summary>Asks for a run and waits until it is done; then the state must be what the rebuild makes of the rest, and its counters its records.</summary>
    public static async Task<JsonNode> PurgeAsync(this TestService service, bool dryRun = false)
    {
        var run = await service.PostAsync("/v1/retention/runs", new JsonObject { ["dryRun"] = dryRun }).ReadAsync(HttpStatusCode.Accepted);
        run = await service.DoneAsync(run.Text("id"));
        run.Text("status").ShouldBe("completed");
        await service.RebuildChangesNothingAsync();
        if (!dryRun)
        {
            await service.CountersAreRecordsAsync(run);
        }

        return run;
    }

    /// <summary>The run once it is neither waiting nor running.</summary>
    public static async Task<JsonNode> DoneAsync(this TestService service, string id)
    {
        using var deadline = new CancellationTokenSource(TimeSpan.FromMinutes(2));
        while (true)
        {
            var run = await service.GetAsync($"/v1/retention/runs/{id}").ReadAsync();
            if (run.Text("status") is "completed" or "failed")
            {
                return run;
            }

            await Task.Delay(10, deadline.Token);
        }
    }

    public static long Purged(this JsonNode run, string rule) => run["purged"]![rule]!.GetValue<long>();

    public static long Purged(this JsonNode run) => run["purged"]!.AsObject().Sum(rule => rule.Value!.GetValue<long>());

    /// <summary>sql/rebuild_state.sql, as the owner, mends and removes nothing.</summary>
    public static async Task RebuildChangesNothingAsync(this TestService service)
    {
        await using var owner = service.Database.OpenAsOwner();
        await owner.OpenAsync();
        await using var transaction = await owner.BeginTransactionAsync();
        await using var command = new NpgsqlCommand(EmbeddedSql.Read("rebuild_state.sql"), owner);
        await using var reader = await command.ExecuteReaderAsync();
        (await reader.ReadAsync()).ShouldBeTrue();
        reader.GetInt64(1).ShouldBe(0, "mended");
        reader.GetInt64(2).ShouldBe(0, "removed");
    }

    /// <summary>What the run says it purged is what there are records of, the audit trail aside, seen in one instant: another leader may be at work.</summary>
    public static async Task CountersAreRecordsAsync(this TestService service, JsonNode run)
    {
        var differing = await service.SqlAsync(
            $$"""
            select string_agg(format('%s: counted %s, recorded %s', counter.rule, counter.value, recorded.value), '; ')
            from purge_run run,
                jsonb_each_text(to_jsonb(run)) counter (rule, value),
                lateral (select count(*)::text from purge_record where purge_record.run_id = run.run_id and purge_record.rule::text = counter.rule) recorded (value)
            where run.run_id = '{{run.Text("id")}}' and counter.rule = any ('{ {{string.Join(',', run["purged"]!.AsObject().Select(rule => rule.Key).Except(["audit"]))}} }')
                and counter.value <> recorded.value
            """);
        differing.ShouldBe(DBNull.Value);
    }

    public static async Task<long> CountAsync(this TestService service, string table, string where = "true") =>
        (long)(await service.SqlAsync($"select count(*) from {table} where {where}"))!;

    /// <summary>Everything in the ledger that a purge may touch, as text, to be compared.</summary>
    public static async Task<string> ContentsAsync(this TestService service) => (string)(await service.SqlAsync(
        """
        select coalesce((select string_agg(t::text, e'\n' order by t::text) from consent_event t), '') || '|' ||
            coalesce((select string_agg(t::text, e'\n' order by t::text) from evidence t), '') || '|' ||
            coalesce((select string_agg(t::text, e'\n' order by t::text) from consent_state t), '') || '|' ||
            coalesce((select string_agg(t::text, e'\n' order by t::text) from suppression t), '') || '|' ||
            coalesce((select string_agg(t::text, e'\n' order by t::text) from subscriber t), '')
        """))!;

    public static JsonObject Retention(string? pending = null, string? lapsed = null, string? evidence = null)
    {
        var retention = new JsonObject();
        foreach (var (name, value) in new[] { ("pending", pending), ("lapsed", lapsed), ("evidence", evidence) })
        {
            if (value is not null)
            {
                retention[name] = value;
            }
        }

        return new JsonObject { ["retention"] = retention };
    }

    public static JsonObject WithEvidence() => new() { ["evidence"] = new JsonObject { ["ip"] = "192.0.2.7" } };
}
