using System.Text;
using ConsentLedger.Security;

namespace ConsentLedger.Tests.Security;

/// <summary>The bytes that everything in the ledger is hashed by; a change of any of them makes every proof wrong.</summary>
public sealed class CanonicalJsonBytesTests
{
    [Fact]
    public void It_is_written_as_it_always_was()
    {
        var value = new Dictionary<string, object?>
        {
            ["z"] = true,
            ["a"] = "line\r\n\ttab \"quoted\" back\\slash \u0001\b\f </script> \u00e9 \ud83d\ude00 \u2028",
            ["Z"] = false,
            ["aa"] = null,
            ["\ud83d\ude00"] = 1,
            ["\ufb33"] = -9_007_199_254_740_991L,
            ["nested"] = new Dictionary<string, object?> { ["b"] = 0, ["a"] = new Dictionary<string, object?>() },
        };

        Encoding.UTF8.GetString(CanonicalJson.Write(value)).ShouldBe(
            "{\"Z\":false,\"a\":\"line\\r\\n\\ttab \\\"quoted\\\" back\\\\slash \\u0001\\b\\f </script> \u00e9 \ud83d\ude00 \u2028\",\"aa\":null,"
            + "\"nested\":{\"a\":{},\"b\":0},\"z\":true,\"\ud83d\ude00\":1,\"\ufb33\":-9007199254740991}");
    }

    [Fact]
    public void What_can_not_be_written_is_refused_and_spoils_nothing_for_the_next()
    {
        Should.Throw<ArgumentException>(() => CanonicalJson.Write(new Dictionary<string, object?> { ["a"] = 0.5 }));
        Should.Throw<ArgumentException>(() => CanonicalJson.Write(new Dictionary<string, object?> { ["a"] = 9_007_199_254_740_992L }));

        CanonicalJson.Write(new Dictionary<string, object?>()).ShouldBe("{}"u8.ToArray());
    }
}
