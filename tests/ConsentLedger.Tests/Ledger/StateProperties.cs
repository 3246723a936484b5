using ConsentLedger.Database;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;
using ConsentLedger.Tests.Hosting;
using CsCheck;
using Microsoft.Extensions.DependencyInjection;
using Npgsql;
using LedgerEventId = ConsentLedger.Ledger.EventId;

namespace ConsentLedger.Tests.Ledger;

/// <summary>DESIGN decision 3: for any events in any arrival order, the projection is what a rebuild makes of the history.</summary>
public sealed class StateProperties(TestDatabase databases)
{
    private static readonly DateTimeOffset Noon = TestService.Start;

    /// <summary>An event of a subscriber by number: few subscribers, purposes and instants, so that ties are common.</summary>
    private static readonly Gen<(int Subscriber, ConsentEvent Event)> AnyEvent = Gen.Select(
        Gen.Int[0, 2],
        Gen.OneOf(
            Gen.Select(Gen.Int[1, 2], Gen.OneOf(Enum.GetValues<EventKind>().Where(kind => !kind.IsFacetOnly()).ToArray())),
            Gen.Select(Gen.Const(0), Gen.Const(EventKind.Objected)),
            Gen.Select(Gen.Const(-1), Gen.OneOf(EventKind.Suppressed, EventKind.Released)),
            Gen.Select(Gen.Const(-2), Gen.OneOf(EventKind.Restricted, EventKind.Unrestricted))),
        Gen.OneOf(0L, 1L, TimeSpan.TicksPerMicrosecond, TimeSpan.TicksPerHour),
        Gen.Guid,
        Gen.Int[0, 2],
        Gen.Bool,
        Gen.OneOf(Enum.GetValues<LawfulBasis>()).Nullable(),
        (subscriber, about, later, id, lasts, shown, basis) => (subscriber, new ConsentEvent
        {
            SubscriberId = default,
            Id = new LedgerEventId(id),
            Purpose = new PurposeId(about.Item1),
            Kind = about.Item2,
            Basis = basis,
            Source = SourceKind.Api,
            OccurredAt = Instant.Of(Noon.AddTicks(later)),
            RecordedAt = Noon.AddDays(1),
            ExpiresAt = lasts == 0 ? null : Noon.AddDays(lasts),
            Evidence = shown ? Evidence.Of(new Dictionary<string, object?> { ["ip"] = "192.0.2.7" }) : null,
        }));

    private static readonly Gen<(int Subscriber, ConsentEvent Event)[]> History =
        AnyEvent.Array[1, 30].Select(events => events.DistinctBy(@event => @event.Event.Id).ToArray());

    [Fact]
    public async Task For_any_events_in_any_order_the_projection_is_the_fold_and_a_rebuild_changes_nothing()
    {
        await using var service = await TestService.StartAsync(databases);
        var ledger = service.Services.GetRequiredService<LedgerStore>();
        var all = 0L;

        await Gen.Select(History, Gen.Bool).SampleAsync(
            async (history, atOnce) =>
            {
                SubscriberId[] subscribers = [new(Guid.NewGuid()), new(Guid.NewGuid()), new(Guid.NewGuid())];
                var events = history.Select(one => one.Event with { SubscriberId = subscribers[one.Subscriber] }).ToList();
                var appending = events.Select(one => new Func<Task>(async () =>
                    (await ledger.AppendAsync(one, null, CancellationToken.None)).ShouldBeOneOf(AppendOutcome.Appended, AppendOutcome.AppendedAsHistory)));
                if (atOnce)
                {
                    await Parallel.ForEachAsync(appending, new ParallelOptions { MaxDegreeOfParallelism = 8 }, async (append, _) => await append());
                }
                else
                {
                    foreach (var append in appending)
                    {
                        await append();
                    }
                }

                foreach (var subscriber in subscribers)
                {
                    var expected = events.Where(one => one.SubscriberId == subscriber).GroupBy(one => one.Purpose)
                        .Select(one => one.Select(ConsentState.Of).Aggregate((ConsentState?)null, (state, next) => ConsentState.Fold(state, next))!.Value)
                        .OrderBy(state => state.Purpose.Value);
                    (await ledger.ReadStatesAsync(subscriber, CancellationToken.None)).ShouldBe(expected);
                }

                all += events.Select(one => (one.SubscriberId, one.Purpose)).Distinct().Count();
            },
            iter: 150,
            threads: 1);

        (await StateRebuild.RunAsync(service.Database, CancellationToken.None)).ShouldBe(new StateRebuild(all, 0, 0));
        (await service.SqlAsync($"select count(*) from consent_event left join {TestService.Logged} using (subscriber_id, event_id) where logged.commitment is null")).ShouldBe(0L);
        (await service.SqlAsync("select count(*) from consent_event full join evidence using (subscriber_id, event_id) where (evidence_digest is null) <> (sealed is null)")).ShouldBe(0L);
    }

    [Fact]
    public async Task However_recording_expiries_and_events_interleave_the_status_is_the_one_without_any_recorded()
    {
        await using var service = await TestService.StartAsync(databases);
        var ledger = service.Services.GetRequiredService<LedgerStore>();
        var purpose = new PurposeId(1);
        var said = Gen.Select(
            Gen.OneOf(EventKind.Given, EventKind.Renewed, EventKind.Permitted, EventKind.Requested, EventKind.Withdrawn),
            Gen.Int[0, 20],
            Gen.Int[1, 10],
            Gen.Bool,
            Gen.Guid,
            (kind, day, lasts, expiryRunsAfter, id) => (ExpiryRunsAfter: expiryRunsAfter, Event: new ConsentEvent
            {
                SubscriberId = default,
                Id = new LedgerEventId(id),
                Purpose = purpose,
                Kind = kind,
                Source = SourceKind.Api,
                OccurredAt = Noon.AddDays(day),
                RecordedAt = Noon.AddDays(40),
                ExpiresAt = kind.Permits() ? Noon.AddDays(day + lasts) : null,
            }));
        var closed = 0;

        await Gen.Select(said.Array[1, 8].Select(all => all.DistinctBy(one => one.Event.Id).DistinctBy(one => one.Event.OccurredAt).ToArray()), Gen.Int[0, 40]).SampleAsync(
            async (history, today) =>
            {
                var subscriber = new SubscriberId(Guid.NewGuid());
                var now = Noon.AddDays(today);
                foreach (var (expiryRunsAfter, @event) in history)
                {
                    await ledger.AppendAsync(@event with { SubscriberId = subscriber }, null, CancellationToken.None);
                    if (expiryRunsAfter)
                    {
                        closed += await ExpireAsync(subscriber, now);
                    }
                }

                closed += await ExpireAsync(subscriber, now);
                var expected = history.Select(one => ConsentState.Of(one.Event)).Aggregate((ConsentState?)null, (state, next) => ConsentState.Fold(state, next))!.Value;
                var actual = (await ledger.ReadStatesAsync(subscriber, CancellationToken.None)).Single();
                (actual.StatusAt(now), actual.Since, actual.ExpiresAt).ShouldBe((expected.StatusAt(now), expected.Since, expected.ExpiresAt));
            },
            iter: 150,
            threads: 1);

        closed.ShouldBeGreaterThan(50);
        (await StateRebuild.RunAsync(service.Database, CancellationToken.None)).ShouldBe(new StateRebuild(150, 0, 0));

        async Task<int> ExpireAsync(SubscriberId subscriber, DateTimeOffset now)
        {
            var ranOut = (await ledger.ReadStatesAsync(subscriber, CancellationToken.None)).Where(state => state.Kind.Permits() && state.ExpiresAt <= now).Select(state => (subscriber, state));
            await using var connection = await service.Database.Service.OpenConnectionAsync();
            await using var transaction = await connection.BeginTransactionAsync();
            var appended = await ledger.AppendExpiredAsync(connection, ranOut, service.Keys.EventIdKey, now, CancellationToken.None);
            await transaction.CommitAsync();
            return appended;
        }
    }

    [Fact]
    public void Folding_any_order_comes_to_the_same_state() =>
        Gen.Select(AnyEvent.Array[1, 12], Gen.Int[0, 1000]).Sample((history, turn) =>
        {
            var states = history.Select(one => ConsentState.Of(one.Event with { Purpose = new PurposeId(1) })).ToArray();
            var turned = states.Skip(turn % states.Length).Concat(states.Take(turn % states.Length)).Reverse();
            Fold(turned).ShouldBe(Fold(states));

            static ConsentState? Fold(IEnumerable<ConsentState> states) =>
                states.OrderBy(state => state.EventId.Value).DistinctBy(state => state.EventId).Aggregate((ConsentState?)null, (state, next) => ConsentState.Fold(state, next));
        });

    [Fact]
    public void What_a_list_brings_back_is_the_same_whoever_asked_in_between()
    {
        // One purpose and the kinds that matter, so that a request over a refusal is common.
        var said = Gen.Select(
            AnyEvent,
            Gen.OneOf(EventKind.Requested, EventKind.Given, EventKind.Permitted, EventKind.Withdrawn),
            (one, kind) => ConsentState.Of(one.Event.Purpose == PurposeId.Objection ? one.Event : one.Event with { Purpose = new PurposeId(1), Kind = kind }));
        var asked = 0;
        Gen.Select(said.Array[0, 6], said.Array[1, 6]).Sample(
            (before, list) =>
            {
                var rows = list.Select((state, index) => new ListedEvent(index + 2, state)).ToList();
                var held = Resubscription.HeldBack(before, rows).ToList();

                Resubscription.HeldBack([.. before.Where(IsNoRequest)], [.. rows.Where(row => IsNoRequest(row.State))]).ShouldBe(held);
                Interlocked.Add(ref asked, held.Count > 0 && !before.All(IsNoRequest) ? 1 : 0);
            },
            iter: 5_000);
        asked.ShouldBeGreaterThan(100);

        static bool IsNoRequest(ConsentState state) => state.Kind != EventKind.Requested;
    }

    [Fact]
    public async Task The_order_of_states_here_is_the_order_of_rows_in_the_database()
    {
        await using var service = await TestService.StartAsync(databases);
        await Gen.Select(AnyEvent, AnyEvent, Gen.Bool).Array[500].SampleAsync(
            async pairs =>
            {
                // A kind may be any here, and half of the pairs differ in the id alone.
                var compared = pairs.Select(pair => (One: ConsentState.Of(pair.Item1.Event), Other: ConsentState.Of(pair.Item3
                    ? pair.Item2.Event
                    : pair.Item1.Event with { Id = pair.Item2.Event.Id }))).ToArray();
                await using var command = service.Database.Service.CreateCommand("""
                    select array_agg((o, k::event_kind, e) > (p, l::event_kind, f) order by n)
                    from unnest($1::timestamptz[], $2::text[], $3::uuid[], $4::timestamptz[], $5::text[], $6::uuid[]) with ordinality as pair (o, k, e, p, l, f, n)
                    """);
                foreach (var states in new[] { compared.Select(pair => pair.One), compared.Select(pair => pair.Other) })
                {
                    command.Parameters.Add(new NpgsqlParameter { Value = states.Select(state => state.Since.UtcDateTime).ToArray() });
                    command.Parameters.Add(new NpgsqlParameter { Value = states.Select(state => Label<EventKind>.Of(state.Kind)).ToArray() });
                    command.Parameters.Add(new NpgsqlParameter { Value = states.Select(state => state.EventId.Value).ToArray() });
                }

                ((bool[])(await command.ExecuteScalarAsync())!).ShouldBe(compared.Select(pair => pair.One.Beats(pair.Other)));
            },
            iter: 10,
            threads: 1);
    }

    [Fact]
    public async Task The_labels_and_their_order_are_those_of_the_database()
    {
        await using var service = await TestService.StartAsync(databases);

        (await service.SqlAsync("select enum_range(null::event_kind)::text[]")).ShouldBe(Label<EventKind>.All);
        (await service.SqlAsync("select enum_range(null::lawful_basis)::text[]")).ShouldBe(Label<LawfulBasis>.All);
        (await service.SqlAsync("select enum_range(null::source_kind)::text[]")).ShouldBe(Label<SourceKind>.All);
        (await service.SqlAsync("select enum_range(null::channel)::text[]")).ShouldBe(Label<Channel>.All);
    }

    [Fact]
    public void Within_one_instant_what_forbids_beats_what_permits_and_that_beats_what_asks()
    {
        var kinds = Enum.GetValues<EventKind>();
        var permitting = kinds.Where(kind => kind.Permits()).ToList();
        var forbidding = kinds.Where(kind => kind.Refuses() || kind is EventKind.Expired or EventKind.Invalidated).ToList();
        (EventKind.Requested < permitting.Min()).ShouldBeTrue();
        (permitting.Max() < forbidding.Min()).ShouldBeTrue();
        (EventKind.Released < EventKind.Suppressed && EventKind.Unrestricted < EventKind.Restricted).ShouldBeTrue();
    }

    [Fact]
    public async Task A_rebuild_mends_states_that_are_wrong_or_missing_and_removes_those_without_a_history()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        foreach (var name in new[] { "ada", "bob", "cat", "dan" })
        {
            await service.EventAsync($"{name}@museum.example", "given", occurredAt: Noon.AddDays(-2), with: new() { ["expiresAt"] = "2027-11-22T09:30:00Z" });
            await service.EventAsync($"{name}@museum.example", "withdrawn", occurredAt: Noon.AddDays(-1));
        }

        await service.SqlAsync("create table whole as table consent_state");
        await service.SqlAsync("""
            with row as (select *, row_number() over (order by subscriber_id) as n from consent_state),
            corrupted as (update consent_state set kind = 'given' from row where row.n = 1 and consent_state.subscriber_id = row.subscriber_id),
            changed as (update consent_state set expires_at = now() from row where row.n = 2 and consent_state.subscriber_id = row.subscriber_id),
            missing as (delete from consent_state using row where row.n = 3 and consent_state.subscriber_id = row.subscriber_id)
            insert into consent_state select gen_random_uuid(), purpose_id, kind, basis, occurred_at, expires_at, event_id from row where n <= 2
            """);

        (await StateRebuild.RunAsync(service.Database, CancellationToken.None)).ShouldBe(new StateRebuild(4, 3, 2));

        (await service.SqlAsync("select count(*) from ((table whole except table consent_state) union all (table consent_state except table whole)) difference")).ShouldBe(0L);
        (await StateRebuild.RunAsync(service.Database, CancellationToken.None)).ShouldBe(new StateRebuild(4, 0, 0));
    }

    [Fact]
    public async Task What_is_left_of_a_purged_refusal_takes_part_in_a_rebuild()
    {
        await using var service = await TestService.StartAsync(databases);
        await service.PurposeAsync();
        await service.EventAsync("ada@museum.example", "given", occurredAt: Noon.AddDays(-2));
        await service.EventAsync("ada@museum.example", "withdrawn", occurredAt: Noon.AddDays(-1));
        await service.SqlAsync("""
            with purged as (delete from consent_event where kind = 'withdrawn' returning *)
            insert into suppression select subscriber_id, purpose_id, kind, basis, occurred_at, event_id, now() from purged
            """);

        (await StateRebuild.RunAsync(service.Database, CancellationToken.None)).ShouldBe(new StateRebuild(1, 0, 0));
        (await service.ReasonAsync("ada@museum.example")).ShouldBe("withdrawn");
    }
}
