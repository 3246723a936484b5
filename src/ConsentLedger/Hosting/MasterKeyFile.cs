using ConsentLedger.Database;
using ConsentLedger.Security;

namespace ConsentLedger.Hosting;

/// <summary>Where the master key comes from: a setting, a named file, or a file that is made once.</summary>
internal static class MasterKeyFile
{
    /// <summary>
    /// Reads the key. When it is neither set nor there, and <paramref name="mayCreate"/>, one is made: it is on the disk,
    /// readable by this account alone, before it is used for anything.
    /// </summary>
    /// <exception cref="StartupException">There is none, or it is not one.</exception>
    public static (MasterKey Key, bool Created) Read(ServiceSettings settings, bool mayCreate)
    {
        if (settings.MasterKey is { } text)
        {
            return MasterKey.TryParse(text, out var set)
                ? (set, false)
                : throw new StartupException("ConsentLedger:MasterKey is not 32 bytes in base64.");
        }

        var path = settings.MasterKeyFile;
        if (File.Exists(path))
        {
            return (ReadFrom(path), false);
        }

        if (settings.MasterKeyFileIsNamed)
        {
            throw new StartupException($"There is no master key in {path}, which ConsentLedger:MasterKeyFile names.");
        }

        if (!mayCreate)
        {
            throw new StartupException(
                $"There is no master key in {path}. Put the one back that the ledger was made under, or name it with ConsentLedger:MasterKeyFile.");
        }

        return Create(path);
    }

    private static (MasterKey Key, bool Created) Create(string path)
    {
        var key = MasterKey.Generate();
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.None };
        if (!OperatingSystem.IsWindows())
        {
            options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        }

        // Written beside its place and moved there, so that a crash leaves a whole key or none; under a name of its own,
        // so that what a crash left is in nobody's way.
        var unfinished = $"{path}.{Guid.NewGuid():N}.new";
        using (var file = new FileStream(unfinished, options))
        using (var writer = new StreamWriter(file))
        {
            writer.WriteLine(key.ToBase64());
            writer.Flush();
            file.Flush(flushToDisk: true);
        }

        try
        {
            File.Move(unfinished, path);
            return (key, true);
        }
        catch (IOException) when (File.Exists(path))
        {
            // Another first start on this data directory was quicker, and its key is the key.
            return (ReadFrom(path), false);
        }
        finally
        {
            File.Delete(unfinished);
        }
    }

    private static MasterKey ReadFrom(string path) => MasterKey.TryParse(File.ReadAllText(path), out var kept)
        ? kept
        : throw new StartupException($"{path} does not hold a master key, which is 32 bytes in base64.");
}
