using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using ConsentLedger.Subscribers;
using CsCheck;

namespace ConsentLedger.Tests.Subscribers;

public sealed partial class AddressTests
{
    private static readonly IdnMapping Idn = new() { UseStd3AsciiRules = true };

    /// <summary>Local parts and domains of each script, which may be put together in any way.</summary>
    private static readonly Gen<string> RealAddress = Gen.Select(
        Gen.OneOf(
            Word("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!#$%&'*+-/=?^_`{|}~"),
            Word("âêîôûŵŷÂÊÎÔÛŴŶäïëöüáéíóúabcdef"),
            Word("ąćęłńóśźżĄĆĘŁŃÓŚŹŻabc"),
            Word("αβγδεζηθικλμνξοπρσςτυφχψωάέήίόύώΐΣΩ"),
            Word("абвгдежзийклмнопрстуфхцчшщъыьэюяАЯЁё"),
            Word("אבגדהוזחטיכלמנסעפצקרשת"),
            Word("ابتثجحخدذرزسشصضطظعغفقكلمنهوي٠١٢٣"),
            Word("王小明李博物館中国例え図書")),
        Gen.OneOf(
            "museum.example", "Museum.Example", "amgueddfa.cymru", "müseum.example", "MÜSEUM.example", "strasse.example",
            "straße.example", "łódź.example", "μουσεία.ελ", "музей.рф", "博物馆.中国", "xn--mseum-kva.example", "a.b.c.d.example"),
        (local, domain) => $"{local}@{domain}");

    private static Gen<string> Word(string letters) => Gen.OneOf(letters.EnumerateRunes().Select(rune => rune.ToString()).ToArray()).Array[1, 12].Select(string.Concat);

    [Theory]
    [InlineData("ada@example.org", "ada@example.org")]
    [InlineData("Ada.Lovelace+News@Museum.EXAMPLE", "ada.lovelace+news@museum.example")]
    [InlineData("  ada@example.org ", "ada@example.org")]
    [InlineData("!#$%&'*+-/=?^_`{|}~@example.org", "!#$%&'*+-/=?^_`{|}~@example.org")]
    [InlineData("siôn.ŵyn@amgueddfa.cymru", "siôn.ŵyn@amgueddfa.cymru")]
    [InlineData("SIÔN.ŴYN@AMGUEDDFA.CYMRU", "siôn.ŵyn@amgueddfa.cymru")]
    [InlineData("sio\u0302n.w\u0302yn@amgueddfa.cymru", "siôn.ŵyn@amgueddfa.cymru")]
    [InlineData("Łukasz.Żółć@muzeum.pl", "łukasz.żółć@muzeum.pl")]
    [InlineData("王小明@博物馆.中国", "王小明@xn--9krs63ej00a.xn--fiqs8s")]
    [InlineData("דוד@דוגמה.example", "דוד@xn--6dbbec0c.example")]
    [InlineData("محمد@متحف.مصر", "محمد@xn--pgbg4dn.xn--wgbh1c")]
    [InlineData("γιώργος@μουσείο.ελ", "γιώργοσ@xn--kxalumcvn.xn--qxam")]
    [InlineData("ΓΙΏΡΓΟΣ@μουσείο.ελ", "γιώργοσ@xn--kxalumcvn.xn--qxam")]
    [InlineData("post@MÜSEUM.example", "post@xn--mseum-kva.example")]
    [InlineData("post@XN--MSEUM-KVA.example", "post@xn--mseum-kva.example")]
    [InlineData("TEL:+44 20-7946.0000", "tel:+442079460000")]
    [InlineData("tel:+44 (20) 7946 0000", "tel:+442079460000")]
    [InlineData("REF:MEM-1234", "ref:MEM-1234")]
    [InlineData("ref:mem_12/34.5", "ref:mem_12/34.5")]
    public void An_address_has_one_normalised_form_whatever_its_spelling(string given, string normalised)
    {
        Read(given).Normalised.ShouldBe(normalised);
        Read(given).ShouldBe(Read(normalised));
    }

    [Theory]
    [InlineData("ada.lovelace@gmail.com", "adalovelace@gmail.com")]
    [InlineData("ada@gmail.com", "ada+museum@gmail.com")]
    [InlineData("ada@gmail.com", "ada@googlemail.com")]
    [InlineData("ada@example.org", "ada@www.example.org")]
    [InlineData("ŵyn@amgueddfa.cymru", "wyn@amgueddfa.cymru")]
    [InlineData("ref:MEM-1", "ref:mem-1")]
    [InlineData("tel:+442079460000", "ref:+442079460000")]
    public void Addresses_that_may_be_other_people_stay_apart(string one, string other) =>
        (Address.TryParse(other, null, out var second) && Read(one).Equals(second)).ShouldBeFalse();

    [Theory]
    [InlineData("")]
    [InlineData("   ")]
    [InlineData("ada")]
    [InlineData("@example.org")]
    [InlineData("ada@")]
    [InlineData("ada@museum")]
    [InlineData("ada@192.0.2.7")]
    [InlineData("ada@[192.0.2.7]")]
    [InlineData("ada@example..org")]
    [InlineData("ada@.example.org")]
    [InlineData("ada@example.org.")]
    [InlineData("ada@-example.org")]
    [InlineData("ada@example-.org")]
    [InlineData("ada@exam_ple.org")]
    [InlineData("ada@exam ple.org")]
    [InlineData(".ada@example.org")]
    [InlineData("ada.@example.org")]
    [InlineData("a..da@example.org")]
    [InlineData("ada lovelace@example.org")]
    [InlineData("\"ada\"@example.org")]
    [InlineData("Ada <ada@example.org>")]
    [InlineData("ada@lovelace@example.org")]
    [InlineData("ada@example.org,bob@example.org")]
    [InlineData("mailto:ada@example.org")]
    [InlineData("ada@example.org\r\nBcc: bob@example.org")]
    [InlineData("ada@example.org\0")]
    [InlineData("a\u0007da@example.org")]
    [InlineData("\tada@example.org")]
    [InlineData("ada@example.org\u00A0")]
    [InlineData("ada@xn--a.org")]
    [InlineData("tel:")]
    [InlineData("tel:02079460000")]
    [InlineData("tel:+02079460000")]
    [InlineData("tel:+44")]
    [InlineData("tel:+1234567890123456")]
    [InlineData("tel:+44 (0)20 7946 0000")]
    [InlineData("tel:+4420794600oo")]
    [InlineData("tel:+44٢٠٧٩٤٦٠٠٠٠")]
    [InlineData("tel:+442079460000;ext=1")]
    [InlineData("ref:")]
    [InlineData("ref:MEM 1")]
    [InlineData("ref:MÉM-1")]
    [InlineData("ref:MEM-1\n")]
    public void What_is_no_address_is_refused(string text) => Refused(text);

    [Theory]
    [InlineData("\u202Eada@example.org")]
    [InlineData("ada\u202E@example.org")]
    [InlineData("ada@ex\u202Eample.org")]
    [InlineData("a\u200Bda@example.org")]
    [InlineData("ada@exam\u200Bple.org")]
    [InlineData("ada@exam\u00ADple.org")]
    [InlineData("ada@exam\u200Dple.org")]
    [InlineData("ada@exam\uFE0Fple.org")]
    [InlineData("a\uFE0Fda@example.org")]
    [InlineData("a\u034Fda@example.org")]
    [InlineData("\u1160ada@example.org")]
    [InlineData("ada\uFEFF@example.org")]
    [InlineData("\uFEFFada@example.org")]
    [InlineData("\u0301ada@example.org")]
    [InlineData("\u0430da@example.org")]
    [InlineData("αda@example.org")]
    [InlineData("\u13AAda@example.org")]
    [InlineData("ada@ex\u0430mple.org")]
    [InlineData("ada@xn--exmple-4nf.org")]
    [InlineData("ａda@example.org")]
    [InlineData("ada＠example.org")]
    [InlineData("ada@ｅxample.org")]
    [InlineData("ada@example。org")]
    [InlineData("𝐚da@example.org")]
    [InlineData("ﬁona@example.org")]
    [InlineData("ada@💩.example")]
    [InlineData("ada@xn--ls8h.example")]
    public void What_only_looks_like_an_address_or_hides_something_is_refused(string text) => Refused(text);

    [Theory]
    [InlineData("\uD800ada@example.org")]
    [InlineData("ada@example.org\uDC00")]
    [InlineData("a\uDC00\uD800da@example.org")]
    [InlineData("a\uFFFEda@example.org")]
    [InlineData("a\uFFFFda@example.org")]
    [InlineData("ada@exa\uFFFEmple.org")]
    public void What_is_no_Unicode_is_refused(string text) => Refused(text);

    [Theory]
    [InlineData(64, true)]
    [InlineData(65, false)]
    public void The_local_part_has_at_most_64_octets(int octets, bool valid)
    {
        Address.TryParse(new string('a', octets) + "@example.org", null, out _).ShouldBe(valid);
        Address.TryParse(new string('é', octets / 2) + (octets % 2 == 1 ? "a" : "") + "@example.org", null, out _).ShouldBe(valid);
    }

    [Fact]
    public void A_local_part_that_grows_past_the_limit_in_small_letters_is_refused() =>
        Refused(new string('Ⱥ', 32) + "@example.org"); // Two octets each, and three as ⱥ.

    [Theory]
    [InlineData(252, true)]
    [InlineData(253, false)]
    public void An_address_has_at_most_254_octets(int domainLength, bool valid)
    {
        var label = new string('a', 63);
        var domain = $"{label}.{label}.{label}.{new string('b', domainLength - 199)}.museum";
        domain.Length.ShouldBe(domainLength);

        Address.TryParse("a@" + domain, null, out _).ShouldBe(valid);
    }

    [Theory]
    [InlineData(63, true)]
    [InlineData(64, false)]
    public void A_label_has_at_most_63_octets(int length, bool valid) =>
        Address.TryParse($"ada@{new string('a', length)}.org", null, out _).ShouldBe(valid);

    [Theory]
    [InlineData("a")]
    [InlineData("@")]
    [InlineData(".")]
    [InlineData("é")]
    [InlineData("\uFE0F")]
    [InlineData("\uD800")]
    public void A_megabyte_of_anything_is_refused_unread(string unit)
    {
        var megabyte = string.Concat(Enumerable.Repeat(unit, 1_000_000 / unit.Length));

        Refused(megabyte + "@example.org");
        Refused("tel:+44" + megabyte);
        Refused("ref:" + megabyte);
    }

    [Fact]
    public void No_text_makes_reading_throw_and_no_reason_repeats_it() =>
        Gen.OneOf(Gen.String, Mutation(), Gen.Char.Array[0, 40].Select(characters => new string(characters))).Sample(
            text =>
            {
                if (Address.TryParse(text, out var address, out var problem))
                {
                    problem.ShouldBeNull();
                    address.Given.ShouldBe(text.Trim(' ').Normalize());
                }
                else
                {
                    problem.ShouldNotBeNullOrEmpty();
                    Sentences.ShouldContain(problem);
                }
            },
            iter: 20_000);

    [Fact]
    public void Normalising_is_idempotent() => Gen.OneOf(RealAddress, Mutation()).Sample(
        text =>
        {
            if (Address.TryParse(text, null, out var address))
            {
                var again = Read(address.Normalised);
                again.Normalised.ShouldBe(address.Normalised);
                again.ShouldBe(address);
                Read(address.Given).ShouldBe(address);
            }
        },
        iter: 20_000);

    [Fact]
    public void In_ASCII_an_address_is_what_its_grammar_says_and_lower_case_normalises_it()
    {
        var local = Gen.Char["abcXYZ019.+_@,"].Array[0, 7].Select(characters => new string(characters));
        var label = Gen.OneOf(Gen.Char["abXY09-"].Array[0, 5].Select(characters => new string(characters)), Gen.Const(new string('a', 63)), Gen.Const(new string('a', 64)));
        var valid = 0;
        Gen.Select(Gen.OneOf(local, Gen.Const(new string('l', 64)), Gen.Const(new string('l', 65))), label.Array[1, 4]).Sample(
            (local, labels) =>
            {
                // Hyphens in the third and fourth place mark what is encoded: another grammar.
                if (labels.Any(label => label is [_, _, '-', '-', ..]))
                {
                    return;
                }

                var text = $"{local}@{string.Join('.', labels)}";
                var expected = AsciiAddress().IsMatch(text) && local.Length <= 64 && text.Length <= 254;
                Address.TryParse(text, null, out var address).ShouldBe(expected, text);
                if (expected)
                {
                    Interlocked.Increment(ref valid);
                    address!.Normalised.ShouldBe(text.ToLowerInvariant());
                }
            },
            iter: 50_000);
        valid.ShouldBeGreaterThan(1_000);
    }

    [Fact]
    public void Case_composition_and_spelling_of_the_domain_make_no_difference() => RealAddress.Sample(
        text =>
        {
            var address = Read(text);
            var at = text.LastIndexOf('@');
            Read(text.ToUpperInvariant()).ShouldBe(address);
            Read(text[..at].ToLowerInvariant() + text[at..].ToUpperInvariant()).ShouldBe(address);
            Read(text.Normalize(NormalizationForm.FormD)).ShouldBe(address);
            Read(string.Concat(text.AsSpan(0, at + 1), Idn.GetAscii(text[(at + 1)..].ToLowerInvariant()))).ShouldBe(address);
            Read(" " + text + "  ").ShouldBe(address);
        },
        iter: 5_000);

    [Fact]
    public void Dots_and_tags_in_the_local_part_are_kept() => Word("abcdefgh0123456789").Array[1, 5].Select(Gen.OneOf('.', '+'), (words, separator) => string.Join(separator, words)).Sample(
        local => Read($"{local}@Gmail.com").Normalised.ShouldBe($"{local}@gmail.com"));

    [Theory]
    [InlineData("ada.lovelace@museum.example", "a…@…")]
    [InlineData("𠮷野@example.org", "𠮷…@…")]
    [InlineData("tel:+442079460000", "tel:…")]
    [InlineData("ref:MEM-1234", "ref:…")]
    public void Printed_it_is_masked(string text, string masked)
    {
        var address = Read(text);
        address.ToString().ShouldBe(masked);
        $"{address}".ShouldBe(masked);
        new { address }.ToString()!.ShouldNotContain(address.Normalised);
    }

    [Fact]
    public void Parsing_what_is_no_address_throws_without_repeating_it() =>
        Should.Throw<FormatException>(() => Read("ada lovelace@museum.example")).Message.ShouldNotContain("lovelace");

    [Theory]
    [InlineData("ada@example.org", Channel.Email)]
    [InlineData("tel:+442079460000", Channel.Sms, Channel.Phone)]
    [InlineData("ref:MEM-1", Channel.Post)]
    public void A_channel_takes_its_own_kind_of_address(string text, params Channel[] fits) =>
        Enum.GetValues<Channel>().Where(channel => Read(text).Fits(channel)).ShouldBe(fits);

    /// <summary>Every reason there is; each is constant, so none can repeat what was given.</summary>
    private static readonly HashSet<string> Sentences =
    [
        "An address is required.",
        "An address has at most 320 characters.",
        "The address is not valid Unicode.",
        "A telephone number is written in E.164, with the country: tel:+442079460000.",
        "A telephone number holds digits only.",
        "Leave out the (0): a telephone number in E.164 has none.",
        "A telephone number has 7 to 15 digits.",
        "A reference has 1 to 64 letters, digits and -._/ after ref:.",
        "An e-mail address has an @; telephone numbers start with tel:, references with ref:.",
        "There is nothing before the @.",
        "There are more than 64 octets before the @.",
        "A dot can't stand first, last or twice in a row before the @.",
        "There is a character before the @ that an address can't hold.",
        "A mark can't stand first: it belongs to the letter before it.",
        "There is nothing after the @.",
        "A domain has at most 253 characters.",
        "What stands after the @ is not a domain.",
        "An e-mail address has at most 254 octets.",
        "The address holds an ornamental form of an ordinary letter.",
        "The address holds a character that can't be seen.",
        "The address mixes letters of scripts that look alike.",
    ];

    [GeneratedRegex("""
        ^[a-z0-9+_]+ (\.[a-z0-9+_]+)* @ ([a-z0-9] ([a-z0-9-]{0,61}[a-z0-9])? \.)+ (?![0-9]+$) [a-z0-9] ([a-z0-9-]{0,61}[a-z0-9])?$
        """, RegexOptions.IgnoreCase | RegexOptions.IgnorePatternWhitespace | RegexOptions.CultureInvariant)]
    private static partial Regex AsciiAddress();

    /// <summary>A real address of any kind with something strange put in somewhere.</summary>
    private static Gen<string> Mutation() => Gen.Select(
        Gen.OneOf(RealAddress, Gen.Const("tel:+442079460000"), Gen.Const("ref:MEM-1234")),
        Gen.OneOf(Gen.Char.Select(character => character.ToString()), Gen.Int[0x10000, 0x10FFFF].Select(char.ConvertFromUtf32)),
        Gen.Int[0, 1000],
        (text, inserted, at) => text.Insert(at % (text.Length + 1), inserted));

    private static Address Read(string text) => Address.Parse(text, null);

    private static void Refused(string text)
    {
        Address.TryParse(text, out var address, out var problem).ShouldBeFalse();
        address.ShouldBeNull();
        problem.ShouldNotBeNull();
        Sentences.ShouldContain(problem);
    }
}
