using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Reflection;
using System.Text.Json.Nodes;
using ConsentLedger.Client;
using ConsentLedger.Client.Api;
using ConsentLedger.Security;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Mail;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using static ConsentLedger.Tests.Clients.DotNetClientScene;

namespace ConsentLedger.Tests.Clients;

public sealed class DotNetClientTests(TestDatabase databases)
{
    private static readonly CancellationToken Cancelled = new(canceled: true);

    [Fact]
    public async Task A_check_is_a_permission_or_a_refusal_with_its_reason()
    {
        await using var service = await TestService.StartAsync(databases);
        await using var program = await service.ClientAsync();
        await service.PurposeAsync();
        await service.PurposeAsync("over", with: new JsonObject { ["endsAt"] = "2026-11-01T00:00:00Z" });
        await service.EventAsync("ada@museum.example");
        await service.EventAsync("bob@museum.example", "withdrawn");

        var permission = (await program.Ledger().CheckAsync("ada@museum.example", "newsletter")).ShouldBeOfType<Permission>();
        permission.Reason.ShouldBe("given");
        permission.UnsubscribeUrl!.AbsoluteUri.ShouldStartWith("https://consent.example/u/");
        permission.Headers.ShouldBe(new Dictionary<string, string>
        {
            ["List-Unsubscribe"] = $"<{permission.UnsubscribeUrl}>",
            ["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click",
            ["List-Id"] = "<newsletter.consent.example>",
        });
        foreach (var (address, purpose, reason) in new[]
        {
            ("bob@museum.example", "newsletter", "withdrawn"), ("cy@museum.example", "newsletter", "unknown"),
            ("ada@museum.example", "over", "purpose-ended"), ("not an address", "newsletter", "invalid-address"),
        })
        {
            (await program.Ledger().CheckAsync(address, purpose)).ShouldBeOfType<Refusal>().Reason.ShouldBe(reason);
        }
    }

    [Fact]
    public async Task What_is_no_answer_is_an_exception()
    {
        await using var service = await TestService.StartAsync(databases);
        await using var program = await service.ClientAsync();
        await using var stranger = ClientAt(service.Url.AbsoluteUri, "clk_nobody");
        await using var nowhere = ClientAt("http://127.0.0.1:9", "clk_nobody");
        await service.PurposeAsync();

        (await FailsAsync(program.Ledger(), "nothing")).Status.ShouldBe(404);
        (await FailsAsync(stranger.Ledger())).Status.ShouldBe(401);
        (await FailsAsync(nowhere.Ledger())).Status.ShouldBeNull();
        await service.CutDatabaseAsync(databases);
        (await FailsAsync(program.Ledger())).Status.ShouldBe(503);
        await service.JoinDatabaseAsync(databases);

        static async Task<ConsentLedgerException> FailsAsync(ConsentLedgerClient ledger, string purpose = "newsletter")
        {
            var fault = await Should.ThrowAsync<ConsentLedgerException>(() => ledger.CheckAsync("ada@museum.example", purpose));
            fault.ToString().ShouldNotContain("ada@");
            var many = await Should.ThrowAsync<ConsentLedgerException>(async () => await ledger.CheckManyAsync(["ada@museum.example"], purpose).ToListAsync());
            many.Status.ShouldBe(fault.Status);
            return fault;
        }
    }

    [Theory]
    [InlineData("<html>Log in to the guests' network</html>")]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("""{"allowed":true}""")]
    [InlineData("""{"allowed":"true","reason":"given","purpose":"newsletter"}""")]
    [InlineData("""{"allowed":true,"reason":"given","purpose":"another"}""")]
    [InlineData("""{"allowed":true,"reason":"something new","purpose":"newsletter"}""")]
    [InlineData("""{"allowed":true,"reason":"given","purpose":"newsl""")]
    public async Task Nothing_that_stands_between_makes_a_permission(string answer)
    {
        foreach (var status in new[] { HttpStatusCode.OK, HttpStatusCode.Redirect, HttpStatusCode.ServiceUnavailable })
        {
            await using var program = ClientOf(_ => Answer(answer, status: status));
            Verdict? verdict = null;
            try
            {
                verdict = await program.Ledger().CheckAsync("ada@museum.example", "newsletter");
            }
            catch (ConsentLedgerException)
            {
                continue;
            }

            verdict.ShouldBeOfType<Refusal>();
        }
    }

    [Theory]
    [InlineData("A G\nB W\nsummary 2 1", true)]
    [InlineData("A G\nB W", false)]
    [InlineData("A G\nB", false)]
    [InlineData("A G\nsummary 1 1", false)]
    [InlineData("B W\nA G\nsummary 2 1", false)]
    [InlineData("A G\nB G\nsummary 2 1", false)]
    [InlineData("A G\nB W\nA G\nsummary 3 2", false)]
    [InlineData("A G\nB W\nsummary 2 1\nA G", false)]
    [InlineData("A G\nB W\nerror", false)]
    [InlineData("", false)]
    public async Task A_list_that_was_cut_or_mixed_up_permits_nothing(string answer, bool whole)
    {
        var body = string.Join('\n', answer.Split('\n').Select(line => line.Split(' ') switch
        {
            ["summary", var received, var allowed] => $$$"""{"summary":{"received":{{{received}}},"allowed":{{{allowed}}},"denied":1,"invalid":0}}""",
            [var who, "G"] => $$"""{"address":"{{who}}@museum.example","allowed":true,"reason":"given","unsubscribeUrl":"https://consent.example/u/x"}""",
            [var who, "W"] => $$"""{"address":"{{who}}@museum.example","allowed":false,"reason":"withdrawn"}""",
            [var half] => half.Length == 0 ? half : $"{{\"address\":\"{half}@",
            _ => line,
        }));
        await using var program = ClientOf(_ => Answer(body, "application/x-ndjson"));
        var verdicts = new List<Verdict>();

        var asking = async () =>
        {
            await foreach (var verdict in program.Ledger().CheckManyAsync(["A@museum.example", "B@museum.example"], "newsletter"))
            {
                verdicts.Add(verdict);
            }
        };

        if (whole)
        {
            await asking();
            verdicts.Select(verdict => verdict.GetType()).ShouldBe([typeof(Permission), typeof(Refusal)]);
        }
        else
        {
            await Should.ThrowAsync<ConsentLedgerException>(asking);
            verdicts.ShouldBeEmpty();
        }
    }

    [Fact]
    public async Task A_list_of_any_length_is_answered_in_its_order()
    {
        await using var service = await TestService.StartAsync(databases);
        await using var program = await service.ClientAsync();
        await service.PurposeAsync();
        await service.EventAsync("a7@museum.example");
        await service.EventAsync("a20007@museum.example");
        var asked = Enumerable.Range(0, 25_000).Select(n => n % 1000 == 3 ? $"line\n{n}" : $"a{n}@museum.example").ToList();

        var verdicts = await program.Ledger().CheckManyAsync(asked, "newsletter").ToListAsync(TestContext.Current.CancellationToken);

        verdicts.Select(verdict => verdict.Address).ShouldBe(asked);
        verdicts.OfType<Permission>().Select(permission => permission.Address).ShouldBe(["a7@museum.example", "a20007@museum.example"]);
        verdicts.OfType<Permission>().First().Headers["List-Id"].ShouldBe("<newsletter.consent.example>");
        verdicts.Count(verdict => verdict.Reason == "invalid-address").ShouldBe(25);
    }

    [Fact]
    public async Task Whoever_stops_listening_asks_no_further_and_whoever_gives_up_is_not_told_no()
    {
        await using var service = await TestService.StartAsync(databases);
        await using var program = await service.ClientAsync();
        await service.PurposeAsync();
        var handed = 0;

        await foreach (var _ in program.Ledger().CheckManyAsync(Enumerable.Range(0, 1_000_000).Select(n => $"a{handed = n}@museum.example"), "newsletter"))
        {
            break;
        }

        handed.ShouldBeLessThan(20_000);
        await Should.ThrowAsync<OperationCanceledException>(() => program.Ledger().CheckAsync("ada@museum.example", "newsletter", Cancelled));
    }

    [Fact]
    public void Only_the_ledger_makes_a_permission_and_no_answer_is_a_boolean()
    {
        foreach (var type in new[] { typeof(Verdict), typeof(Permission), typeof(Refusal) })
        {
            type.GetConstructors().ShouldBeEmpty();
            type.GetMethods(BindingFlags.Public | BindingFlags.Static).ShouldBeEmpty("No conversion, no way to make one.");
            type.GetProperties().ShouldAllBe(property => !property.CanWrite);
        }

        typeof(Verdict).GetProperties().ShouldNotContain(property => property.PropertyType == typeof(bool));
        typeof(Verdict).GetConstructors(BindingFlags.NonPublic | BindingFlags.Instance).ShouldAllBe(constructor => constructor.IsFamilyAndAssembly);
    }

    [Fact]
    public async Task What_may_be_repeated_is_and_nothing_else()
    {
        var asked = new List<string>();
        await using var program = ClientOf(request =>
        {
            lock (asked)
            {
                asked.Add($"{request.Method} {request.RequestUri!.AbsolutePath}");
            }

            return Answer("{}", status: HttpStatusCode.BadGateway);
        });

        await Should.ThrowAsync<ConsentLedgerException>(() => program.Ledger().CheckAsync("ada@museum.example", "newsletter"));
        await Should.ThrowAsync<ConsentLedgerException>(() => program.Ledger().SignUpAsync(new SignUpRequest { Form = "website", Address = "ada@museum.example" }));
        await Should.ThrowAsync<ConsentLedgerApiException>(() => program.Ledger().Api.RecordEventAsync(new EventRequest
        {
            Address = "ada@museum.example",
            Purpose = "newsletter",
            Kind = EventKind.Given,
            Source = new SourceRequest { Kind = SourceKind.Paper },
        }));

        asked.GroupBy(path => path).Select(group => (group.Key, group.Count())).ShouldBe([("POST /v1/checks", 4), ("POST /v1/signups", 4), ("POST /v1/events", 1)]);
    }

    [Fact]
    public async Task Every_other_route_is_there_too()
    {
        await using var service = await TestService.StartAsync(databases);
        await using var program = await service.ClientAsync([.. Scope.All]);
        var api = program.Ledger().Api;

        var purpose = await api.PutPurposeAsync("members", new PurposeRequest { Name = "Members", Channel = Channel.Email, Basis = LawfulBasis.SoftOptIn });
        purpose.Basis.ShouldBe(LawfulBasis.SoftOptIn);
        var recorded = await api.RecordEventAsync(new EventRequest
        {
            Address = "ada@museum.example",
            Purpose = "members",
            Kind = EventKind.Permitted,
            Source = new SourceRequest { Kind = SourceKind.InPerson },
        });
        recorded.State.Status.ShouldBe(EventKind.Permitted);
        (await program.Ledger().CheckAsync("ada@museum.example", "members")).ShouldBeOfType<Permission>().Reason.ShouldBe("permitted");
        (await program.Ledger().UnsubscribeLinkAsync("ada@museum.example", "members")).Headers.ListUnsubscribePost.ShouldBe("List-Unsubscribe=One-Click");
        (await Should.ThrowAsync<ConsentLedgerException>(() => program.Ledger().SignUpAsync(new SignUpRequest { Form = "website", Address = "ada@museum.example" }))).Status.ShouldBe(404);
        await api.PutFormAsync("website", new FormRequest { Purposes = ["members"], Language = "en" });
        await program.Ledger().SignUpAsync(new SignUpRequest { Form = "website", Address = "bob@museum.example" });
    }

    [Theory]
    [InlineData("http://consent.example", "clk_key", "https")]
    [InlineData("/consent", "clk_key", "https")]
    [InlineData("https://consent.example", "key", "clk_")]
    public async Task Wrong_options_are_said_before_anything_is_asked(string url, string key, string says)
    {
        await using var program = new ServiceCollection().AddConsentLedger(options => (options.Url, options.Key) = (new Uri(url, UriKind.RelativeOrAbsolute), key)).BuildServiceProvider();

        (await Should.ThrowAsync<OptionsValidationException>(() => program.Ledger().CheckAsync("ada@museum.example", "newsletter"))).Message.ShouldContain(says);
    }

    [Fact]
    public async Task The_example_runs()
    {
        await using var service = await TestService.StartAsync(databases);
        using var smtp = SmtpSink.Start();
        await service.PurposeAsync();
        await service.EventAsync("ada@museum.example");
        var built = Path.GetRelativePath(Repository.PathOf("tests", "ConsentLedger.Tests"), AppContext.BaseDirectory);
        var start = new ProcessStartInfo(
            "dotnet",
            [Repository.PathOf("clients", "dotnet", "Example", built, "Example.dll"), "newsletter", "127.0.0.1", smtp.Port.ToString(CultureInfo.InvariantCulture), "ada@museum.example", "bob@museum.example"])
        {
            RedirectStandardOutput = true,
        };
        start.Environment["CONSENTLEDGER_URL"] = service.Url.AbsoluteUri;
        start.Environment["CONSENTLEDGER_KEY"] = await service.CreateKeyAsync([Scope.ChecksRead]);

        using var example = Process.Start(start)!;
        var output = await example.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        await example.WaitForExitAsync(TestContext.Current.CancellationToken);

        example.ExitCode.ShouldBe(0);
        output.ReplaceLineEndings("\n").ShouldBe("ada@museum.example: sent (given)\nbob@museum.example: not sent (unknown)\n");
        smtp.Mails.Count.ShouldBe(1);
    }
}
