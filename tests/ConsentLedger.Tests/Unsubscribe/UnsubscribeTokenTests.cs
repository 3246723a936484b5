using System.Buffers.Text;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using CsCheck;

namespace ConsentLedger.Tests.Unsubscribe;

public sealed class UnsubscribeTokenTests
{
    private static readonly KeyRing Keys = new(MasterKey.Generate());

    private static readonly Gen<UnsubscribeToken> Tokens =
        Gen.Select(Gen.Int, Gen.Guid, (purpose, subscriber) => new UnsubscribeToken(new PurposeId(purpose), new SubscriberId(subscriber)));

    [Fact]
    public void Every_token_is_51_characters_and_says_again_what_was_signed() =>
        Tokens.Sample(token =>
        {
            var text = token.Sign(Keys);
            return text.Length == UnsubscribeToken.Length && UnsubscribeToken.TryVerify(text, Keys, out var read) && read == token;
        });

    [Fact]
    public void No_token_verifies_with_any_bit_changed() =>
        Gen.Select(Tokens, Gen.Int[0, (38 * 8) - 1]).Sample((token, bit) =>
        {
            var bytes = Base64Url.DecodeFromChars(token.Sign(Keys));
            bytes[bit / 8] ^= (byte)(1 << (bit % 8));
            return !UnsubscribeToken.TryVerify(Base64Url.EncodeToString(bytes), Keys, out _);
        });

    [Fact]
    public void No_token_verifies_in_another_spelling() =>
        Gen.Select(Tokens, Gen.Int[0, UnsubscribeToken.Length - 1], Gen.Char[(char)0, (char)300]).Sample((token, at, other) =>
        {
            var text = token.Sign(Keys);
            var changed = text[..at] + other + text[(at + 1)..];
            return changed == text || !UnsubscribeToken.TryVerify(changed, Keys, out _);
        });

    [Fact]
    public void Any_text_is_refused_and_none_throws() =>
        Gen.String[0, 200].Sample(text => !UnsubscribeToken.TryVerify(text, Keys, out _));

    [Fact]
    public void A_token_verifies_for_its_own_installation_only() =>
        Tokens.Sample(token => !UnsubscribeToken.TryVerify(token.Sign(Keys), new KeyRing(MasterKey.Generate()), out _));

    [Fact]
    public void A_token_outlives_every_rotation_and_is_unknown_before_its_own()
    {
        var master = MasterKey.Generate();
        Gen.Select(Tokens, Gen.Byte[1, 255], Gen.Byte[1, 255]).Sample((token, signedWith, verifiedWith) =>
            UnsubscribeToken.TryVerify(token.Sign(new KeyRing(master, signedWith)), new KeyRing(master, verifiedWith), out _) == (verifiedWith >= signedWith));
    }
}
