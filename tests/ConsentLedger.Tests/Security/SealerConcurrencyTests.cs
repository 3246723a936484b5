using ConsentLedger.Security;

namespace ConsentLedger.Tests.Security;

public sealed class SealerConcurrencyTests
{
    [Fact]
    public void One_sealer_serves_many_threads_at_once()
    {
        using var sealer = new Sealer(new KeyRing(MasterKey.Generate()));

        Parallel.For(0, 20_000, new ParallelOptions { MaxDegreeOfParallelism = 16 }, i =>
        {
            var place = BitConverter.GetBytes(i);
            var value = new byte[i % 300];
            Random.Shared.NextBytes(value);
            sealer.Open(sealer.Seal(value, place), place).ShouldBe(value);
        });
    }
}
