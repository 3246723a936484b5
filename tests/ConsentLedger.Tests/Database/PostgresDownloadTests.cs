using System.Diagnostics;
using System.IO.Compression;
using System.Net;
using System.Security.Cryptography;
using ConsentLedger.Database;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Database;

public sealed class PostgresDownloadTests : IDisposable
{
    private readonly TemporaryDataDirectory data = new();

    [Fact]
    public async Task A_machine_without_programs_runs_a_cluster_with_those_that_were_downloaded()
    {
        var installed = PostgresBinaries.Choose(
            await PostgresBinaries.FindAsync(PostgresBinaries.FoldersOnThisMachine(), TestContext.Current.CancellationToken), null);
        Assert.SkipUnless(OperatingSystem.IsLinux() && File.Exists("/usr/bin/xz") && installed is not null, "The published archive is made here.");
        using var repository = new Repository(Archive(installed));
        using var client = new HttpClient(repository);

        await PostgresDownload.RunAsync(data.Path, client, TestContext.Current.CancellationToken);

        PostgresDownload.FoldersIn(data.Path).ShouldHaveSingleItem().ShouldEndWith("/bin");
        await using var server = await data.StartAsync(data.Options with { BinaryFolders = [] });
        (await server.ScalarAsync("select 'here'")).ShouldBe("here");
    }

    [Fact]
    public async Task Without_a_network_it_says_in_one_line_what_to_do()
    {
        using var repository = new Repository(null);
        using var client = new HttpClient(repository);

        var failed = await Should.ThrowAsync<StartupException>(
            () => PostgresDownload.RunAsync(data.Path, client, TestContext.Current.CancellationToken));

        failed.Message.ShouldStartWith("PostgreSQL was not found on this machine and could not be downloaded (");
        failed.Message.ShouldEndWith("Install PostgreSQL 15 or newer, or set ConnectionStrings:Ledger.");
        failed.Message.ShouldNotContain("\n");
    }

    public void Dispose() => data.Dispose();

    /// <summary>An archive laid out as the published ones are, whose programs hand over to the installed ones.</summary>
    private byte[] Archive(PostgresBinaries installed)
    {
        const string Script = """
            mkdir -p "$1/bin" && cd "$1" || exit
            for program in postgres initdb pg_ctl; do
                printf '#!/bin/sh\nexec "%s/%s" "$@"\n' "$2" "$program" > "bin/$program"
                chmod 755 "bin/$program"
            done
            tar cJf archive.txz bin
            """;
        var folder = Path.Combine(data.Path, "published");
        using var shell = Process.Start("/bin/sh", ["-c", Script, "sh", folder, installed.Folder]);
        shell.WaitForExit();
        shell.ExitCode.ShouldBe(0);
        using var jar = new MemoryStream();
        using (var zip = new ZipArchive(jar, ZipArchiveMode.Create, leaveOpen: true))
        {
            zip.CreateEntryFromFile(Path.Combine(folder, "archive.txz"), "postgres-linux.txz");
        }

        return jar.ToArray();
    }

    /// <summary>Stands in for Maven Central; unreachable without an archive.</summary>
    private sealed class Repository(byte[]? archive) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            var path = request.RequestUri!.AbsolutePath;
            return archive is null
                ? throw new HttpRequestException("no network")
                : Task.FromResult(new HttpResponseMessage(HttpStatusCode.OK)
                {
                    Content = Path.GetExtension(path) switch
                    {
                        ".xml" => new StringContent("<metadata><versioning><versions><version>17.6.0</version></versions></versioning></metadata>"),
                        ".sha256" => new StringContent(Convert.ToHexStringLower(SHA256.HashData(archive))),
                        _ => new ByteArrayContent(archive),
                    },
                });
        }
    }
}
