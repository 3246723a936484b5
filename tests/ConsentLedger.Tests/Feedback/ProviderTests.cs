using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;
using Microsoft.Extensions.Time.Testing;
using static ConsentLedger.Tests.Feedback.FeedbackScene;

namespace ConsentLedger.Tests.Feedback;

/// <summary>What each provider's own documentation shows that it sends, and what somebody else could make of it.</summary>
public sealed class ProviderTests(TestDatabase databases)
{
    // Published with SendGrid's own libraries: the key, the signature, and what it signs.
    private const string SendGridKey = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEDr2LjtURuePQzplybdC+u4CwrqDqBaWjcMMsTbhdbcwHBcepxo7yAQGhHPTnlvFYPAZFceEu/1FwCM/QmGUhA==";
    private const string SendGridSignature = "MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6BpSzoQsbVRamr2nlxFDWYNH2j/0=";
    private const string SendGridTimestamp = "1588788367";
    private const string SendGridPayload = """{"category":"example_payload","event":"test_event","message_id":"message_id"}""";

    [Fact]
    public async Task Postmark_reports_bounces_and_complaints()
    {
        await using var service = await TestService.StartAsync(databases);

        (await service.PostAsync("/v1/feedback/postmark", Payload("postmark-bounce.json")).SendAndCountAsync()).ShouldBe("suppressed 1");
        (await service.PostAsync("/v1/feedback/postmark", Payload("postmark-complaint.json")).SendAndCountAsync()).ShouldBe("suppressed 1");
        (await service.PostAsync("/v1/feedback/postmark", Payload("postmark-bounce.json")).SendAndCountAsync()).ShouldBe("unchanged 1");
        (await SuppressedAsync(service, "john@example.com")).ShouldBeTrue();
        (await SuppressedAsync(service, "annoyed@example.com")).ShouldBeTrue();
        foreach (var (type, counts) in new[] { ("SoftBounce", "counted 1"), ("Transient", "ignored 1"), ("AutoResponder", "ignored 1"), ("Blocked", "ignored 1"), ("SomethingNew", "ignored 1") })
        {
            var bounce = Payload("postmark-bounce.json");
            (bounce["Type"], bounce["ID"], bounce["BouncedAt"]) = (type, 99, "2026-11-22T09:00:00Z");
            (await service.PostAsync("/v1/feedback/postmark", bounce).SendAndCountAsync()).ShouldBe(counts, type);
        }

        (await service.PostAsync("/v1/feedback/postmark", new JsonObject { ["RecordType"] = "Open", ["Recipient"] = "ada@museum.example" }).SendAndCountAsync()).ShouldBe("ignored 1");
    }

    [Fact]
    public async Task SendGrid_reports_many_things_of_which_some_matter()
    {
        await using var service = await TestService.StartAsync(databases);

        (await service.PostAsync("/v1/feedback/sendgrid", Payload("sendgrid-events.json")).SendAndCountAsync()).ShouldBe("suppressed 3 ignored 4");
        (await service.PostAsync("/v1/feedback/sendgrid", Payload("sendgrid-events.json")).SendAndCountAsync()).ShouldBe("unchanged 3 ignored 4");
        foreach (var (name, suppressed) in new[] { ("bounced", true), ("dropped", true), ("annoyed", true), ("deferred", false), ("delivered", false), ("opened", false) })
        {
            (await SuppressedAsync(service, $"{name}@example.com")).ShouldBe(suppressed, name);
        }
    }

    [Theory]
    [InlineData(SendGridPayload, SendGridSignature, SendGridTimestamp, "2020-05-06T18:06:07Z", true)]
    [InlineData(SendGridPayload, SendGridSignature, SendGridTimestamp, "2020-05-09T18:06:00Z", true)]
    [InlineData(SendGridPayload, SendGridSignature, SendGridTimestamp, "2020-05-09T18:06:20Z", false)]
    [InlineData(SendGridPayload, SendGridSignature, SendGridTimestamp, "2020-05-06T17:00:00Z", false)]
    [InlineData(SendGridPayload + " ", SendGridSignature, SendGridTimestamp, "2020-05-06T18:06:07Z", false)]
    [InlineData(SendGridPayload, SendGridSignature, "1588788368", "2020-05-06T18:06:07Z", false)]
    [InlineData(SendGridPayload, "MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6BpSzoQsbVRamr2nlxFDWYNH3j/0=", SendGridTimestamp, "2020-05-06T18:06:07Z", false)]
    [InlineData(SendGridPayload, "no base64", SendGridTimestamp, "2020-05-06T18:06:07Z", false)]
    [InlineData(SendGridPayload, null, SendGridTimestamp, "2020-05-06T18:06:07Z", false)]
    public async Task SendGrid_is_held_to_its_signature_once_its_key_is_set(string payload, string? signature, string timestamp, string now, bool taken)
    {
        var clock = new FakeTimeProvider(DateTimeOffset.Parse(now, System.Globalization.CultureInfo.InvariantCulture));
        await using var service = await TestService.StartAsync(
            await databases.CreateLedgerAsync(), new KeyRing(MasterKey.Generate()), clock, builder => builder.Configuration["ConsentLedger:Feedback:SendGrid:PublicKey"] = SendGridKey);

        var answer = await service.SendRawAsync("/v1/feedback/sendgrid", payload, headers:
        [
            ("X-Twilio-Email-Event-Webhook-Timestamp", timestamp), .. signature is null ? Array.Empty<(string, string)>() : [("X-Twilio-Email-Event-Webhook-Signature", signature)],
        ]);

        if (taken)
        {
            (await answer.ReadAsync()).Counts().ShouldBe("ignored 1");
        }
        else
        {
            await answer.ReadProblemAsync(HttpStatusCode.Forbidden, "signature-invalid");
        }
    }

    [Fact]
    public async Task Mailgun_reports_permanent_failures_and_complaints()
    {
        await using var service = await WithMailgunAsync();

        (await SendAsync(service, Payload("mailgun-permanent.json"), "1")).ShouldBe("suppressed 1");
        (await SendAsync(service, Payload("mailgun-complained.json"), "2")).ShouldBe("suppressed 1");
        (await SendAsync(service, Payload("mailgun-permanent.json"), "3")).ShouldBe("unchanged 1");
        (await SuppressedAsync(service, "alice@example.com")).ShouldBeTrue();
        foreach (var (severity, reason, counts) in new[]
        {
            ("temporary", "generic", "ignored 1"), ("permanent", "old", "counted 1"), ("permanent", "suppress-unsubscribe", "ignored 1"), ("permanent", "bounce", "suppressed 1"),
        })
        {
            var failed = Payload("mailgun-permanent.json");
            (failed["severity"], failed["reason"], failed["id"], failed["recipient"]) = (severity, reason, reason, $"{reason}@example.com");
            failed["timestamp"] = TestService.Start.ToUnixTimeSeconds();
            (await SendAsync(service, failed, $"{severity} {reason}")).ShouldBe(counts, reason);
        }

        static async Task<string> SendAsync(TestService service, JsonNode data, string token) =>
            await service.PostAsync("/v1/feedback/mailgun", Mailgun(data, TestService.Start, token)).SendAndCountAsync();
    }

    [Fact]
    public async Task Mailgun_is_held_to_its_signature_and_each_signature_to_one_message()
    {
        await using var service = await WithMailgunAsync();
        var data = Payload("mailgun-permanent.json");
        async Task RefusedAsync(JsonNode body) =>
            await service.PostAsync("/v1/feedback/mailgun", body).ReadProblemAsync(HttpStatusCode.Forbidden, "signature-invalid");

        await RefusedAsync(new JsonObject { ["event-data"] = data.DeepClone() });
        await RefusedAsync(Mailgun(data, TestService.Start, key: "another key"));
        await RefusedAsync(Mailgun(data, TestService.Start.AddDays(-4)));
        await RefusedAsync(Mailgun(data, TestService.Start.AddHours(1)));
        (await service.SuppressedAsync()).ShouldBe(0);

        var genuine = Mailgun(data, TestService.Start);
        (await service.PostAsync("/v1/feedback/mailgun", genuine).SendAndCountAsync()).ShouldBe("suppressed 1");
        (await service.PostAsync("/v1/feedback/mailgun", genuine).SendAndCountAsync()).ShouldBe("unchanged 1");

        // Mailgun does not sign the message, so whoever has seen the signature could write another under it.
        var forged = (JsonObject)genuine.DeepClone();
        (forged["event-data"]!["recipient"], forged["event-data"]!["id"]) = ("victim@museum.example", "forged");
        await RefusedAsync(forged);
        (await SuppressedAsync(service, "victim@museum.example")).ShouldBeFalse();
    }

    [Theory]
    [InlineData("1")]
    [InlineData("2")]
    public async Task SES_reports_through_SNS_in_either_version_of_its_signature(string version)
    {
        using var amazon = new AmazonStandIn();
        await using var service = await TestService.StartAsync(databases, amazon.Replace);

        (await SendAsync(service, amazon.Sign(Payload("ses-bounce.json").ToJsonString(), version: version))).ShouldBe("suppressed 1");
        (await SendAsync(service, amazon.Sign(Payload("ses-complaint.json").ToJsonString(), version: version))).ShouldBe("suppressed 1");
        (await SendAsync(service, amazon.Sign(Payload("ses-bounce.json").ToJsonString(), version: version))).ShouldBe("unchanged 1");
        (await SuppressedAsync(service, "jane@example.com")).ShouldBeTrue();
        (await SuppressedAsync(service, "richard@example.com")).ShouldBeTrue();
        (await SuppressedAsync(service, "mary@example.com")).ShouldBeFalse("She was written to, and did not complain.");

        // The certificate is fetched once.
        amazon.Asked.ShouldBe([AmazonStandIn.CertificateUrl]);
    }

    [Fact]
    public async Task SES_says_much_that_is_no_hard_bounce()
    {
        using var amazon = new AmazonStandIn();
        await using var service = await TestService.StartAsync(databases, amazon.Replace);
        foreach (var (type, subType, counts) in new[]
        {
            ("Transient", "MailboxFull", "counted 1"), ("Transient", "MessageTooLarge", "ignored 1"), ("Undetermined", "Undetermined", "counted 1"),
        })
        {
            var bounce = Payload("ses-bounce.json");
            (bounce["bounce"]!["bounceType"], bounce["bounce"]!["bounceSubType"]) = (type, subType);
            (bounce["bounce"]!["timestamp"], bounce["bounce"]!["feedbackId"]) = ("2026-11-22T09:00:00.000Z", subType);
            (await SendAsync(service, amazon.Sign(bounce.ToJsonString()))).ShouldBe(counts, subType);
        }

        var notSpam = Payload("ses-complaint.json");
        notSpam["complaint"]!["complaintFeedbackType"] = "not-spam";
        (await SendAsync(service, amazon.Sign(notSpam.ToJsonString()))).ShouldBe("ignored 1");
        (await SendAsync(service, amazon.Sign("Successfully validated SNS topic for Amazon SES event publishing."))).ShouldBe("ignored 1");

        // Event publishing has the same under another name.
        var published = Payload("ses-bounce.json").AsObject();
        published["eventType"] = "Bounce";
        published.Remove("notificationType");
        (await SendAsync(service, amazon.Sign(published.ToJsonString()))).ShouldBe("suppressed 1");
    }

    private static readonly (string Name, Action<JsonObject> Forge)[] Forgeries =
    [
        ("another message", envelope => envelope["Message"] = Payload("ses-complaint.json").ToJsonString()),
        ("no signature", envelope => envelope.Remove("Signature")),
        ("a version there is not", envelope => envelope["SignatureVersion"] = "3"),
        ("the other version", envelope => envelope["SignatureVersion"] = "1"),
        ("a certificate from elsewhere", envelope => envelope["SigningCertURL"] = "https://sns.eu-west-2.amazonaws.com.evil.example/x.pem"),
        ("a certificate from a bucket", envelope => envelope["SigningCertURL"] = "https://s3.eu-west-2.amazonaws.com/x.pem"),
        ("a certificate over http", envelope => envelope["SigningCertURL"] = "http://sns.eu-west-2.amazonaws.com/x.pem"),
        ("a certificate at another port", envelope => envelope["SigningCertURL"] = "https://sns.eu-west-2.amazonaws.com:8443/x.pem"),
        ("a certificate behind a name", envelope => envelope["SigningCertURL"] = "https://sns.eu-west-2.amazonaws.com@evil.example/x.pem"),
        ("a certificate in the instance", envelope => envelope["SigningCertURL"] = "https://169.254.169.254/x.pem"),
        ("what is no certificate", envelope => envelope["SigningCertURL"] = AmazonStandIn.SubscribeUrl),
        ("another topic", envelope => envelope["TopicArn"] = "arn:aws:sns:eu-west-2:999999999999:bounces"),
    ];

    [Fact]
    public async Task SES_is_held_to_its_signature_and_nothing_but_Amazon_is_asked()
    {
        using var amazon = new AmazonStandIn();
        await using var service = await TestService.StartAsync(databases, amazon.Replace);
        foreach (var (forgery, forge) in Forgeries)
        {
            var envelope = amazon.Sign(Payload("ses-bounce.json").ToJsonString());
            forge(envelope);

            var answer = await PostAsync(service, envelope);

            answer.StatusCode.ShouldBe(HttpStatusCode.Forbidden, forgery);
            await answer.ReadProblemAsync(HttpStatusCode.Forbidden, "signature-invalid");
        }

        amazon.Asked.ShouldBe([AmazonStandIn.CertificateUrl]);
        (await service.SuppressedAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task What_Amazon_signed_for_another_topic_or_long_ago_is_refused()
    {
        using var amazon = new AmazonStandIn();
        await using var service = await TestService.StartAsync(databases, amazon.Replace);
        var bounce = Payload("ses-bounce.json").ToJsonString();

        await PostAsync(service, amazon.Sign(bounce, change: envelope => envelope["TopicArn"] = "arn:aws:sns:eu-west-2:999999999999:bounces"))
            .ReadProblemAsync(HttpStatusCode.Forbidden, "signature-invalid");
        await PostAsync(service, amazon.Sign(bounce, at: TestService.Start.AddDays(-4))).ReadProblemAsync(HttpStatusCode.Forbidden, "signature-invalid");
        (await service.SuppressedAsync()).ShouldBe(0);
    }

    [Fact]
    public async Task A_subscription_is_confirmed_for_a_topic_of_ours_at_Amazon_and_nowhere_else()
    {
        using var amazon = new AmazonStandIn();
        await using var service = await TestService.StartAsync(databases, amazon.Replace);

        (await SendAsync(service, amazon.Sign("You have chosen to subscribe to the topic.", "SubscriptionConfirmation"))).ShouldBe("");
        amazon.Asked.ShouldBe([AmazonStandIn.CertificateUrl, AmazonStandIn.SubscribeUrl]);

        amazon.Asked.Clear();
        await PostAsync(service, amazon.Sign("You have …", "SubscriptionConfirmation", change: envelope => envelope["TopicArn"] = "arn:aws:sns:eu-west-2:999999999999:theirs"))
            .ReadProblemAsync(HttpStatusCode.Forbidden, "signature-invalid");
        await PostAsync(service, amazon.Sign("You have …", "SubscriptionConfirmation", change: envelope => envelope["SubscribeURL"] = "https://169.254.169.254/latest/meta-data"))
            .ReadProblemAsync(HttpStatusCode.Forbidden, "signature-invalid");
        amazon.Asked.ShouldBeEmpty();
    }

    [Fact]
    public async Task While_Amazon_can_not_be_asked_it_is_told_to_come_again()
    {
        using var amazon = new AmazonStandIn { Status = HttpStatusCode.InternalServerError };
        await using var service = await TestService.StartAsync(databases, amazon.Replace);
        var bounce = amazon.Sign(Payload("ses-bounce.json").ToJsonString());

        var refused = await PostAsync(service, bounce);
        await refused.ReadProblemAsync(HttpStatusCode.ServiceUnavailable, "provider-unavailable");
        refused.Headers.RetryAfter.ShouldNotBeNull();

        amazon.Status = HttpStatusCode.OK;
        (await SendAsync(service, bounce)).ShouldBe("suppressed 1");
    }

    private Task<TestService> WithMailgunAsync() =>
        TestService.StartAsync(databases, builder => builder.Configuration["ConsentLedger:Feedback:Mailgun:SigningKey"] = MailgunKey);

    /// <summary>SNS says that its JSON is text.</summary>
    private static Task<HttpResponseMessage> PostAsync(TestService service, JsonNode envelope) =>
        service.SendRawAsync("/v1/feedback/ses", envelope.ToJsonString(), "text/plain");

    private static Task<string> SendAsync(TestService service, JsonNode envelope) => PostAsync(service, envelope).SendAndCountAsync();

    private static async Task<bool> SuppressedAsync(TestService service, string address)
    {
        var answer = await service.PostAsync("/v1/subscribers/lookup", new JsonObject { ["address"] = address });
        return answer.StatusCode == HttpStatusCode.OK && (await answer.ReadAsync())["suppressed"]!.GetValue<bool>();
    }
}
