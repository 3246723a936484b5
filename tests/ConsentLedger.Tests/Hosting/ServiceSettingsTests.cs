using System.Text.RegularExpressions;
using ConsentLedger.Database;
using ConsentLedger.Hosting;
using Microsoft.Extensions.Configuration;

namespace ConsentLedger.Tests.Hosting;

/// <summary>Which settings there are, and what becomes of one that there is not.</summary>
public sealed partial class ServiceSettingsTests
{
    [Fact]
    public void The_settings_there_are_and_those_that_the_guide_names_are_the_same() =>
        GuideSettings().Order(StringComparer.Ordinal).ShouldBe(ServiceSettings.Known.Order(StringComparer.Ordinal));

    [Theory]
    [InlineData("ConsentLedger:Renewals:Schedule")]
    [InlineData("ConsentLedger:ProcessingRecord:Transfers")]
    [InlineData("consentledger:mail:smtp:host")]
    [InlineData("ConsentLedger:Feedback:Ses:Topics:0")]
    public void A_setting_there_is_is_taken_wherever_it_is_read(string setting) => Should.NotThrow(() => Read(setting));

    [Theory]
    [InlineData("ConsentLedger:PublicUri")]
    [InlineData("ConsentLedger:Renewal:Schedule")]
    [InlineData("ConsentLedger:Renewals:Shedule")]
    [InlineData("ConsentLedger:Controller:Telephone")]
    [InlineData("ConsentLedger:Mail:Smpt:Host")]
    [InlineData("ConsentLedger:Mail:Smtp:Server")]
    public void A_setting_there_is_not_stops_the_start_with_one_line_that_names_it(string setting) =>
        Should.Throw<StartupException>(() => Read(setting)).Message.ShouldBe($"There is no setting {setting}.");

    private static ServiceSettings Read(string setting) =>
        ServiceSettings.Read(new ConfigurationBuilder().AddInMemoryCollection([KeyValuePair.Create<string, string?>(setting, "x")]).Build());

    /// <summary>From the table's first column, where <c>ConsentLedger:Brand:{Colour,Logo}</c> is two of them.</summary>
    private static IEnumerable<string> GuideSettings() =>
        from line in File.ReadLines(Repository.PathOf("README.md"))
        where line.StartsWith("| `ConsentLedger:", StringComparison.Ordinal)
        from name in SettingName().Matches(line.Split('|')[1]).Select(match => match.Groups[1].Value)
        from setting in Listed(name)
        select setting;

    private static IEnumerable<string> Listed(string name) =>
        name.Split('{', '}') is [var before, var inner, ""] ? inner.Split(',').Select(last => before + last) : [name];

    [GeneratedRegex("`ConsentLedger:([^`]+)`")]
    private static partial Regex SettingName();
}
