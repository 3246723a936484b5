using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;
using CsCheck;
using LedgerEventId = ConsentLedger.Ledger.EventId;

namespace ConsentLedger.Tests.Ledger;

public sealed class EventIdTests
{
    private static readonly byte[] Key = new KeyRing(MasterKey.TryParse("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", out var master) ? master : null!).EventIdKey;

    /// <summary>Computed apart from this code. Were it to change, a list imported before would be taken for a new one.</summary>
    [Fact]
    public void Content_has_the_same_id_for_ever() =>
        LedgerEventId.Of(Key, DateTimeOffset.FromUnixTimeMilliseconds(1_700_000_000_123), "content"u8).ToString().ShouldBe("018bcfe5-687b-74a5-96aa-b8812806583e");

    [Fact]
    public void An_id_is_a_UUIDv7_of_its_time() =>
        Gen.Select(Gen.Long[0, 253_402_300_799_999], Gen.Byte.Array[0, 200]).Sample((milliseconds, content) =>
        {
            var time = DateTimeOffset.FromUnixTimeMilliseconds(milliseconds);
            foreach (var id in new[] { LedgerEventId.Of(Key, time, content), LedgerEventId.New(time) })
            {
                id.Value.Version.ShouldBe(7);
                (id.Value.Variant & 0b1100).ShouldBe(0b1000);
                var bytes = id.Value.ToByteArray(bigEndian: true);
                long.Parse(Convert.ToHexString(bytes.AsSpan(0, 6)), System.Globalization.NumberStyles.HexNumber, null).ShouldBe(milliseconds);
            }
        });

    [Fact]
    public void Other_content_another_instant_and_another_key_make_another_id()
    {
        var id = LedgerEventId.Of(Key, TestService.Start, "content"u8);
        LedgerEventId.Of(Key, TestService.Start, "content"u8).ShouldBe(id);
        LedgerEventId.Of(Key, TestService.Start, "Content"u8).ShouldNotBe(id);
        LedgerEventId.Of(Key, TestService.Start.AddMilliseconds(1), "content"u8).ShouldNotBe(id);
        LedgerEventId.Of([.. Key.Reverse()], TestService.Start, "content"u8).ShouldNotBe(id);
    }
}
