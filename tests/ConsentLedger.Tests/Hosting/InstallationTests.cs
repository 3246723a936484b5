using System.Globalization;
using ConsentLedger.Database;
using ConsentLedger.Hosting;
using ConsentLedger.Security;
using Microsoft.Extensions.Time.Testing;

namespace ConsentLedger.Tests.Hosting;

/// <summary>Opening an installation: its key is made once, and belongs to its database.</summary>
public sealed class InstallationTests(TestDatabase databases) : IDisposable
{
    private readonly TemporaryDataDirectory data = new();

    [Fact]
    public async Task The_first_start_makes_a_key_for_this_account_alone_and_the_next_finds_it()
    {
        var settings = await SettingsAsync();
        byte[] address;
        await using (var first = await OpenAsync(settings))
        {
            first.MadeMasterKey.ShouldBeTrue();
            address = first.Keys.AddressKey;
        }

        if (!OperatingSystem.IsWindows())
        {
            File.GetUnixFileMode(settings.MasterKeyFile).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
            (File.GetUnixFileMode(settings.DataDirectory) & (UnixFileMode.GroupRead | UnixFileMode.OtherRead | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)).ShouldBe(UnixFileMode.None);
        }

        MasterKey.TryParse(await File.ReadAllTextAsync(settings.MasterKeyFile, TestContext.Current.CancellationToken), out _).ShouldBeTrue();
        await using var second = await OpenAsync(settings);
        second.MadeMasterKey.ShouldBeFalse();
        second.Keys.AddressKey.ShouldBe(address);
    }

    [Fact]
    public async Task What_a_crash_left_of_a_key_is_in_nobody_s_way()
    {
        var settings = await SettingsAsync();
        Directory.CreateDirectory(settings.DataDirectory);
        foreach (var left in new[] { $"{settings.MasterKeyFile}.{Environment.ProcessId.ToString(CultureInfo.InvariantCulture)}.new", settings.MasterKeyFile + ".new" })
        {
            await File.WriteAllTextAsync(left, "AAEC", TestContext.Current.CancellationToken);
        }

        await using var installation = await OpenAsync(settings);
        installation.MadeMasterKey.ShouldBeTrue();
    }

    [Fact]
    public async Task First_starts_at_once_on_one_data_directory_and_an_empty_database_share_one_key()
    {
        var settings = await SettingsAsync(await databases.CreateDatabaseAsync(null));

        var opened = await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => Task.Run(() => OpenAsync(settings))));

        opened.Select(installation => Convert.ToHexString(installation.Keys.AddressKey)).Distinct().ShouldHaveSingleItem();
        opened.Count(installation => installation.MadeMasterKey).ShouldBe(1);
        opened.Count(installation => installation.Migrated.Count > 0).ShouldBe(1);
        Directory.GetFiles(settings.DataDirectory, "*.new").ShouldBeEmpty();
        foreach (var installation in opened)
        {
            await installation.DisposeAsync();
        }
    }

    [Fact]
    public async Task A_database_of_another_master_key_is_refused()
    {
        var settings = await SettingsAsync();
        await (await OpenAsync(settings)).DisposeAsync();

        var other = settings with { MasterKey = MasterKey.Generate().ToBase64() };
        (await Should.ThrowAsync<StartupException>(() => OpenAsync(other))).Message.ShouldBe(
            "This database was made under another master key. Start with that key: nothing in the database can be read with this one.");

        var same = settings with { MasterKey = await File.ReadAllTextAsync(settings.MasterKeyFile, TestContext.Current.CancellationToken) };
        await (await OpenAsync(same)).DisposeAsync();
    }

    [Fact]
    public async Task A_database_whose_key_file_is_gone_is_not_opened_with_a_new_key()
    {
        var settings = await SettingsAsync();
        await (await OpenAsync(settings)).DisposeAsync();
        File.Delete(settings.MasterKeyFile);

        var refused = await Should.ThrowAsync<StartupException>(() => OpenAsync(settings));

        refused.Message.ShouldBe($"There is no master key in {settings.MasterKeyFile}. Put the one back that the ledger was made under, or name it with ConsentLedger:MasterKeyFile.");
        File.Exists(settings.MasterKeyFile).ShouldBeFalse();
    }

    [Fact]
    public async Task A_named_key_file_is_never_made()
    {
        var settings = await SettingsAsync() with { MasterKeyFile = Path.Combine(data.Path, "named.key"), MasterKeyFileIsNamed = true };

        (await Should.ThrowAsync<StartupException>(() => OpenAsync(settings))).Message
            .ShouldBe($"There is no master key in {settings.MasterKeyFile}, which ConsentLedger:MasterKeyFile names.");
        File.Exists(settings.MasterKeyFile).ShouldBeFalse();
    }

    [Theory]
    [InlineData("")]
    [InlineData("secret sauce")]
    [InlineData("AAEC")]
    public async Task A_key_file_that_holds_something_else_is_refused_without_repeating_it(string content)
    {
        var settings = await SettingsAsync();
        Directory.CreateDirectory(settings.DataDirectory);
        await File.WriteAllTextAsync(settings.MasterKeyFile, content, TestContext.Current.CancellationToken);

        (await Should.ThrowAsync<StartupException>(() => OpenAsync(settings))).Message
            .ShouldBe($"{settings.MasterKeyFile} does not hold a master key, which is 32 bytes in base64.");
        (await File.ReadAllTextAsync(settings.MasterKeyFile, TestContext.Current.CancellationToken)).ShouldBe(content);
    }

    [Fact]
    public async Task A_setting_that_is_no_key_is_refused_without_repeating_it() =>
        (await Should.ThrowAsync<StartupException>(async () => await OpenAsync(await SettingsAsync() with { MasterKey = "hush" }))).Message
            .ShouldBe("ConsentLedger:MasterKey is not 32 bytes in base64.");

    public void Dispose() => data.Dispose();

    private static Task<Installation> OpenAsync(ServiceSettings settings) =>
        Installation.OpenAsync(settings, new FakeTimeProvider(TestService.Start), null, TestContext.Current.CancellationToken);

    private async Task<ServiceSettings> SettingsAsync(string? connectionString = null)
    {
        var folder = Path.Combine(data.Path, "installation");
        return new ServiceSettings
        {
            ConnectionString = connectionString ?? await databases.CreateLedgerAsync(),
            DataDirectory = folder,
            MasterKeyFile = Path.Combine(folder, "master.key"),
        };
    }
}
