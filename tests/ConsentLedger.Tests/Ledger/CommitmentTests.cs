using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;
using ConsentLedger.Tests.Hosting;
using Microsoft.Extensions.DependencyInjection;
using LedgerEventId = ConsentLedger.Ledger.EventId;

namespace ConsentLedger.Tests.Ledger;

public sealed class CommitmentTests(TestDatabase databases)
{
    private static readonly byte[] Opening = [.. Enumerable.Range(0, 16).Select(n => (byte)n)];
    private static readonly byte[] EvidenceDigest = Convert.FromHexString("e424c7287814863cf412a735851d5c931eb412aba5d007b8bb6edc7f9425b31f");

    private static readonly ConsentEvent Event = new()
    {
        SubscriberId = SubscriberId.Parse("05d906c0-1541-b208-fd71-c861b533d5ac", null),
        Id = LedgerEventId.Parse("018bcfe5-687b-74a5-96aa-b8812806583e", null),
        Purpose = new PurposeId(7),
        Kind = EventKind.Given,
        Basis = LawfulBasis.Consent,
        NoticeVersion = 3,
        Source = SourceKind.WebForm,
        OccurredAt = TestService.Start.AddMicroseconds(123_456),
        RecordedAt = TestService.Start.AddMinutes(1),
        ExpiresAt = new DateTimeOffset(2028, 11, 22, 9, 30, 0, TimeSpan.Zero),
        Evidence = Evidence.Of(new Dictionary<string, object?> { ["ip"] = "192.0.2.7" }),
    };

    /// <summary>Computed apart from this code, from the canonical JSON alone: what a verifier elsewhere must get too.</summary>
    [Fact]
    public void A_commitment_is_the_same_for_ever()
    {
        Convert.ToHexStringLower(Commitment.Compute(Event, Opening, [])).ShouldBe("4c50d25f5fedf301783a77bc9b9638676ee91fb1959dcab91e9c1b95bc819a1f");
        Convert.ToHexStringLower(Commitment.Compute(Event, Opening, EvidenceDigest)).ShouldBe("b3e30085a71ac1091892334f18f79d9a9f8a0619b43c401d9d7890c8ae53820d");
        Encoding.UTF8.GetString(Event.Evidence!.Canonical).ShouldBe("""{"evidence":{"ip":"192.0.2.7"}}""");
    }

    [Fact]
    public void It_changes_with_every_field_with_the_opening_and_with_the_evidence()
    {
        byte[][] all =
        [
            Commitment.Compute(Event, Opening, EvidenceDigest),
            Commitment.Compute(Event, Opening, []),
            Commitment.Compute(Event, Opening, [.. EvidenceDigest.Reverse()]),
            Commitment.Compute(Event, [.. Opening.Reverse()], EvidenceDigest),
            .. new[]
            {
                Event with { SubscriberId = new SubscriberId(Guid.Empty) },
                Event with { Id = new LedgerEventId(Guid.Empty) },
                Event with { Purpose = new PurposeId(8) },
                Event with { Kind = EventKind.Renewed },
                Event with { Basis = LawfulBasis.ExplicitConsent },
                Event with { Basis = null },
                Event with { NoticeVersion = 4 },
                Event with { NoticeVersion = null },
                Event with { Source = SourceKind.Paper },
                Event with { OccurredAt = Event.OccurredAt.AddMicroseconds(1) },
                Event with { RecordedAt = Event.RecordedAt.AddMicroseconds(1) },
                Event with { ExpiresAt = Event.ExpiresAt!.Value.AddMicroseconds(1) },
                Event with { ExpiresAt = null },
            }.Select(changed => Commitment.Compute(changed, Opening, EvidenceDigest)),
        ];
        all.Select(Convert.ToHexString).ShouldBeUnique();
    }

    [Fact]
    public void Openings_are_fresh_and_the_evidence_has_one_of_its_own()
    {
        var one = Commitment.To(Event);
        var other = Commitment.To(Event);
        new[] { one.Opening, one.EvidenceOpening!, other.Opening, other.EvidenceOpening! }.Select(Convert.ToHexString).ShouldBeUnique();
        one.EvidenceDigest.ShouldBe(HMACSHA256.HashData(one.EvidenceOpening!, Event.Evidence!.Canonical));
        one.Value.ShouldBe(Commitment.Compute(Event, one.Opening, one.EvidenceDigest));
        var bare = Commitment.To(Event with { Evidence = null });
        (bare.EvidenceDigest, bare.EvidenceOpening).ShouldBe((null, null));
    }

    [Fact]
    public async Task A_stored_event_verifies_and_goes_on_to_after_its_evidence_was_purged()
    {
        await using var service = await TestService.StartAsync(databases);
        var ledger = service.Services.GetRequiredService<LedgerStore>();
        await ledger.AppendAsync(Event, Address.Parse("ada@museum.example", null), CancellationToken.None);
        await VerifyAsync();
        var opening = (byte[])(await service.SqlAsync("select opening from evidence"))!;
        var kept = await ledger.FindAsync(Event.SubscriberId, Event.Id, CancellationToken.None);
        HMACSHA256.HashData(opening, kept!.Evidence!.Canonical).ShouldBe((byte[])(await service.SqlAsync("select evidence_digest from consent_event"))!);

        await using (var purge = service.Database.Purge.CreateCommand("delete from evidence"))
        {
            await purge.ExecuteNonQueryAsync(TestContext.Current.CancellationToken);
        }

        await VerifyAsync();

        async Task VerifyAsync()
        {
            var stored = (await ledger.FindAsync(Event.SubscriberId, Event.Id, CancellationToken.None)).ShouldNotBeNull();
            await using var command = service.Database.Service.CreateCommand(
                $"select commitment, opening, evidence_digest, (select commitment from {TestService.Logged}) from consent_event");
            await using var row = await command.ExecuteReaderAsync();
            await row.ReadAsync();
            Commitment.Compute(stored, row.GetFieldValue<byte[]>(1), row.GetFieldValue<byte[]>(2)).ShouldBe(row.GetFieldValue<byte[]>(0));
            row.GetFieldValue<byte[]>(3).ShouldBe(row.GetFieldValue<byte[]>(0));
        }
    }

    [Fact]
    public async Task An_event_that_comes_again_after_its_evidence_was_purged_is_the_same_event()
    {
        await using var service = await TestService.StartAsync(databases);
        var ledger = service.Services.GetRequiredService<LedgerStore>();
        (await ledger.AppendAsync(Event, null, CancellationToken.None)).ShouldBe(AppendOutcome.Appended);
        (await ledger.AppendAsync(Event, null, CancellationToken.None)).ShouldBe(AppendOutcome.AlreadyThere);
        (await ledger.AppendAsync(Event with { Evidence = null }, null, CancellationToken.None)).ShouldBe(AppendOutcome.Conflict);

        await service.SqlAsync("delete from evidence");

        (await ledger.AppendAsync(Event, null, CancellationToken.None)).ShouldBe(AppendOutcome.AlreadyThere);
        (await ledger.AppendAsync(Event with { Kind = EventKind.Renewed }, null, CancellationToken.None)).ShouldBe(AppendOutcome.Conflict);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(5)]
    public void Evidence_reads_back_at_every_depth_it_may_have(int depth)
    {
        var given = Nested(depth);
        using var json = JsonDocument.Parse(given);
        Evidence.TryRead(json.RootElement, out var members, out var problem).ShouldBeTrue(problem);
        var evidence = Evidence.Of(members, "reference", "https://museum.example", members)!;
        Evidence.Read(evidence.Canonical).Canonical.SequenceEqual(evidence.Canonical).ShouldBeTrue();
    }

    [Theory]
    [InlineData("""{"x":"\ud800"}""")]
    [InlineData("""{"\udc00":"x"}""")]
    [InlineData("""{"x":"\u0000"}""")]
    [InlineData("""{"x":-9223372036854775808}""")]
    [InlineData("""{"x":9007199254740992}""")]
    [InlineData("""{"x":1.5}""")]
    [InlineData("""{"x":[]}""")]
    [InlineData("""{"x":1,"x":2}""")]
    [InlineData("""{"a":{"a":{"a":{"a":{"a":1}}}}}""", false)]
    [InlineData("""{"a":{"a":{"a":{"a":{"a":{}}}}}}""")]
    public void What_can_not_be_evidence_is_refused_and_never_thrown(string given, bool refused = true)
    {
        using var json = JsonDocument.Parse(given);
        Evidence.TryRead(json.RootElement, out _, out var problem).ShouldBe(!refused);
        (problem is null).ShouldBe(!refused);
    }

    private static string Nested(int depth) => depth == 1 ? """{"a":1}""" : $$"""{"a":{{Nested(depth - 1)}}}""";
}
