namespace ConsentLedger.SubjectRights;

/// <summary>
/// The clocks of the register (FACTS 35, 36), as the ICO counts them: a month ends on the corresponding calendar date of
/// the month it ends in, or on its last day where there is none, so that what comes on 31 January is due on 28 or 29
/// February, and with two more months on 30 April. All in UTC and at the time of day at which it came, unless the day is
/// over by then in the United Kingdom: what comes there in winter at 23:30 and is due in summer is due at 23:30 by the clocks
/// there. The ICO lets a day that is a weekend's or a public holiday's pass to the next working day; that is not counted here:
/// holidays differ between the nations, and early is never late.
/// </summary>
public static class RequestClock
{
    /// <summary>How long before it is due a request counts as due soon.</summary>
    public static readonly TimeSpan Soon = TimeSpan.FromDays(7);

    /// <summary>How far an answer can be put off, in months.</summary>
    public const int MostMonthsMore = 2;

    private const int DaysToAcknowledge = 30;

    private static readonly TimeZoneInfo UnitedKingdom = TimeZoneInfo.FindSystemTimeZoneById("Europe/London");

    /// <summary>By when a request is answered.</summary>
    /// <param name="receivedAt">When it came.</param>
    /// <param name="extendedMonths">By how many months the answer was put off: 0 to <see cref="MostMonthsMore"/>.</param>
    /// <param name="paused">How long the clock stood still meanwhile.</param>
    public static DateTimeOffset AnswerDue(DateTimeOffset receivedAt, int extendedMonths, TimeSpan paused) =>
        OnTheCalendar(receivedAt, day => day.AddMonths(1 + extendedMonths)) + paused;

    /// <summary>By when the person is told that the answer is put off, and why: within the first month.</summary>
    public static DateTimeOffset ExtensionNoticeDue(DateTimeOffset receivedAt, TimeSpan paused) => AnswerDue(receivedAt, 0, paused);

    /// <summary>By when a complaint is acknowledged: the thirtieth day after the one on which it came.</summary>
    public static DateTimeOffset AcknowledgementDue(DateTimeOffset receivedAt) => OnTheCalendar(receivedAt, day => day.AddDays(DaysToAcknowledge));

    private static DateTimeOffset OnTheCalendar(DateTimeOffset time, Func<DateTime, DateTime> move)
    {
        var due = new DateTimeOffset(move(time.UtcDateTime), TimeSpan.Zero);
        var there = move(TimeZoneInfo.ConvertTime(time, UnitedKingdom).DateTime);
        return TimeZoneInfo.ConvertTime(due, UnitedKingdom).Date <= there.Date ? due : new DateTimeOffset(there, UnitedKingdom.GetUtcOffset(there)).ToUniversalTime();
    }
}
