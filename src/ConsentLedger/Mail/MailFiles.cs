using ConsentLedger.Database;
using MimeKit;

namespace ConsentLedger.Mail;

/// <summary>
/// Writes mails as <c>.eml</c> files, for an installation without a mail server: to try things out, or to be picked up by
/// something else. Only this account can read them.
/// </summary>
internal sealed class MailFiles(DataDirectory data) : IMailTransport
{
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    /// <summary>Where they are written.</summary>
    public string Folder { get; } = Path.Combine(data.Path, "mail");

    /// <summary>The mails that are there, the oldest first.</summary>
    public IReadOnlyList<string> List() =>
        Directory.Exists(Folder) ? [.. Directory.EnumerateFiles(Folder, "*.eml").Order(StringComparer.Ordinal)] : [];

    /// <summary>The whole file is on the disk when this returns; a crash leaves a file with another ending, or none.</summary>
    public async Task<Handover> SendAsync(MimeMessage message, CancellationToken cancellation)
    {
        try
        {
            if (OperatingSystem.IsWindows())
            {
                Directory.CreateDirectory(Folder);
            }
            else
            {
                Directory.CreateDirectory(Folder, OwnerOnly | UnixFileMode.UserExecute);
            }

            // Named by its Message-ID alone, so a mail that is written twice is one file.
            var path = Path.Combine(Folder, $"{message.MessageId!.Split('@')[0]}.eml");
            var unfinished = $"{path}.{Guid.NewGuid():N}.new";
            var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, Share = FileShare.None };
            if (!OperatingSystem.IsWindows())
            {
                options.UnixCreateMode = OwnerOnly;
            }

            await using (var file = new FileStream(unfinished, options))
            {
                await message.WriteToAsync(file, cancellation);
                file.Flush(flushToDisk: true);
            }

            File.Move(unfinished, path, overwrite: true);
            return new Handover(HandoverResult.Accepted);
        }
        catch (Exception fault) when (fault is IOException or UnauthorizedAccessException)
        {
            throw new MailServerException($"the folder {Folder} can't be written to", duringMail: false, fault);
        }
    }

    public Task RestAsync(CancellationToken cancellation) => Task.CompletedTask;

    public ValueTask DisposeAsync() => default;
}
