using System.Security.Cryptography;
using ConsentLedger.Security;
using CsCheck;

namespace ConsentLedger.Tests.Security;

public sealed class SealerTests
{
    private static readonly Gen<byte[]> Bytes = Gen.Byte.Array[0, 300];

    [Fact]
    public void What_is_sealed_opens_in_its_place() => Gen.Select(Bytes, Bytes).Sample((plain, place) =>
    {
        using var sealer = New();
        var box = sealer.Seal(plain, place);
        box.Length.ShouldBe(plain.Length + Sealer.Overhead);
        sealer.Open(box, place).ShouldBe(plain);
    });

    [Fact]
    public void It_opens_nowhere_else() => Gen.Select(Bytes, Bytes, Bytes).Where((_, place, other) => !place.SequenceEqual(other)).Sample((plain, place, other) =>
    {
        using var sealer = New();
        var box = sealer.Seal(plain, place);
        Should.Throw<CryptographicException>(() => sealer.Open(box, other));
    });

    [Fact]
    public void What_is_sealed_with_a_secret_opens_with_that_secret_and_not_without() => Gen.Select(Bytes, Bytes, Bytes).Where((_, secret, other) => !secret.SequenceEqual(other)).Sample((plain, secret, other) =>
    {
        using var sealer = New();
        var box = sealer.Seal(plain, "place"u8, secret);
        sealer.Open(box, "place"u8, secret).ShouldBe(plain);
        Should.Throw<CryptographicException>(() => sealer.Open(box, "place"u8, other));
        Should.Throw<CryptographicException>(() => sealer.Open(box, "place"u8));
    });

    [Fact]
    public void A_changed_bit_anywhere_shuts_it() => Gen.Select(Bytes, Gen.Int[0, int.MaxValue]).Sample((plain, which) =>
    {
        using var sealer = New(newest: 3);
        var box = sealer.Seal(plain, "place"u8);
        var bit = which % (box.Length * 8);
        box[bit / 8] ^= (byte)(1 << (bit % 8));
        Should.Throw<CryptographicException>(() => sealer.Open(box, "place"u8));
    });

    [Fact]
    public void Every_bit_of_one_box_counts()
    {
        using var sealer = New(newest: 255);
        var box = sealer.Seal("ada"u8, "place"u8);
        for (var bit = 0; bit < box.Length * 8; bit++)
        {
            box[bit / 8] ^= (byte)(1 << (bit % 8));
            Should.Throw<CryptographicException>(() => sealer.Open(box, "place"u8), $"bit {bit}");
            box[bit / 8] ^= (byte)(1 << (bit % 8));
        }

        sealer.Open(box, "place"u8).ShouldBe("ada"u8.ToArray());
    }

    [Fact]
    public void Cut_short_at_any_length_it_is_refused()
    {
        using var sealer = New();
        var box = sealer.Seal("ada"u8, "place"u8);
        for (var length = 0; length < box.Length; length++)
        {
            Should.Throw<CryptographicException>(() => sealer.Open(box.AsSpan(0, length), "place"u8), $"length {length}");
        }

        Should.Throw<CryptographicException>(() => sealer.Open([.. box, 0], "place"u8));
    }

    [Fact]
    public void Another_installation_can_not_open_it()
    {
        using var one = New();
        using var other = New();
        var box = one.Seal("ada"u8, "place"u8);
        Should.Throw<CryptographicException>(() => other.Open(box, "place"u8));
    }

    [Fact]
    public void The_same_value_sealed_twice_shows_no_likeness()
    {
        using var sealer = New();
        sealer.Seal("ada"u8, "place"u8).ShouldNotBe(sealer.Seal("ada"u8, "place"u8));
    }

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

    [Fact]
    public void After_a_rotation_the_newest_seals_and_the_old_still_open()
    {
        var master = MasterKey.Generate();
        using var before = new Sealer(new KeyRing(master, 1));
        using var after = new Sealer(new KeyRing(master, 2));
        var old = before.Seal("ada"u8, "place"u8);
        var @new = after.Seal("ada"u8, "place"u8);

        old[1].ShouldBe((byte)1);
        @new[1].ShouldBe((byte)2);
        after.Open(old, "place"u8).ShouldBe("ada"u8.ToArray());
        after.Open(@new, "place"u8).ShouldBe("ada"u8.ToArray());
        Should.Throw<CryptographicException>(() => before.Open(@new, "place"u8)).Message.ShouldBe("This is not a value sealed by this installation.");
    }

    [Fact]
    public void Places_of_different_rows_and_tables_differ()
    {
        var (one, other) = (Guid.NewGuid(), Guid.NewGuid());
        byte[][] places =
        [
            SealedPlace.Of("subscriber", one), SealedPlace.Of("subscriber", other), SealedPlace.Of("legal_hold", one),
            SealedPlace.Of("evidence", one, other), SealedPlace.Of("evidence", other, one), SealedPlace.Of("subscriber", one, other),
            SealedPlace.Of("idempotency", one, "key"), SealedPlace.Of("idempotency", one, "ke"), SealedPlace.Of("idempotencyk", one, "ey"),
        ];
        places.Select(Convert.ToHexString).ShouldBeUnique();
    }

    private static Sealer New(byte newest = 1) => new(new KeyRing(MasterKey.Generate(), newest));
}
