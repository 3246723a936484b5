using System.Buffers.Text;
using System.Security.Cryptography;
using System.Text;
using ConsentLedger.Security;

namespace ConsentLedger.Administration;

/// <summary>
/// The way in to a new installation: a link that is printed at the start and shows the first administrator's key once,
/// as long as there is no key. Each process has a secret of its own, kept nowhere but in its memory.
/// </summary>
public sealed class SetupLink(ApiKeyCatalogue keys, PublicUrl publicUrl) : IDisposable
{
    private const string KeyName = "First administrator";

    private readonly string token = Base64Url.EncodeToString(RandomNumberGenerator.GetBytes(32));
    private readonly SemaphoreSlim once = new(1);

    /// <summary>The link for whoever starts the service to open; null once there is a key.</summary>
    public async Task<string?> FindUrlAsync(CancellationToken cancellation) =>
        await keys.IsEmptyAsync(cancellation) ? publicUrl.Link($"/setup/{token}") : null;

    /// <summary>True if this is the token of this process, and there is no key yet.</summary>
    public async Task<bool> OpensAsync(string given, CancellationToken cancellation) => Matches(given) && await keys.IsEmptyAsync(cancellation);

    /// <summary>Makes the first key, with every scope; null for a wrong token, or once there is a key.</summary>
    public async Task<string?> MakeKeyAsync(Actor by, string given, CancellationToken cancellation)
    {
        await once.WaitAsync(cancellation);
        try
        {
            return await OpensAsync(given, cancellation)
                ? (await keys.CreateAsync(by, KeyName, Scope.All, purposes: null, expiresAt: null, cancellation)).Key
                : null;
        }
        finally
        {
            once.Release();
        }
    }

    /// <inheritdoc />
    public void Dispose() => once.Dispose();

    private bool Matches(string given) =>
        CryptographicOperations.FixedTimeEquals(Encoding.UTF8.GetBytes(given), Encoding.UTF8.GetBytes(token));
}
