using System.Diagnostics;
using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using ConsentLedger.Tests.Unsubscribe;

namespace ConsentLedger.Tests.SignUps;

/// <summary>What strangers try: to flood somebody, to write headers, and to find out who is subscribed.</summary>
public sealed class SignUpAbuseTests(TestDatabase databases)
{
    [Fact]
    public async Task A_flood_for_one_address_through_every_form_way_and_instance_comes_to_three_mails()
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        await using var other = await TestService.StartAsync(service.ConnectionString, service.Keys, service.Clock, MailScene.To(sink, ("SignUps:PerNetworkPerMinute", "100000")));
        await service.PurposeAsync("events");
        await service.PutAsync("/v1/forms/events", SignUpScene.Form("cy", "events"));
        string[] spellings = [SignUpScene.Ada, "ADA@example.org", "ada@EXAMPLE.org", "Ada@Example.Org"];

        await Parallel.ForAsync(0, 200, new ParallelOptions { MaxDegreeOfParallelism = 16 }, async (i, cancellation) =>
        {
            var instance = i % 2 == 0 ? service : other;
            var form = i % 3 == 0 ? "events" : "website";
            var address = spellings[i % spellings.Length];
            using var content = new FormUrlEncodedContent([new("address", address)]);
            var answer = i % 5 == 0
                ? await instance.PostAsync("/v1/signups", new JsonObject { ["form"] = form, ["address"] = address })
                : await instance.SendBareAsync(HttpMethod.Post, $"/signup/{form}", content: content);
            answer.StatusCode.ShouldBe(HttpStatusCode.Accepted);
        });
        await service.SettledAsync();
        await service.UntilMailsAsync(3);

        // Nor does asking for a new link, once one is too old, open another way on the same day.
        var asked = await sink.MailAsync(3);
        (await service.SqlAsync("select count(*) from mail_outbox")).ShouldBe(3L);
        service.Later(TimeSpan.FromDays(7));
        for (var i = 0; i < 6; i++)
        {
            (await service.PostFormAsync(asked.ConfirmPath(), "confirm=1")).StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        await sink.MailAsync(6);
        (await service.SqlAsync("select count(*) from mail_outbox")).ShouldBe(6L);
    }

    [Theory]
    [InlineData("\r\nBcc: all@example.org")]
    [InlineData("\nBcc: all@example.org")]
    [InlineData("\r\n\r\n<p>Buy now</p>")]
    [InlineData("\u2028Bcc: all@example.org")]
    [InlineData("\0Bcc: all@example.org")]
    [InlineData(">, all@example.org, <x")]
    public async Task Nothing_written_into_any_field_becomes_a_header_a_recipient_or_words_of_a_mail(string payload)
    {
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink, new JsonObject { ["minimumAge"] = 13 });
        (string Name, string Value)[] honest = [("age", "under"), ("guardian", "parent@example.org"), ("firstName", "Ada")];
        string[] fields = ["address", "purposes", "language", "returnUrl", "age", "guardian", "firstName", "notice-newsletter", "challenge", "solution", "other"];

        foreach (var field in fields)
        {
            var values = honest.Prepend(("address", "child@example.org")).ToDictionary(pair => pair.Item1, pair => pair.Item2);
            values[field] = (values.GetValueOrDefault(field) ?? "x") + payload;
            using var form = new FormUrlEncodedContent(values);
            var byForm = await service.SendBareAsync(HttpMethod.Post, "/signup/website", "text/html", "en", form, "Browser/1.0");
            var byScript = await service.SignUpFromAsync(SignUpScene.Site, new JsonObject(values.Select(value => KeyValuePair.Create(value.Key, (JsonNode?)value.Value))));

            // What is not looked at, and what is only kept as evidence, may say what it likes.
            var expected = field is "challenge" or "solution" or "other" || (field == "firstName" && !payload.Any(char.IsControl)) ? HttpStatusCode.OK : HttpStatusCode.BadRequest;
            byForm.StatusCode.ShouldBe(payload.Contains('\0', StringComparison.Ordinal) ? HttpStatusCode.BadRequest : expected, field);
            byScript.IsSuccessStatusCode.ShouldBe(expected == HttpStatusCode.OK, field);
            (byForm.Headers.Location is null).ShouldBeTrue(field);
            byForm.Headers.ShouldNotContain(header => header.Key == "Bcc");
        }

        await service.SettledAsync();
        await MailScene.UntilAsync(async () => await service.CountMailsAsync("waiting") == 0, "sent");
        sink.Mails.ShouldNotBeEmpty();
        sink.Mails.ShouldAllBe(mail => mail.Recipient == "parent@example.org");
        sink.Mails.ShouldAllBe(mail => !mail.Source.Contains("Bcc:", StringComparison.OrdinalIgnoreCase) && !mail.Source.Contains("Buy now", StringComparison.Ordinal));
        sink.Mails.ShouldAllBe(mail => !mail.Source.Contains("all@example.org", StringComparison.Ordinal));
    }

    /// <remarks>
    /// What is compared: 200 answers, half for addresses that are subscribed and half for addresses nobody knows, in an order
    /// drawn once, so that whatever else the machine does, and what the sign-up before still causes behind the scenes, falls
    /// on both alike. How: by rank (Mann-Whitney), where an answer that took a hundred times as long counts no more than one
    /// that was just slower, so a loaded machine adds noise to both and no bias. The bound is four standard errors: by chance
    /// it is passed once in 16,000 runs. What it catches: with a hundred of each, four standard errors is one kind being the
    /// slower in two pairs out of three. A look-up, a mail or an event before the answer adds several round trips to the few
    /// that are made and would be the slower in nearly every pair; that the measure sees a shift no greater than the ordinary
    /// spread is checked on the same numbers. The medians are compared as well, because they are what a person understands.
    /// </remarks>
    [Fact]
    public async Task The_time_an_answer_takes_does_not_tell_who_is_subscribed()
    {
        const int Each = 100;
        const double Bound = 4;
        using var sink = SmtpSink.Start();
        await using var service = await SignUpScene.StartAsync(databases, sink);
        for (var i = 0; i < Each; i++)
        {
            await service.ConsentAsync(TestService.Start.AddYears(-1), $"known{i}@example.org");
        }

        for (var i = 0; i < 30; i++)
        {
            await service.SignUpAsync($"warm{i}@example.org");
        }

        var order = Enumerable.Range(0, 2 * Each).ToArray();
        new Random(20_261_122).Shuffle(order);
        var (known, unknown) = (new List<double>(), new List<double>());
        foreach (var i in order)
        {
            var isKnown = i < Each;
            var time = Stopwatch.StartNew();
            var answer = await service.SignUpAsync(isKnown ? $"known{i}@example.org" : $"nobod{i % Each}@example.org");
            (isKnown ? known : unknown).Add(time.Elapsed.TotalMilliseconds);
            answer.StatusCode.ShouldBe(HttpStatusCode.OK);
        }

        var said = $"medians {Quantile(known, 0.5):0.00} and {Quantile(unknown, 0.5):0.00} ms, {StandardErrors(known, unknown):0.0} standard errors apart";
        TestContext.Current.TestOutputHelper!.WriteLine(said);
        Math.Abs(StandardErrors(known, unknown)).ShouldBeLessThan(Bound, said);
        var spread = Quantile(unknown, 0.75) - Quantile(unknown, 0.25);
        Math.Abs(Quantile(known, 0.5) - Quantile(unknown, 0.5)).ShouldBeLessThan(spread, said);
        StandardErrors([.. known.Select(time => time + spread)], unknown).ShouldBeGreaterThan(Bound, "The measure must see a shift as small as the ordinary spread.");

        await service.SettledAsync();
        (await service.ReasonAsync("known0@example.org")).ShouldBe("given");
    }

    /// <summary>How many standard errors the first are slower than the second, by rank: z of Mann-Whitney's U.</summary>
    private static double StandardErrors(List<double> first, List<double> second)
    {
        double n = first.Count, m = second.Count;
        var wins = first.Sum(one => second.Sum(other => one > other ? 1 : one < other ? 0 : 0.5));
        return (wins - (n * m / 2)) / Math.Sqrt(n * m * (n + m + 1) / 12);
    }

    private static double Quantile(List<double> times, double part) => times.Order().ElementAt((int)(part * (times.Count - 1)));
}
