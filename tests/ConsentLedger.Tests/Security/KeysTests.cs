using ConsentLedger.Security;

namespace ConsentLedger.Tests.Security;

public sealed class KeysTests
{
    private const string Secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    [Fact]
    public void Every_label_makes_another_key()
    {
        var keys = new KeyRing(Master(), 255);
        byte[][] all =
        [
            keys.AddressKey, keys.EventIdKey, keys.ApiKeyHashKey, keys.CheckValue,
            .. Enumerable.Range(1, 255).Select(id => keys.SealingKey((byte)id)!),
            .. Enumerable.Range(1, 255).Select(id => keys.TokenKey((byte)id)!),
        ];

        all.Select(Convert.ToHexString).ShouldBeUnique();
        all.ShouldAllBe(key => key.Length == 32);
    }

    /// <summary>HKDF-SHA-256 (RFC 5869) without a salt, computed apart from this code.</summary>
    [Fact]
    public void Keys_are_derived_the_same_way_for_ever() =>
        Convert.ToHexStringLower(new KeyRing(Master()).SealingKey(1)!).ShouldBe("956f369d0dfd2306d31be5bf988e8a259a22f6066d4c269773a8369d48014519");

    [Fact]
    public void There_is_no_key_zero_and_none_beyond_the_newest()
    {
        var keys = new KeyRing(Master(), 2);
        keys.SealingKey(0).ShouldBeNull();
        keys.TokenKey(0).ShouldBeNull();
        keys.SealingKey(2).ShouldNotBeNull();
        keys.SealingKey(3).ShouldBeNull();
        keys.TokenKey(3).ShouldBeNull();
    }

    [Fact]
    public void A_key_asked_for_too_early_is_there_after_the_rotation()
    {
        var master = Master();
        new KeyRing(master, 1).TokenKey(2).ShouldBeNull();
        new KeyRing(master, 2).TokenKey(2).ShouldNotBeNull();
    }

    [Theory]
    [InlineData(Secret, true)]
    [InlineData("  " + Secret + "\r\n", true)]
    [InlineData(null, false)]
    [InlineData("", false)]
    [InlineData("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==", false)] // 31 bytes
    [InlineData("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g", false)] // 33 bytes
    [InlineData("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", false)] // no padding
    [InlineData("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=" + Secret, false)]
    [InlineData("not a key", false)]
    [InlineData("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", false)]
    public void A_master_key_is_32_bytes_in_base64(string? text, bool valid) => MasterKey.TryParse(text, out _).ShouldBe(valid);

    [Fact]
    public void A_generated_master_key_is_read_back_and_never_printed()
    {
        var made = MasterKey.Generate();
        MasterKey.TryParse(made.ToBase64(), out var read).ShouldBeTrue();
        read.Derive("x").ShouldBe(made.Derive("x"));
        MasterKey.Generate().ToBase64().ShouldNotBe(made.ToBase64());
        $"{made}".ShouldBe("master key");
    }

    /// <summary>HMAC-SHA-256 under HKDF label api-key/1, computed apart from this code.</summary>
    [Fact]
    public void An_API_key_is_stored_as_a_keyed_hash() =>
        Convert.ToHexStringLower(ApiKey.Hash("clk_" + new string('A', 43), new KeyRing(Master()))!)
            .ShouldBe("fd84cf9ee2875e7798fcc6ea71abfcf82c9a18a42be1c270c796075fc181bced");

    [Fact]
    public void API_keys_are_256_random_bits()
    {
        var keys = Enumerable.Range(0, 100).Select(_ => ApiKey.New()).ToList();
        keys.ShouldBeUnique();
        keys.ShouldAllBe(key => key.StartsWith("clk_", StringComparison.Ordinal) && key.Length == 47);
    }

    [Fact]
    public void An_API_key_hashes_differently_in_another_installation()
    {
        var key = ApiKey.New();
        ApiKey.Hash(key, new KeyRing(Master())).ShouldNotBe(ApiKey.Hash(key, new KeyRing(MasterKey.Generate())));
    }

    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("clk_")]
    [InlineData("clk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")] // one too short
    [InlineData("clk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")] // one too long
    [InlineData("CLK_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")]
    [InlineData("clk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAé")]
    public void What_can_not_be_an_API_key_is_not_even_looked_for(string? text) => ApiKey.Hash(text, new KeyRing(Master())).ShouldBeNull();

    private static MasterKey Master() => MasterKey.TryParse(Secret, out var master) ? master : throw new InvalidOperationException();
}
