using System.Diagnostics;
using ConsentLedger.Database;

namespace ConsentLedger.Tests.Database;

public sealed class PostgresBinariesTests : IDisposable
{
    private readonly string root = Directory.CreateTempSubdirectory("consentledger-binaries-").FullName;

    [Fact]
    public async Task The_newest_of_all_usual_places_comes_first()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "The programs are made of shell scripts.");
        Install("usr/lib/postgresql/15/bin", "15.14 (Debian 15.14-0+deb12u1)");
        Install("usr/lib/postgresql/10/bin", "10.23");
        Install("usr/pgsql-16/bin", "16.10");
        Install("opt/homebrew/opt/postgresql@17/bin", "17.6 (Homebrew)");
        Install("usr/local/opt/postgresql@14/bin", "14.9 (Homebrew)");
        Install("usr/libexec/postgresql16", "16.4");
        Install("somewhere/bin", "17.2");

        var folders = PostgresBinaries.FoldersOn(Path.Combine(root, "somewhere/bin"), root);
        var found = await PostgresBinaries.FindAsync(folders, TestContext.Current.CancellationToken);

        found.Select(binaries => (binaries.Major, binaries.Minor)).ShouldBe([(17, 6), (17, 2), (16, 10), (16, 4), (15, 14), (14, 9), (10, 23)]);
        PostgresBinaries.Choose(found, null)!.Folder.ShouldBe(Path.Combine(root, "opt/homebrew/opt/postgresql@17/bin"));
    }

    [Fact]
    public async Task A_folder_without_all_programs_or_with_a_pre_release_is_passed_over()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "The programs are made of shell scripts.");
        Install("usr/lib/postgresql/19/bin", "19beta1");
        Install("usr/lib/postgresql/18/bin", "18.1");
        File.Delete(Path.Combine(root, "usr/lib/postgresql/18/bin/initdb"));

        (await PostgresBinaries.FindAsync(PostgresBinaries.FoldersOn(null, root), TestContext.Current.CancellationToken)).ShouldBeEmpty();
    }

    [Fact]
    public void A_cluster_gets_the_newest_programs_of_its_own_major_version()
    {
        PostgresBinaries[] installed = [new("a", 17, 1), new("b", 15, 3), new("c", 15, 14)];

        PostgresBinaries.Choose(installed, 15).ShouldBe(installed[2]);
        PostgresBinaries.Choose(installed, 16).ShouldBeNull();
    }

    [Fact]
    public void With_nothing_new_enough_on_the_machine_the_choice_is_to_download() =>
        PostgresBinaries.Choose([new("a", 14, 9)], null).ShouldBeNull();

    [Fact]
    public void Downloaded_programs_are_found_again()
    {
        var bin = Directory.CreateDirectory(Path.Combine(root, PostgresDownload.FolderName, "postgres-17.6.0-linux-amd64", "bin")).FullName;

        PostgresDownload.FoldersIn(root).ShouldBe([bin]);
        PostgresDownload.FoldersIn(Path.Combine(root, "nowhere")).ShouldBeEmpty();
    }

    public void Dispose() => Directory.Delete(root, recursive: true);

    private void Install(string folder, string version)
    {
        // Written by a shell: a file that this process had open for writing could be "busy" while other tests start processes.
        const string Script = """
            mkdir -p "$1" && cd "$1" || exit
            for program in postgres initdb pg_ctl; do
                printf '#!/bin/sh\necho "%s (PostgreSQL) %s"\n' "$program" "$2" > "$program"
                chmod 755 "$program"
            done
            """;
        using var shell = Process.Start("/bin/sh", ["-c", Script, "sh", Path.Combine(root, folder), version]);
        shell.WaitForExit();
        shell.ExitCode.ShouldBe(0);
    }
}
