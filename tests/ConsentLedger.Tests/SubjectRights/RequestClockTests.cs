using ConsentLedger.SubjectRights;
using CsCheck;

namespace ConsentLedger.Tests.SubjectRights;

public sealed class RequestClockTests
{
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

    [Fact]
    public void A_month_always_ends_in_the_next_month_at_the_same_time_and_never_on_a_later_date() =>
        AnyTime.Sample(received =>
        {
            var due = RequestClock.AnswerDue(received, 0, TimeSpan.Zero);
            (due.Year * 12 + due.Month).ShouldBe(received.Year * 12 + received.Month + 1);
            due.TimeOfDay.ShouldBe(received.TimeOfDay);
            due.Day.ShouldBe(Math.Min(received.Day, DateTime.DaysInMonth(due.Year, due.Month)));
            (due - received).ShouldBeInRange(TimeSpan.FromDays(28), TimeSpan.FromDays(31));
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

            request.DueAt(now).ShouldBe(received.AddMonths(1) + paused);
        });

    [Fact]
    public void A_complaint_is_acknowledged_by_the_thirtieth_day_after_it_came() =>
        RequestClock.AcknowledgementDue(Day("2026-12-31")).ShouldBe(Day("2027-01-30"));

    private static DateTimeOffset Day(string date) => DateTimeOffset.Parse(date + "T10:15:00Z", System.Globalization.CultureInfo.InvariantCulture);
}
