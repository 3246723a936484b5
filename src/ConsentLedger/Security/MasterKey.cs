using System.Security.Cryptography;
using System.Text;

namespace ConsentLedger.Security;

/// <summary>
/// The one secret of an installation: 32 random bytes from which every other key is derived by label
/// (HKDF-SHA-256, RFC 5869). Whoever holds it can find out who is in the ledger; whoever loses it loses the
/// meaning of every subscriber id and every seal.
/// </summary>
public sealed class MasterKey
{
    /// <summary>Length of the secret, in bytes.</summary>
    public const int Length = 32;

    private readonly byte[] secret;

    private MasterKey(byte[] secret) => this.secret = secret;

    /// <summary>Makes a new secret from the platform's generator.</summary>
    public static MasterKey Generate() => new(RandomNumberGenerator.GetBytes(Length));

    /// <summary>Reads a secret written as base64; false unless it is exactly 32 bytes.</summary>
    public static bool TryParse(string? text, out MasterKey key)
    {
        var bytes = new byte[Length + 1];
        if (text is not null && Convert.TryFromBase64String(text.Trim(), bytes, out var written) && written == Length)
        {
            key = new MasterKey(bytes[..Length]);
            return true;
        }

        key = null!;
        return false;
    }

    /// <summary>The secret as base64, for the file it is kept in; never for a log.</summary>
    public string ToBase64() => Convert.ToBase64String(secret);

    /// <summary>Derives the key that <paramref name="label"/> names.</summary>
    public byte[] Derive(string label, int length = 32) =>
        HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, length, info: Encoding.ASCII.GetBytes("consentledger/" + label));

    /// <summary>Says what this is, and never its value.</summary>
    public override string ToString() => "master key";
}
