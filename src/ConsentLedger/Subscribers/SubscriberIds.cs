using System.Text;
using ConsentLedger.Security;

namespace ConsentLedger.Subscribers;

/// <summary>Turns addresses into subscriber ids. There is no way back without the address.</summary>
public sealed class SubscriberIds(KeyRing keys)
{
    // The longest normalised address: a scheme, 254 octets of e-mail address, and what A-labels may add.
    private const int StackLimit = 512;

    private readonly KeyedHash hash = new(keys.AddressKey);

    /// <summary>The id of the holder of this address.</summary>
    public SubscriberId Of(Address address)
    {
        var length = Encoding.UTF8.GetMaxByteCount(address.Normalised.Length);
        Span<byte> text = length <= StackLimit ? stackalloc byte[StackLimit] : new byte[length];
        text = text[..Encoding.UTF8.GetBytes(address.Normalised, text)];
        Span<byte> id = stackalloc byte[KeyedHash.Length];
        hash.Of(text, id);
        return new SubscriberId(new Guid(id[..16], bigEndian: true));
    }
}
