using System.Buffers.Binary;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;

namespace ConsentLedger.Choices;

/// <summary>
/// What undoes one withdrawal, for a few minutes: it is shown to whoever made the withdrawal, on the page that says that it
/// was made, and is in no mail. No address is inside (FACTS 61-63).
/// </summary>
/// <remarks>A <see cref="SignedToken"/> of subscriber id 16, two event ids 16 each, and expiry in Unix seconds 4.</remarks>
/// <param name="Subscriber">Whose.</param>
/// <param name="Withdrawal">The event that is undone.</param>
/// <param name="Ended">The event that stood before it, and is restored.</param>
/// <param name="ExpiresAt">When it is too late.</param>
public readonly record struct UndoToken(SubscriberId Subscriber, EventId Withdrawal, EventId Ended, DateTimeOffset ExpiresAt)
{
    /// <summary>How long a withdrawal can be undone: as long as somebody looks at the page.</summary>
    public static readonly TimeSpan Lifetime = TimeSpan.FromMinutes(10);

    private const int ContentLength = 16 + 16 + 16 + 4;

    private static ReadOnlySpan<byte> Kind => "undo"u8;

    /// <summary>Writes the token, signed with the newest key.</summary>
    public string Sign(KeyRing keys)
    {
        Span<byte> content = stackalloc byte[ContentLength];
        Subscriber.Value.TryWriteBytes(content, bigEndian: true, out _);
        Withdrawal.Value.TryWriteBytes(content[16..], bigEndian: true, out _);
        Ended.Value.TryWriteBytes(content[32..], bigEndian: true, out _);
        BinaryPrimitives.WriteUInt32BigEndian(content[48..], (uint)ExpiresAt.ToUnixTimeSeconds());
        return SignedToken.Sign(Kind, content, keys);
    }

    /// <summary>Reads a token that this installation signed, expired or not; false for anything else.</summary>
    public static bool TryVerify(string? text, KeyRing keys, out UndoToken token)
    {
        Span<byte> content = stackalloc byte[ContentLength];
        var verified = SignedToken.TryVerify(Kind, text, keys, content);
        token = verified
            ? new UndoToken(
                new SubscriberId(new Guid(content[..16], bigEndian: true)),
                new EventId(new Guid(content[16..32], bigEndian: true)),
                new EventId(new Guid(content[32..48], bigEndian: true)),
                DateTimeOffset.FromUnixTimeSeconds(BinaryPrimitives.ReadUInt32BigEndian(content[48..])))
            : default;
        return verified;
    }
}
