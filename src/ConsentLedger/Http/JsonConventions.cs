using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace ConsentLedger.Http;

/// <summary>How JSON is read and written here (API "Conventions").</summary>
public static class JsonConventions
{
    /// <summary>Sets them: camelCase, no unknown and no repeated members, times in UTC.</summary>
    public static void Apply(JsonSerializerOptions options)
    {
        options.PropertyNamingPolicy = JsonNamingPolicy.CamelCase;
        options.PropertyNameCaseInsensitive = false;
        options.UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow;
        options.AllowDuplicateProperties = false;
        options.NumberHandling = JsonNumberHandling.Strict;
        options.MaxDepth = 16;

        // The answers are JSON and say so, never HTML; links in angle brackets and accents stay readable.
        options.Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping;
        options.Converters.Add(new InstantJsonConverter());
    }
}
