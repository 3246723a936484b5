using System.Text;
using System.Text.Json;
using ConsentLedger.Security;
using CsCheck;

namespace ConsentLedger.Tests.Security;

/// <summary>RFC 8785, for the values the ledger uses.</summary>
public sealed class CanonicalJsonTests
{
    /// <summary>§3.2.2.2's own example: every kind of escape, and nothing escaped that need not be.</summary>
    [Fact]
    public void Strings_are_escaped_as_RFC_8785_shows() =>
        Write(new() { ["string"] = "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"\u002f" })
            .ShouldBe("""{"string":"€$\u000f\nA'B\"\\\\\"/"}""");

    [Fact]
    public void Control_characters_have_their_short_escapes_or_lower_case_hexadecimal() =>
        Write(new() { ["x"] = "\b\t\n\f\r\u0000\u001f\u007f\u2028</script>" })
            .ShouldBe("{\"x\":\"\\b\\t\\n\\f\\r\\u0000\\u001f\u007f\u2028</script>\"}");

    /// <summary>§3.2.3's own example: by UTF-16 code units, so that a name beyond the BMP comes before one in its upper end.</summary>
    [Fact]
    public void Members_are_sorted_as_RFC_8785_shows() =>
        Write(new()
        {
            ["\u20ac"] = "Euro Sign",
            ["\r"] = "Carriage Return",
            ["\ufb33"] = "Hebrew Letter Dalet With Dagesh",
            ["1"] = "One",
            ["\ud83d\ude00"] = "Emoji: Grinning Face",
            ["\u0080"] = "Control",
            ["\u00f6"] = "Latin Small Letter O With Diaeresis",
        }).ShouldBe(
            "{\"\\r\":\"Carriage Return\",\"1\":\"One\",\"\u0080\":\"Control\",\"ö\":\"Latin Small Letter O With Diaeresis\","
            + "\"€\":\"Euro Sign\",\"😀\":\"Emoji: Grinning Face\",\"\ufb33\":\"Hebrew Letter Dalet With Dagesh\"}");

    [Fact]
    public void Literals_integers_and_nested_objects_have_no_space() =>
        Write(new()
        {
            ["b"] = new Dictionary<string, object?> { ["z"] = null, ["a"] = new Dictionary<string, object?>() },
            ["a"] = true,
            ["d"] = -1,
            ["c"] = false,
            ["f"] = 9_007_199_254_740_991L,
            ["e"] = -9_007_199_254_740_991L,
        }).ShouldBe("""{"a":true,"b":{"a":{},"z":null},"c":false,"d":-1,"e":-9007199254740991,"f":9007199254740991}""");

    [Theory]
    [InlineData(9_007_199_254_740_992L)]
    [InlineData(-9_007_199_254_740_992L)]
    [InlineData(long.MaxValue)]
    [InlineData(long.MinValue)]
    public void An_integer_that_a_double_can_not_hold_is_refused(long value) =>
        Should.Throw<ArgumentOutOfRangeException>(() => Write(new() { ["x"] = value }));

    [Fact]
    public void What_has_no_one_form_is_refused()
    {
        foreach (var value in new object[] { 0.5, 1m, new[] { 1 }, DateTimeOffset.UnixEpoch, 'c' })
        {
            Should.Throw<ArgumentException>(() => Write(new() { ["x"] = value }));
        }
    }

    [Fact]
    public void Half_a_surrogate_pair_is_refused_and_never_becomes_another_text()
    {
        Should.Throw<ArgumentException>(() => Write(new() { ["x"] = "\uD800" }));
        Should.Throw<ArgumentException>(() => Write(new() { ["\uDC00"] = "x" }));
    }

    [Fact]
    public void It_reads_back_as_what_was_written_and_writing_that_again_changes_nothing() =>
        Objects(3).Sample(members =>
        {
            var canonical = CanonicalJson.Write(members);
            using var document = JsonDocument.Parse(canonical);
            var read = Read(document.RootElement);
            CanonicalJson.Write(read).ShouldBe(canonical);
            CanonicalJson.Write(members.Reverse().ToDictionary()).ShouldBe(canonical);
            read.Count.ShouldBe(members.Count);
        });

    private static Gen<Dictionary<string, object?>> Objects(int depth)
    {
        var text = Gen.Int[0, 0xFFFF].Select(code => new Rune(code is >= 0xD800 and < 0xE000 ? 0x1F600 + (code & 0xFF) : code).ToString()).Array[0, 8].Select(string.Concat);
        var value = Gen.OneOf(
            text.Select(x => (object?)x), Gen.Long[-CanonicalJson.LargestInteger, CanonicalJson.LargestInteger].Select(x => (object?)x),
            Gen.Bool.Select(x => (object?)x), Gen.Const((object?)null));
        var member = depth == 0 ? value : Gen.OneOf(value, Objects(depth - 1).Select(x => (object?)x));
        return Gen.Select(text, member).Array[0, 5].Select(members => members.DistinctBy(pair => pair.Item1).ToDictionary(pair => pair.Item1, pair => pair.Item2));
    }

    private static Dictionary<string, object?> Read(JsonElement json) => json.EnumerateObject().ToDictionary(
        member => member.Name,
        member => member.Value.ValueKind switch
        {
            JsonValueKind.Object => Read(member.Value),
            JsonValueKind.String => member.Value.GetString(),
            JsonValueKind.Number => member.Value.GetInt64(),
            JsonValueKind.Null => (object?)null,
            _ => member.Value.GetBoolean(),
        });

    private static string Write(Dictionary<string, object?> value) => Encoding.UTF8.GetString(CanonicalJson.Write(value));
}
