using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;
using Microsoft.AspNetCore.Builder;
using Microsoft.Extensions.DependencyInjection;

namespace ConsentLedger.Tests.Feedback;

/// <summary>Amazon SNS: signs messages, and answers for its hosts.</summary>
internal sealed class AmazonStandIn : IDisposable
{
    public const string Topic = "arn:aws:sns:eu-west-2:123456789012:bounces";
    public const string CertificateUrl = "https://sns.eu-west-2.amazonaws.com/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem";
    public const string SubscribeUrl = "https://sns.eu-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=arn:aws:sns:eu-west-2:123456789012:bounces&Token=2336412f37";

    private readonly RSA key = RSA.Create(2048);

    /// <summary>Every URL that was asked for.</summary>
    public List<string> Asked { get; } = [];

    public HttpStatusCode Status { get; set; } = HttpStatusCode.OK;

    /// <summary>Lets the service reach this instead of Amazon.</summary>
    public void Replace(WebApplicationBuilder builder)
    {
        builder.Configuration["ConsentLedger:Feedback:Ses:Topics"] = Topic;
        builder.Services.AddHttpClient("amazon-sns").ConfigurePrimaryHttpMessageHandler(() => new Hosts(this));
    }

    /// <summary>A message in SNS's envelope, signed.</summary>
    public JsonObject Sign(string message, string type = "Notification", string version = "2", DateTimeOffset? at = null, Action<JsonObject>? change = null)
    {
        var envelope = new JsonObject
        {
            ["Type"] = type,
            ["MessageId"] = "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            ["TopicArn"] = Topic,
            ["Message"] = message,
            ["Timestamp"] = (at ?? TestService.Start).UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss.fff'Z'", CultureInfo.InvariantCulture),
            ["SignatureVersion"] = version,
            ["SigningCertURL"] = CertificateUrl,
        };
        if (type == "Notification")
        {
            envelope["Subject"] = "Amazon SES Email Event Notification";
            envelope["UnsubscribeURL"] = "https://sns.eu-west-2.amazonaws.com/?Action=Unsubscribe";
        }
        else
        {
            envelope["Token"] = "2336412f37";
            envelope["SubscribeURL"] = SubscribeUrl;
        }

        change?.Invoke(envelope);
        var names = type == "Notification"
            ? new[] { "Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type" }
            : ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"];
        var signed = string.Concat(names.Where(name => envelope[name] is not null).Select(name => $"{name}\n{envelope[name]}\n"));
        envelope["Signature"] = Convert.ToBase64String(key.SignData(
            Encoding.UTF8.GetBytes(signed), version == "1" ? HashAlgorithmName.SHA1 : HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1));
        return envelope;
    }

    public void Dispose() => key.Dispose();

    private sealed class Hosts(AmazonStandIn amazon) : HttpMessageHandler
    {
        protected override Task<HttpResponseMessage> SendAsync(HttpRequestMessage request, CancellationToken cancellationToken)
        {
            amazon.Asked.Add(request.RequestUri!.AbsoluteUri);
            var certificate = new CertificateRequest("CN=sns.amazonaws.com", amazon.key, HashAlgorithmName.SHA256, RSASignaturePadding.Pkcs1)
                .CreateSelfSigned(TestService.Start.AddYears(-1), TestService.Start.AddYears(1));
            var isCertificate = request.RequestUri.AbsolutePath.EndsWith(".pem", StringComparison.Ordinal);
            return Task.FromResult(new HttpResponseMessage(amazon.Status)
            {
                Content = new StringContent(isCertificate ? certificate.ExportCertificatePem() : "<ConfirmSubscriptionResponse/>"),
            });
        }
    }
}
