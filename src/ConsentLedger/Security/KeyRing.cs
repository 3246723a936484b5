using System.Collections.Concurrent;
using System.Security.Cryptography;

namespace ConsentLedger.Security;

/// <summary>
/// The keys of an installation, derived from its <see cref="MasterKey"/> by label. Sealing and token keys carry a
/// one-byte id so that they rotate: the newest seals and signs, every id up to the newest opens and verifies.
/// </summary>
public sealed class KeyRing(MasterKey master, byte newest = 1)
{
    private readonly ConcurrentDictionary<(string Label, byte Id), byte[]> derived = new();
    private readonly ConcurrentDictionary<byte, KeyedHash> tokenHashes = new();

    /// <summary>Id of the key that seals and signs; ids count from 1.</summary>
    public byte Newest { get; } = newest;

    /// <summary>The key under which addresses become subscriber ids. It never rotates: ids are for ever.</summary>
    public byte[] AddressKey { get; } = master.Derive("address/1");

    /// <summary>The key under which imported rows become event ids, so that a row is recognised when it comes again.</summary>
    public byte[] EventIdKey { get; } = master.Derive("event-id/1");

    /// <summary>The key under which API keys are stored hashed.</summary>
    public byte[] ApiKeyHashKey { get; } = master.Derive("api-key/1");

    /// <summary>The key under which requests are recognised when they are sent again (Idempotency-Key).</summary>
    public byte[] RequestDigestKey { get; } = master.Derive("request-digest/1");

    /// <summary>The seed of the Ed25519 key with which the ledger signs what it answers for. It never rotates: what it signed is verified for ever.</summary>
    public byte[] LedgerSeed { get; } = master.Derive("ledger/1");

    /// <summary>Shows that a database was made under this master key, without saying anything about the key.</summary>
    public byte[] CheckValue { get; } = HMACSHA256.HashData(master.Derive("check/1"), "consentledger"u8);

    /// <summary>The sealing key with this id, or null where there is none (yet).</summary>
    public byte[]? SealingKey(byte id) => Versioned("seal", id);

    /// <summary>The token key with this id, or null where there is none (yet).</summary>
    public byte[]? TokenKey(byte id) => Versioned("token", id);

    /// <summary>Hashes under the token key with this id; null where there is none (yet).</summary>
    public KeyedHash? TokenHash(byte id) =>
        tokenHashes.TryGetValue(id, out var hash) ? hash : TokenKey(id) is { } key ? tokenHashes.GetOrAdd(id, new KeyedHash(key)) : null;

    private byte[]? Versioned(string label, byte id) =>
        id == 0 || id > Newest ? null : derived.GetOrAdd((label, id), key => master.Derive($"{key.Label}/{key.Id}"));
}
