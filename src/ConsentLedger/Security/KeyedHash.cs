using System.Collections.Concurrent;
using System.Security.Cryptography;

namespace ConsentLedger.Security;

/// <summary>
/// HMAC-SHA-256 under one key, for any number of threads. A key is made ready a few times and not once a call, which costs
/// twice as much as hashing what an address or a link comes to.
/// </summary>
public sealed class KeyedHash(byte[] key)
{
    /// <summary>Length of a hash, in bytes.</summary>
    public const int Length = HMACSHA256.HashSizeInBytes;

    // As many as threads ever hashed at the same time; each is used by one of them at a time.
    private readonly ConcurrentBag<IncrementalHash> ready = [];

    /// <summary>Hashes a message.</summary>
    /// <param name="message">What is hashed.</param>
    /// <param name="hash">Where the hash goes; <see cref="Length"/> bytes.</param>
    public void Of(ReadOnlySpan<byte> message, Span<byte> hash)
    {
        if (!ready.TryTake(out var hmac))
        {
            hmac = IncrementalHash.CreateHMAC(HashAlgorithmName.SHA256, key);
        }

        hmac.AppendData(message);
        hmac.GetHashAndReset(hash);
        ready.Add(hmac);
    }
}
