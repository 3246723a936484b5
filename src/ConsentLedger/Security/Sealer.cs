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

    // An AesGcm is for one thread at a time, and costs a key expansion: those that are not in use wait here, by key id.
    private readonly ConcurrentDictionary<byte, ConcurrentBag<AesGcm>> idle = new();

    /// <summary>Seals a value for the place that <paramref name="place"/> names.</summary>
    public byte[] Seal(ReadOnlySpan<byte> plaintext, ReadOnlySpan<byte> place)
    {
        var box = new byte[Overhead + plaintext.Length];
        box[0] = Format;
        box[1] = keys.Newest;
        var nonce = box.AsSpan(2, NonceLength);
        RandomNumberGenerator.Fill(nonce);
        var cipher = Rent(keys.Newest)!;
        cipher.Encrypt(nonce, plaintext, box.AsSpan(HeaderLength, plaintext.Length), box.AsSpan(box.Length - TagLength), place);
        Return(keys.Newest, cipher);
        return box;
    }

    /// <summary>
    /// Opens a sealed value, or throws <see cref="CryptographicException"/>: another key, another place, or not whole.
    /// </summary>
    public byte[] Open(ReadOnlySpan<byte> box, ReadOnlySpan<byte> place)
    {
        if (box.Length < Overhead || box[0] != Format || Rent(box[1]) is not { } cipher)
        {
            throw new CryptographicException("This is not a value sealed by this installation.");
        }

        var plaintext = new byte[box.Length - Overhead];
        try
        {
            cipher.Decrypt(box.Slice(2, NonceLength), box[HeaderLength..^TagLength], box[^TagLength..], plaintext, place);
        }
        finally
        {
            Return(box[1], cipher);
        }

        return plaintext;
    }

    /// <summary>Wipes the expanded keys.</summary>
    public void Dispose()
    {
        foreach (var cipher in idle.Values.SelectMany(ciphers => ciphers))
        {
            cipher.Dispose();
        }
    }

    private AesGcm? Rent(byte id) =>
        idle.TryGetValue(id, out var ciphers) && ciphers.TryTake(out var cipher) ? cipher
        : keys.SealingKey(id) is { } key ? new AesGcm(key, TagLength)
        : null;

    private void Return(byte id, AesGcm cipher) => idle.GetOrAdd(id, static _ => []).Add(cipher);
}
