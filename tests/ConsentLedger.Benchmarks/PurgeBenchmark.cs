using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Text;
using System.Text.Json.Nodes;

namespace ConsentLedger.Benchmarks;

/// <summary>
/// A purge run over people who all withdrew long ago, against the same deletes as plain SQL in batches of the same size:
/// no records, no suppression, no rule to look at, and the state goes with the rest. Both begin on freshly filled tables.
/// </summary>
internal static class PurgeBenchmark
{
    private const int BatchSize = 1000;

    public static async Task<int> RunAsync(Arguments arguments)
    {
        var people = arguments.Subscribers;
        Console.WriteLine($"{people:N0} people whose withdrawal has lapsed, {Environment.ProcessorCount} cores");
        await using var scene = await Scene.SetAsync(0);
        await RefillAsync(scene, people);
        var service = await scene.StartServiceAsync();
        var seconds = await RunAsync(scene, service);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"purge   {seconds,6:N1} s   {people / seconds,9:N0} people/s   {service.PeakMemory} MB of memory at most"));
        scene.Stop(service);

        await RefillAsync(scene, people);
        var start = Stopwatch.GetTimestamp();
        await scene.SqlAsync($$"""
            do $$
            declare
                taken uuid[];
                after timestamptz := '-infinity';
            begin
                loop
                    select array_agg(subscriber_id), max(occurred_at) into taken, after from (
                        select subscriber_id, occurred_at from consent_state
                        where purpose_id = 2 and kind = 'withdrawn' and coalesce(expires_at, occurred_at) > after
                        order by coalesce(expires_at, occurred_at), subscriber_id limit {{BatchSize}}) due;
                    exit when taken is null;
                    delete from evidence where subscriber_id = any (taken) and purpose_id = 2;
                    delete from consent_event where subscriber_id = any (taken) and purpose_id = 2;
                    delete from consent_state where subscriber_id = any (taken) and purpose_id = 2;
                    delete from subscriber where subscriber_id = any (taken);
                    commit;
                end loop;
            end $$;
            """);
        var floor = Stopwatch.GetElapsedTime(start).TotalSeconds;
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"floor   {floor,6:N1} s   {people / floor,9:N0} people/s"));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"ratio {floor / seconds:N2}"));
        return 0;
    }

    /// <summary>Nothing but these people: what an earlier run left would be read, and deleted, by the next.</summary>
    private static async Task RefillAsync(Scene scene, int people)
    {
        await scene.SqlAsync("truncate consent_event, evidence, consent_state, subscriber, suppression, purge_record");
        await FillAsync(scene, people);
        await scene.SqlAsync("vacuum (analyze) consent_event, evidence, consent_state, subscriber");
        await scene.SqlAsync("checkpoint");
    }

    /// <summary>People with one event each, a withdrawal of four years ago, with an address and evidence.</summary>
    public static Task FillAsync(Scene scene, int people) => scene.SqlAsync(string.Create(CultureInfo.InvariantCulture, $$"""
        with person as materialized (
            select gen_random_uuid() as subscriber_id, gen_random_uuid() as event_id, now() - interval '4 years' + n * interval '1 second' as at
            from generate_series(1, {{people}}) n
        ),
        evented as (
            insert into consent_event (subscriber_id, event_id, purpose_id, kind, basis, source_kind, occurred_at, recorded_at, commitment, opening)
            select subscriber_id, event_id, 2, 'withdrawn', 'consent', 'import', at, at, decode(repeat('ab', 32), 'hex'), decode(repeat('cd', 16), 'hex') from person
        ),
        known as (
            insert into subscriber (subscriber_id, address, recorded_at) select subscriber_id, decode(repeat('ab', 55), 'hex'), at from person
        ),
        kept as (
            insert into evidence (subscriber_id, event_id, purpose_id, occurred_at, sealed, opening)
            select subscriber_id, event_id, 2, at, decode(repeat('ab', 190), 'hex'), decode(repeat('cd', 16), 'hex') from person
        )
        insert into consent_state (subscriber_id, purpose_id, kind, basis, occurred_at, event_id)
        select subscriber_id, 2, 'withdrawn', 'consent', at, event_id from person
        """));

    /// <summary>Asks for a purge run and waits until it is done; returns the seconds it took.</summary>
    public static async Task<double> RunAsync(Scene scene, Server service)
    {
        using var client = new HttpClient { BaseAddress = service.Url };
        client.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", scene.Key);
        var start = Stopwatch.GetTimestamp();
        using var body = new StringContent("{}", Encoding.UTF8, "application/json");
        using var asked = await client.PostAsync(new Uri("/v1/retention/runs", UriKind.Relative), body);
        asked.EnsureSuccessStatusCode();
        while (true)
        {
            var run = await client.GetFromJsonAsync<JsonObject>(asked.Headers.Location);
            switch ((string)run!["status"]!)
            {
                case "completed":
                    return Stopwatch.GetElapsedTime(start).TotalSeconds;
                case "failed":
                    throw new InvalidOperationException(run.ToJsonString());
                default:
                    await Task.Delay(100);
                    break;
            }
        }
    }
}
