using System.Net;
using System.Net.Http.Headers;
using System.Net.Sockets;
using System.Text;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.Http;

/// <summary>What becomes of bodies that are not what they should be. A marker in each must not come back.</summary>
public sealed class RequestBodyTests(TestDatabase databases, SharedService shared) : IClassFixture<SharedService>
{
    private const string Marker = "ada@example.org";

    [Theory]
    [InlineData("""{"name":"N","channel":"email","basis":"consent","colour":"ada@example.org"}""", "colour", "There is no such member.")]
    [InlineData("""{"name":"N","channel":"email","basis":"consent","retention":{"colour":"ada@example.org"}}""", "retention.colour", "There is no such member.")]
    [InlineData("""{"ada@example.org":1}""", "body", "There is no such member.")]
    [InlineData("""{"retention":{"ada@example.org":1}}""", "retention", "There is no such member.")]
    [InlineData("""{"Name":"ada@example.org","channel":"email","basis":"consent"}""", "Name", "There is no such member.")]
    [InlineData("""{"name":"N","name":"ada@example.org","channel":"email","basis":"consent"}""", "name", "This member is named twice.")]
    [InlineData("""{"name":"N","retention":{"lapsed":"P1Y","lapsed":"P2Y"}}""", "retention.lapsed", "This member is named twice.")]
    [InlineData("""{"name":["ada@example.org"]}""", "name", "This is of the wrong type.")]
    [InlineData("""{"name":{"ada@example.org":1}}""", "name", "This is of the wrong type.")]
    [InlineData("""{"name":42}""", "name", "This is of the wrong type.")]
    [InlineData("""{"doubleOptIn":"ada@example.org"}""", "doubleOptIn", "This is of the wrong type.")]
    [InlineData("""{"minimumAge":"13"}""", "minimumAge", "This is of the wrong type.")]
    [InlineData("""{"minimumAge":13.5}""", "minimumAge", "This is of the wrong type.")]
    [InlineData("""{"minimumAge":99999999999}""", "minimumAge", "This is of the wrong type.")]
    [InlineData("""{"dataCategories":"ada@example.org"}""", "dataCategories", "This is of the wrong type.")]
    [InlineData("""{"dataCategories":["a",7]}""", "dataCategories[1]", "This is of the wrong type.")]
    [InlineData("""{"retention":"ada@example.org"}""", "retention", "This is of the wrong type.")]
    [InlineData("""{"channel":"ada@example.org"}""", "channel", "Must be one of: email, sms, phone, post.")]
    [InlineData("""{"channel":1}""", "channel", "Must be one of: email, sms, phone, post.")]
    [InlineData("""{"endsAt":"ada@example.org"}""", "endsAt", "Must be an RFC 3339 time with its offset: 2026-11-22T09:30:00Z.")]
    [InlineData("""{"endsAt":"2026-11-22T09:30:00"}""", "endsAt", "Must be an RFC 3339 time with its offset: 2026-11-22T09:30:00Z.")]
    [InlineData("""{"consentLifetime":"ada@example.org"}""", "consentLifetime", "Must be an ISO 8601 duration in years, months, weeks and days, from a day to a hundred years: P24M, P30D.")]
    [InlineData("""{"retention":{"pending":30}}""", "retention.pending", "Must be an ISO 8601 duration in years, months, weeks and days, from a day to a hundred years: P24M, P30D.")]
    [InlineData("""{"name":"\ud800 ada@example.org"}""", "name", "This is not valid Unicode.")]
    [InlineData("""["ada@example.org"]""", "body", "A JSON object is required.")]
    [InlineData("\"ada@example.org\"", "body", "A JSON object is required.")]
    [InlineData("null", "body", "A JSON object is required.")]
    [InlineData("", "body", "A JSON object is required.")]
    [InlineData("ada@example.org", "body", "This is not valid JSON.")]
    [InlineData("""{"name":"ada@example.org"}}""", "body", "This is not valid JSON.")]
    [InlineData("""{"name":"ada@example.org""", "name", "This is not valid JSON.")]
    [InlineData("""{"name":"ada@example.org",}""", "body", "This is not valid JSON.")]
    [InlineData("""{'name':'ada@example.org'}""", "body", "This is not valid JSON.")]
    public async Task A_body_that_can_not_be_read_is_refused_at_its_path(string body, string path, string error)
    {
        var said = await SendAsync(shared.Service, Encoding.UTF8.GetBytes(body)).ReadErrorAsync(path);

        said.ShouldBe(error);
    }

    [Fact]
    public async Task Nothing_of_a_refused_body_comes_back()
    {
        await using var service = await TestService.StartAsync(databases);
        string[] bodies =
        [
            $$"""{"{{Marker}}":1}""", $$"""{"name":"{{Marker}}","name":1}""", $$"""{"endsAt":"{{Marker}}"}""", $$"""{"channel":"{{Marker}}"}""",
            Marker, "{\"retention\":{\"a\":{\"" + Marker + "\":1}}}", $$"""{"name":"{{Marker}}\u0000","channel":"sms","basis":"consent"}""",
            $$"""{"name":"{{new string('n', 300)}}{{Marker}}","channel":"sms","basis":"consent"}""",
        ];

        foreach (var body in bodies)
        {
            var answer = await SendAsync(service, Encoding.UTF8.GetBytes(body));
            answer.StatusCode.ShouldBe(HttpStatusCode.BadRequest);

            (await answer.Content.ReadAsStringAsync(TestContext.Current.CancellationToken)).ShouldNotContain(Marker);
        }
    }

    [Fact]
    public async Task Invalid_UTF_8_is_refused()
    {
        await using var service = await TestService.StartAsync(databases);
        byte[] body = [.. "{\"name\":\"a"u8, 0xC3, 0x28, 0xFF, .. "\""u8, .. ""","channel":"email","basis":"consent"}"""u8];

        (await SendAsync(service, body).ReadProblemAsync(HttpStatusCode.BadRequest, "validation"))["errors"]!.AsObject().Count.ShouldBe(1);
    }

    [Theory]
    [InlineData("\\u0000")]
    [InlineData("\\u0007")]
    [InlineData("\\u001b[31m")]
    [InlineData("\\u0085")]
    public async Task A_control_character_in_a_text_is_refused(string character)
    {
        var body = $$"""{"name":"N{{character}}","description":"D{{character}}","channel":"email","basis":"consent","recipients":["R{{character}}"]}""";

        var problem = await SendAsync(shared.Service, Encoding.UTF8.GetBytes(body)).ReadProblemAsync(HttpStatusCode.BadRequest, "validation");

        problem["errors"]!.AsObject().Select(error => error.Key).ShouldBe(["name", "description", "recipients[0]"]);
    }

    [Fact]
    public async Task Nesting_is_bounded()
    {
        await using var service = await TestService.StartAsync(databases);
        var body = "{\"retention\":" + string.Concat(Enumerable.Repeat("[", 5000)) + string.Concat(Enumerable.Repeat("]", 5000)) + "}";
        var deep = "{\"colour\":" + string.Concat(Enumerable.Repeat("{\"a\":", 100)) + "1" + new string('}', 101);

        await SendAsync(service, Encoding.UTF8.GetBytes(body)).ReadProblemAsync(HttpStatusCode.BadRequest, "validation");
        await SendAsync(service, Encoding.UTF8.GetBytes(deep)).ReadProblemAsync(HttpStatusCode.BadRequest, "validation");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_body_of_more_than_a_mebibyte_is_refused(bool chunked)
    {
        await using var service = await TestService.StartAsync(databases);
        var body = Encoding.UTF8.GetBytes($$"""{"name":"{{new string('n', 1024 * 1024)}}"}""");

        await SendAsync(service, body, chunked: chunked).ReadProblemAsync(HttpStatusCode.RequestEntityTooLarge, "payload-too-large");
        await service.PurposeAsync();
        await SendAsync(service, body, HttpMethod.Post, "/v1/purposes/newsletter/notices", chunked: chunked, idempotencyKey: "k").ReadProblemAsync(HttpStatusCode.RequestEntityTooLarge, "payload-too-large");
    }

    [Theory]
    [InlineData("text/plain")]
    [InlineData("application/x-www-form-urlencoded")]
    [InlineData("application/xml")]
    [InlineData(null)]
    public async Task Another_content_type_is_refused(string? contentType)
    {
        await SendAsync(shared.Service, """{"name":"N","channel":"email","basis":"consent"}"""u8.ToArray(), contentType: contentType).ReadProblemAsync(HttpStatusCode.UnsupportedMediaType, "unsupported-media-type");
    }

    [Theory]
    [InlineData("application/json; charset=utf-8")]
    [InlineData("application/vnd.api+json")]
    public async Task JSON_by_another_name_is_read(string contentType)
    {
        await using var service = await TestService.StartAsync(databases);

        (await SendAsync(service, """{"name":"N","channel":"email","basis":"consent"}"""u8.ToArray(), contentType: contentType)).StatusCode.ShouldBe(HttpStatusCode.Created);
    }

    [Fact]
    public async Task An_upload_that_breaks_off_changes_nothing_and_hurts_nobody()
    {
        await using var service = await TestService.StartAsync(databases);
        var key = service.Client.DefaultRequestHeaders.Authorization!.Parameter;
        using (var socket = new TcpClient())
        {
            await socket.ConnectAsync(service.Url.Host, service.Url.Port, TestContext.Current.CancellationToken);
            var stream = socket.GetStream();
            var head = $"PUT /v1/purposes/newsletter HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n";
            await stream.WriteAsync(Encoding.ASCII.GetBytes(head + """{"name":"N","channel":"email","basis":"consent"}"""), TestContext.Current.CancellationToken);
            socket.Client.Shutdown(SocketShutdown.Send);
            var answer = new byte[4096];
            var length = await stream.ReadAsync(answer, TestContext.Current.CancellationToken);
            (length == 0 || Encoding.ASCII.GetString(answer, 0, length).StartsWith("HTTP/1.1 400", StringComparison.Ordinal)).ShouldBeTrue();
        }

        await service.GetAsync("/v1/purposes/newsletter").ReadProblemAsync(HttpStatusCode.NotFound, "not-found");
    }

    private static async Task<HttpResponseMessage> SendAsync(
        TestService service, byte[] body, HttpMethod? method = null, string path = "/v1/purposes/newsletter", string? contentType = "application/json", bool chunked = false, string? idempotencyKey = null)
    {
        using var request = new HttpRequestMessage(method ?? HttpMethod.Put, path) { Content = new ByteArrayContent(body) };
        request.Content.Headers.ContentType = contentType is null ? null : MediaTypeHeaderValue.Parse(contentType);
        request.Headers.TransferEncodingChunked = chunked;
        request.Headers.ExpectContinue = body.Length > 1024 * 1024;
        if (idempotencyKey is not null)
        {
            request.Headers.Add("Idempotency-Key", idempotencyKey);
        }

        return await service.Client.SendAsync(request);
    }
}
