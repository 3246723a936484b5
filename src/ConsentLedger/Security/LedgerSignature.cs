using NSec.Cryptography;

namespace ConsentLedger.Security;

/// <summary>
/// Signs what the ledger answers for: Ed25519 (RFC 8032), under a key that follows from the master key. Whoever has the
/// public key verifies it without this service.
/// </summary>
public sealed class LedgerSignature : IDisposable
{
    /// <summary>The algorithm, as it is called beside a signature.</summary>
    public const string Algorithm = "Ed25519";

    private readonly Key key;

    /// <summary>The signer of an installation.</summary>
    public LedgerSignature(KeyRing keys)
    {
        key = Key.Import(SignatureAlgorithm.Ed25519, keys.LedgerSeed, KeyBlobFormat.RawPrivateKey);
        PublicKey = Convert.ToBase64String(key.PublicKey.Export(KeyBlobFormat.RawPublicKey));
    }

    /// <summary>The public key: its 32 bytes in base64.</summary>
    public string PublicKey { get; }

    /// <summary>The signature over these bytes: its 64 bytes in base64.</summary>
    public string Sign(ReadOnlySpan<byte> message) => Convert.ToBase64String(SignatureAlgorithm.Ed25519.Sign(key, message));

    /// <inheritdoc />
    public void Dispose() => key.Dispose();
}
