using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.RegularExpressions;
using ConsentLedger.Database;

namespace ConsentLedger.Purposes;

/// <summary>
/// A length of time in whole calendar months and days, as ISO 8601 writes it: <c>P24M</c>, <c>P30D</c>, <c>P1Y6M</c>.
/// A month from 31 January ends on the last day of February, here and in the database alike.
/// </summary>
[JsonConverter(typeof(PeriodJsonConverter))]
[WrittenAs("duration", Pattern = @"^P(?=\d)(\d{1,5}Y)?(\d{1,5}M)?(\d{1,5}W)?(\d{1,5}D)?$")]
public readonly partial record struct Period(int Months, int Days) : IParsable<Period>
{
    /// <summary>The longest period that can be set: a hundred years.</summary>
    public static readonly Period Longest = new(1200, 0);

    /// <summary>The instant one period after <paramref name="start"/>, in UTC, or the last there is.</summary>
    public DateTimeOffset After(DateTimeOffset start)
    {
        try
        {
            return start.ToUniversalTime().AddMonths(Months).AddDays(Days);
        }
        catch (ArgumentOutOfRangeException)
        {
            return DateTimeOffset.MaxValue;
        }
    }

    /// <summary>True if this is longer than the other, with months of their mean length.</summary>
    public bool IsLongerThan(Period other) => MeanDays > other.MeanDays;

    /// <inheritdoc />
    public static Period Parse(string s, IFormatProvider? provider) =>
        TryParse(s, provider, out var period) ? period : throw new FormatException("This is not a period such as P24M or P30D.");

    /// <inheritdoc />
    public static bool TryParse([NotNullWhen(true)] string? s, IFormatProvider? provider, out Period result)
    {
        result = default;
        if (s is null or "P" || Pattern().Match(s) is not { Success: true } match)
        {
            return false;
        }

        var months = (12 * Number(match, "years")) + Number(match, "months");
        var days = (7 * Number(match, "weeks")) + Number(match, "days");
        result = new Period(months, days);
        return months <= Longest.Months && days <= 36525 && months + days > 0;
    }

    /// <inheritdoc />
    public override string ToString()
    {
        var text = new StringBuilder("P");
        if (Months > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $"{Months}M");
        }

        if (Days > 0)
        {
            text.Append(CultureInfo.InvariantCulture, $"{Days}D");
        }

        return text.ToString();
    }

    private double MeanDays => (Months * 365.2425 / 12) + Days;

    private static int Number(Match match, string name) =>
        match.Groups[name] is { Success: true } group ? int.Parse(group.Value, CultureInfo.InvariantCulture) : 0;

    [GeneratedRegex(@"\AP(?:(?<years>\d{1,5})Y)?(?:(?<months>\d{1,5})M)?(?:(?<weeks>\d{1,5})W)?(?:(?<days>\d{1,5})D)?\z", RegexOptions.CultureInvariant)]
    private static partial Regex Pattern();
}

/// <summary>Writes a <see cref="Period"/> in ISO 8601.</summary>
public sealed class PeriodJsonConverter : JsonConverter<Period>
{
    /// <inheritdoc />
    public override Period Read(ref Utf8JsonReader reader, Type typeToConvert, JsonSerializerOptions options) =>
        reader.TokenType == JsonTokenType.String && Period.TryParse(reader.GetString(), CultureInfo.InvariantCulture, out var period)
            ? period
            : throw new JsonException("Must be an ISO 8601 duration in years, months, weeks and days, from a day to a hundred years: P24M, P30D.");

    /// <inheritdoc />
    public override void Write(Utf8JsonWriter writer, Period value, JsonSerializerOptions options) =>
        writer.WriteStringValue(value.ToString());
}
