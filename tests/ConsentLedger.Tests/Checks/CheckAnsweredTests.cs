using System.Text.Json;
using ConsentLedger.Checks;
using ConsentLedger.Http;
using ConsentLedger.Ledger;
using ConsentLedger.Purposes;
using ConsentLedger.Subscribers;
using Microsoft.AspNetCore.Http;

namespace ConsentLedger.Tests.Checks;

public sealed class CheckAnsweredTests
{
    private static readonly DateTimeOffset Time = new(2026, 11, 22, 9, 30, 0, 123, 456, TimeSpan.Zero);

    public static TheoryData<Check.CheckAnswer> Answers =>
    [
        new Check.CheckAnswer(
            true, CheckReason.Given, "newsletter", EventKind.Given, LawfulBasis.ExplicitConsent, Time, Time.AddYears(1),
            new SubscriberId(Guid.Parse("0192f0c1-2345-7abc-8def-0123456789ab")), new EventId(Guid.Parse("0192f0c1-2345-7abc-8def-0123456789ac")), Time,
            new UnsubscribeLink("https://consent.example/u/AbC-_", new UnsubscribeHeaders("<https://consent.example/u/AbC-_>", UnsubscribeHeaders.OneClick, "<newsletter.consent.example>"))),
        new Check.CheckAnswer(
            false, CheckReason.PurposeEnded, "open-days-2027", null, null, null, null, new SubscriberId(Guid.Empty), null, Time.AddMicroseconds(-123456), null),
    ];

    [Theory]
    [MemberData(nameof(Answers))]
    public async Task What_is_written_by_hand_is_what_the_serializer_would_write(Check.CheckAnswer answer)
    {
        using var body = new MemoryStream();
        var context = new DefaultHttpContext { Response = { Body = body } };

        // Twice, since the writer is used again.
        await new CheckAnswered(answer).ExecuteAsync(context);
        body.SetLength(0);
        await new CheckAnswered(answer).ExecuteAsync(context);

        var options = new JsonSerializerOptions();
        JsonConventions.Apply(options);
        JsonSerializer.Deserialize<JsonElement>(body.ToArray()).GetRawText().ShouldBe(JsonSerializer.Serialize(answer, options));
        context.Response.ContentLength.ShouldBe(body.Length);
        context.Response.ContentType.ShouldBe("application/json; charset=utf-8");
    }
}
