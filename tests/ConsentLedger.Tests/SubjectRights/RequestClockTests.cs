using ConsentLedger.SubjectRights;
using CsCheck;

namespace ConsentLedger.Tests.SubjectRights;

public sealed class RequestClockTests
{
    private static readonly TimeZoneInfo London = TimeZoneInfo.FindSystemTimeZoneById("Europe/London");

    private static readonly Gen<DateTimeOffset> AnyTime =
        Gen.Int[0, 60 * 24 * 365 * 8].Select(minutes => new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero).AddMinutes(minutes));

    [Theory]
    [InlineData("2026-09-03", 0, "2026-10-03")]
    [InlineData("2026-12-31", 0, "2027-01-31")]
    [InlineData("2027-01-31", 0, "2027-02-28")]
    [InlineData("2028-01-31", 0, "2028-02-29")]
    [InlineData("2028-01-29", 0, "2028-02-29")]
    [InlineData("2027-03-31", 0, "2027-04-30")]
    [InlineData("2027-02-28", 0, "2027-03-28")]
    [InlineData("2027-01-31", 1, "2027-03-31")]
    [InlineData("2027-01-31", 2, "2027-04-30")]
    public void A_month_ends_on_the_corresponding_date_or_the_last_day_there_is(string received, int extendedMonths, string due) =>
        RequestClock.AnswerDue(Day(received), extendedMonths, TimeSpan.Zero).ShouldBe(Day(due));

    [Theory]
    [InlineData("2027-03-10T23:30:00Z", "2027-04-10T22:30:00Z")]
    [InlineData("2027-06-30T23:30:00Z", "2027-07-30T23:30:00Z")]
    [InlineData("2027-03-10T22:30:00Z", "2027-04-10T22:30:00Z")]
    [InlineData("2027-10-10T22:30:00Z", "2027-11-10T22:30:00Z")]
    public void It_is_due_on_the_date_that_it_is_in_the_United_Kingdom(string received, string due) =>
        RequestClock.AnswerDue(DateTimeOffset.Parse(received, null), 0, TimeSpan.Zero).ShouldBe(DateTimeOffset.Parse(due, null));

    [Fact]
    public void A_month_ends_at_the_same_time_a_month_later_or_within_the_hour_before_and_never_on_a_later_date() =>
        AnyTime.Sample(received =>
        {
            var due = RequestClock.AnswerDue(received, 0, TimeSpan.Zero);
            There(due).Date.ShouldBeLessThanOrEqualTo(There(received).Date.AddMonths(1));
            (received.AddMonths(1) - due).ShouldBeOneOf(TimeSpan.Zero, TimeSpan.FromHours(1));
            (due - received).ShouldBeInRange(TimeSpan.FromDays(27.9), TimeSpan.FromDays(31));
        });

    [Fact]
    public void What_comes_later_is_never_due_earlier() =>
        Gen.Select(AnyTime, AnyTime, Gen.Int[0, 2]).Sample((one, other, months) =>
        {
            var (first, second) = one <= other ? (one, other) : (other, one);
            RequestClock.AnswerDue(first, months, TimeSpan.Zero).ShouldBeLessThanOrEqualTo(RequestClock.AnswerDue(second, months, TimeSpan.Zero));
        });

    [Fact]
    public void A_pause_moves_every_date_by_its_length_and_an_extension_is_told_before_it_begins() =>
        Gen.Select(AnyTime, Gen.Int[0, 100_000], Gen.Int[0, 2]).Sample((received, minutes, months) =>
        {
            var paused = TimeSpan.FromMinutes(minutes);
            (RequestClock.AnswerDue(received, months, paused) - RequestClock.AnswerDue(received, months, TimeSpan.Zero)).ShouldBe(paused);
            RequestClock.ExtensionNoticeDue(received, paused).ShouldBeLessThanOrEqualTo(RequestClock.AnswerDue(received, months, paused));
        });

    [Fact]
    public void However_it_is_paused_and_resumed_the_time_it_ran_until_it_is_due_is_the_same() =>
        Gen.Select(AnyTime, Gen.Int[1, 5000].Array[0, 6]).Sample((received, spans) =>
        {
            var request = new RightsRequest { SubscriberId = default, Id = default, Kind = RequestKind.Access, ReceivedAt = received };
            var (now, paused) = (received, TimeSpan.Zero);
            foreach (var (index, span) in spans.Index())
            {
                paused += request.Status == RequestStatus.Paused ? TimeSpan.FromMinutes(span) : TimeSpan.Zero;
                now = now.AddMinutes(span);
                request = (index % 2 == 0 ? request.Pause(now) : request.Resume(now)).Request!;
            }

            request.DueAt(now).ShouldBe(RequestClock.AnswerDue(received, 0, TimeSpan.Zero) + paused);
        });

    [Fact]
    public void A_complaint_is_acknowledged_by_the_thirtieth_day_after_it_came() =>
        RequestClock.AcknowledgementDue(Day("2026-12-31")).ShouldBe(Day("2027-01-30"));

    private static DateTime There(DateTimeOffset time) => TimeZoneInfo.ConvertTime(time, London).DateTime;

    private static DateTimeOffset Day(string date) => DateTimeOffset.Parse(date + "T10:15:00Z", System.Globalization.CultureInfo.InvariantCulture);
}
