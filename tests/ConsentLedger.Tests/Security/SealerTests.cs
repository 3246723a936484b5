using System.Security.Cryptography;
using ConsentLedger.Security;

namespace ConsentLedger.Tests.Security;

public sealed class SealerTests
{
    [Fact]
    public void Sealing_and_opening_from_many_threads_at_once_mixes_nothing_up()
    {
        using var sealer = new Sealer(new KeyRing(MasterKey.Generate()));

        Parallel.For(0, 8, thread =>
        {
            var place = SealedPlace.Of("subscriber", Guid.CreateVersion7());
            for (var i = 0; i < 20_000; i++)
            {
                var text = RandomNumberGenerator.GetBytes(i % 100);
                sealer.Open(sealer.Seal(text, place), place).ShouldBe(text);
            }
        });
    }

    [Fact]
    public void A_value_that_does_not_open_spoils_nothing_for_the_next()
    {
        using var sealer = new Sealer(new KeyRing(MasterKey.Generate()));
        var place = SealedPlace.Of("subscriber", Guid.CreateVersion7());
        var box = sealer.Seal("ada"u8, place);

        Should.Throw<CryptographicException>(() => sealer.Open(box, SealedPlace.Of("subscriber", Guid.CreateVersion7())));

        sealer.Open(box, place).ShouldBe("ada"u8.ToArray());
    }
}
