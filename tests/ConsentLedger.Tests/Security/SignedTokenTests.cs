using System.Buffers.Text;
using ConsentLedger.Choices;
using ConsentLedger.Ledger;
using ConsentLedger.Preferences;
using ConsentLedger.Purposes;
using ConsentLedger.Renewals;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using CsCheck;

namespace ConsentLedger.Tests.Security;

/// <summary>What every link rests on; the kinds have their own tests.</summary>
public sealed class SignedTokenTests
{
    private static readonly KeyRing Keys = new(MasterKey.Generate());

    private static readonly Gen<string> Kinds = Gen.Char['a', 'z'].Array[1, 16].Select(letters => new string(letters));

    private static readonly Gen<(string Kind, byte[] Content)> Contents = Gen.Select(Kinds, Gen.Byte.Array[0, SignedToken.MaxContent]);

    [Fact]
    public void Every_content_comes_back_as_it_was_signed() =>
        Contents.Sample(one => Read(one.Kind, Sign(one), one.Content.Length) is { } read && read.SequenceEqual(one.Content));

    [Fact]
    public void No_token_verifies_with_any_bit_changed() =>
        Contents.Sample(one =>
        {
            var bytes = Base64Url.DecodeFromChars(Sign(one));
            return Enumerable.Range(0, bytes.Length * 8).All(bit =>
            {
                var changed = bytes.ToArray();
                changed[bit / 8] ^= (byte)(1 << (bit % 8));
                return Read(one.Kind, Base64Url.EncodeToString(changed), one.Content.Length) is null;
            });
        }, iter: 50);

    [Fact]
    public void No_token_verifies_at_any_other_length_as_text_or_as_content() =>
        Contents.Sample(one =>
        {
            var text = Sign(one);
            return Enumerable.Range(0, text.Length).All(length => Read(one.Kind, text[..length], one.Content.Length) is null)
                && new[] { "A", "AA", "=", "==", " ", "\n", text }.All(more => Read(one.Kind, text + more, one.Content.Length) is null && Read(one.Kind, more + text, one.Content.Length) is null)
                && Enumerable.Range(0, SignedToken.MaxContent + 1).All(length => length == one.Content.Length || Read(one.Kind, text, length) is null);
        }, iter: 50);

    [Fact]
    public void No_token_verifies_in_another_spelling() =>
        Gen.Select(Contents, Gen.Double.Unit, Gen.Char[(char)0, (char)300]).Sample((one, where, other) =>
        {
            var text = Sign(one);
            var at = (int)(where * (text.Length - 1));
            var changed = text[..at] + other + text[(at + 1)..];
            var last = text[..^1] + other;
            return (changed == text || Read(one.Kind, changed, one.Content.Length) is null) && (last == text || Read(one.Kind, last, one.Content.Length) is null);
        });

    [Fact]
    public void A_token_of_one_kind_is_none_of_another() =>
        Gen.Select(Contents, Kinds).Sample((one, other) => other == one.Kind || Read(other, Sign(one), one.Content.Length) is null);

    [Fact]
    public void A_token_verifies_for_its_own_installation_only() =>
        Contents.Sample(one => Read(one.Kind, Sign(one), one.Content.Length, new KeyRing(MasterKey.Generate())) is null);

    [Fact]
    public void Links_that_are_out_there_already_still_work()
    {
        // Signed by the first release, under a master key of zeros: these bytes are in messages, and messages are kept.
        MasterKey.TryParse(Convert.ToBase64String(new byte[MasterKey.Length]), out var zeros).ShouldBeTrue();
        var keys = new KeyRing(zeros);
        var subscriber = new SubscriberId(Guid.Parse("5b1d7c3e-2f0a-4c7d-8e69-1a2b3c4d5e6f"));
        var unsubscribe = new UnsubscribeToken(new PurposeId(7), subscriber);
        var confirm = new ConfirmToken(subscriber, Guid.Parse("01932f5e-0000-7000-8000-000000000001"), DateTimeOffset.FromUnixTimeSeconds(1_800_000_000));

        unsubscribe.Sign(keys).ShouldBe("AQEAAAAHWx18Pi8KTH2OaRorPE1ebxf4QlpEew0i1tUMeiyKdE8");
        confirm.Sign(keys).ShouldBe("AQFbHXw-LwpMfY5pGis8TV5vAZMvXgAAcACAAAAAAAAAAWtJ0gBx-hTpMOI5VTmWhpM8mBtk");
        UnsubscribeToken.TryVerify("AQEAAAAHWx18Pi8KTH2OaRorPE1ebxf4QlpEew0i1tUMeiyKdE8", keys, out var left).ShouldBeTrue();
        left.ShouldBe(unsubscribe);
        ConfirmToken.TryVerify("AQFbHXw-LwpMfY5pGis8TV5vAZMvXgAAcACAAAAAAAAAAWtJ0gBx-hTpMOI5VTmWhpM8mBtk", keys, out var right).ShouldBeTrue();
        right.ShouldBe(confirm);

        var move = new AddressChangeToken(subscriber, confirm.SignUp, confirm.ExpiresAt);
        move.Sign(keys).ShouldBe("AQFbHXw-LwpMfY5pGis8TV5vAZMvXgAAcACAAAAAAAAAAWtJ0gDTS7BVvRmmMKZJ1r0eA095");
        AddressChangeToken.TryVerify(move.Sign(keys), keys, out var moved).ShouldBeTrue();
        moved.ShouldBe(move);
        ConfirmToken.TryVerify(move.Sign(keys), keys, out _).ShouldBeFalse();

        var renew = new RenewalToken(subscriber, new PurposeId(7), DateTimeOffset.FromUnixTimeSeconds(1_800_000_000));
        renew.Sign(keys).ShouldBe("AQFbHXw-LwpMfY5pGis8TV5vAAAABwjfct2NqoAAh0qgXU63bIjmn2T9-dMZ6g");
        RenewalToken.TryVerify("AQFbHXw-LwpMfY5pGis8TV5vAAAABwjfct2NqoAAh0qgXU63bIjmn2T9-dMZ6g", keys, out var last).ShouldBeTrue();
        last.ShouldBe(renew);
    }

    private static string Sign((string Kind, byte[] Content) one) => SignedToken.Sign(System.Text.Encoding.ASCII.GetBytes(one.Kind), one.Content, Keys);

    private static byte[]? Read(string kind, string text, int length, KeyRing? keys = null)
    {
        var content = new byte[length];
        return SignedToken.TryVerify(System.Text.Encoding.ASCII.GetBytes(kind), text, keys ?? Keys, content) ? content : null;
    }
}
