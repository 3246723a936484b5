using System.Collections.Concurrent;
using System.Security.Cryptography;

namespace ConsentLedger.Security;

/// <summary>
/// Seals personal data for the database: AES-256-GCM under a key that is not in the database, with the row's own key
/// as associated data, so that a sealed value moved to another row does not open there.
/// </summary>
/// <remarks>
/// Layout: format 1 byte, key id 1, nonce 12, ciphertext, tag 16. Nonces are random, which is sound for 2^32 values
/// under one key (NIST SP 800-38D §8.3); rotate the key before.
/// </remarks>
public sealed class Sealer(KeyRing keys) : IDisposable
{
    private const byte Format = 1;
    private const int NonceLength = 12;
    private const int TagLength = 16;
    private const int HeaderLength = 2 + NonceLength;

    /// <summary>How many bytes sealing adds.</summary>
    public const int Overhead = HeaderLength + TagLength;

    // A cipher keeps the expanded key and is used by one thread at a time: two at once would mix up their nonces.
    // As many are kept for each key as were ever in use together.
    private readonly ConcurrentDictionary<byte, ConcurrentBag<AesGcm>> ciphers = new();

    /// <summary>Seals a value for the place that <paramref name="place"/> names.</summary>
    public byte[] Seal(ReadOnlySpan<byte> plaintext, ReadOnlySpan<byte> place)
    {
        var cipher = Take(keys.Newest);
        var box = Seal(cipher, plaintext, place);
        GiveBack(keys.Newest, cipher);
        return box;
    }

    /// <summary>The same, and only who has the secret as well opens it: the installation alone can't.</summary>
    public byte[] Seal(ReadOnlySpan<byte> plaintext, ReadOnlySpan<byte> place, ReadOnlySpan<byte> secret)
    {
        using var cipher = CipherWith(keys.Newest, secret);
        return Seal(cipher, plaintext, place);
    }

    /// <summary>
    /// Opens a sealed value, or throws <see cref="CryptographicException"/>: another key, another place, or not whole.
    /// </summary>
    public byte[] Open(ReadOnlySpan<byte> box, ReadOnlySpan<byte> place)
    {
        RequireSealed(box);
        var cipher = Take(box[1]);
        try
        {
            return Open(cipher, box, place);
        }
        finally
        {
            GiveBack(box[1], cipher);
        }
    }

    /// <summary>The same of a value that was sealed with a secret; another secret opens nothing.</summary>
    public byte[] Open(ReadOnlySpan<byte> box, ReadOnlySpan<byte> place, ReadOnlySpan<byte> secret)
    {
        RequireSealed(box);
        using var cipher = CipherWith(box[1], secret);
        return Open(cipher, box, place);
    }

    /// <summary>Wipes the expanded keys.</summary>
    public void Dispose()
    {
        foreach (var cipher in ciphers.Values.SelectMany(kept => kept))
        {
            cipher.Dispose();
        }
    }

    private byte[] Seal(AesGcm cipher, ReadOnlySpan<byte> plaintext, ReadOnlySpan<byte> place)
    {
        var box = new byte[Overhead + plaintext.Length];
        box[0] = Format;
        box[1] = keys.Newest;
        var nonce = box.AsSpan(2, NonceLength);
        RandomNumberGenerator.Fill(nonce);
        cipher.Encrypt(nonce, plaintext, box.AsSpan(HeaderLength, plaintext.Length), box.AsSpan(box.Length - TagLength), place);
        return box;
    }

    private static byte[] Open(AesGcm cipher, ReadOnlySpan<byte> box, ReadOnlySpan<byte> place)
    {
        var plaintext = new byte[box.Length - Overhead];
        cipher.Decrypt(box.Slice(2, NonceLength), box[HeaderLength..^TagLength], box[^TagLength..], plaintext, place);
        return plaintext;
    }

    private void RequireSealed(ReadOnlySpan<byte> box)
    {
        if (box.Length < Overhead || box[0] != Format || keys.SealingKey(box[1]) is null)
        {
            throw new CryptographicException("This is not a value sealed by this installation.");
        }
    }

    private AesGcm CipherWith(byte id, ReadOnlySpan<byte> secret)
    {
        Span<byte> key = stackalloc byte[32];
        HKDF.DeriveKey(HashAlgorithmName.SHA256, secret, key, salt: keys.SealingKey(id), info: "seal-with-secret/1"u8);
        return new AesGcm(key, TagLength);
    }

    private AesGcm Take(byte id) =>
        ciphers.TryGetValue(id, out var kept) && kept.TryTake(out var cipher) ? cipher : new AesGcm(keys.SealingKey(id)!, TagLength);

    private void GiveBack(byte id, AesGcm cipher) => ciphers.GetOrAdd(id, _ => []).Add(cipher);
}
