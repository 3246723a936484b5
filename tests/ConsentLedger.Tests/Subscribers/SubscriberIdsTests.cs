using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Tests.Subscribers;

public sealed class SubscriberIdsTests
{
    private const string Secret = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    /// <summary>
    /// Ids are for ever: a change of these vectors, which were computed apart from this code, orphans every ledger.
    /// </summary>
    [Theory]
    [InlineData("ada@example.org", "05d906c0-1541-b208-fd71-c861b533d5ac")]
    [InlineData("ADA@Example.Org", "05d906c0-1541-b208-fd71-c861b533d5ac")]
    [InlineData("tel:+44 20 7946 0000", "d7af8404-88ae-9bec-3d6f-c1744d7076eb")]
    [InlineData("ref:MEM-1234", "ccbefeca-08f8-5e7c-11b0-c750bded115b")]
    public void An_address_has_the_same_id_for_ever(string address, string id) =>
        Ids(Secret).Of(Read(address)).ToString().ShouldBe(id);

    [Fact]
    public void The_scheme_is_part_of_what_is_hashed() =>
        Ids(Secret).Of(Read("ref:442079460000")).ShouldNotBe(Ids(Secret).Of(Read("tel:+442079460000")));

    [Fact]
    public void Another_installation_has_other_ids() =>
        Ids(MasterKey.Generate().ToBase64()).Of(Read("ada@example.org")).ShouldNotBe(Ids(Secret).Of(Read("ada@example.org")));

    [Fact]
    public void Rotating_keys_changes_no_id()
    {
        MasterKey.TryParse(Secret, out var master).ShouldBeTrue();
        new SubscriberIds(new KeyRing(master, 7)).Of(Read("ada@example.org")).ToString().ShouldBe("05d906c0-1541-b208-fd71-c861b533d5ac");
    }

    [Fact]
    public void The_longest_address_has_an_id_too()
    {
        var longest = Read(new string('é', 32) + "@" + string.Join('.', Enumerable.Repeat(new string('a', 61), 3)) + ".org");
        Ids(Secret).Of(longest).ShouldBe(Ids(Secret).Of(Read(longest.Normalised)));
    }

    private static Address Read(string text) => Address.Parse(text, null);

    private static SubscriberIds Ids(string secret) =>
        new(new KeyRing(MasterKey.TryParse(secret, out var master) ? master : throw new ArgumentException("No master key.", nameof(secret))));
}
