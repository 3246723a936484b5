using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;

namespace ConsentLedger.Security;

/// <summary>The secret a client shows: <c>clk_</c> and 32 random bytes in base64url. Shown once, stored as a keyed hash.</summary>
public static class ApiKey
{
    private const string Prefix = "clk_";
    private const int SecretLength = 32;
    private static readonly int Length = Prefix.Length + Base64Url.GetEncodedLength(SecretLength);

    /// <summary>Makes a new key.</summary>
    public static string New() => Prefix + Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(SecretLength));

    /// <summary>The hash a key is stored and found by, or null for what can't be a key.</summary>
    public static byte[]? Hash(string? key, KeyRing keys) =>
        key is not null && key.Length == Length && key.StartsWith(Prefix, StringComparison.Ordinal) && Ascii.IsValid(key)
            ? HMACSHA256.HashData(keys.ApiKeyHashKey, Encoding.ASCII.GetBytes(key))
            : null;
}
