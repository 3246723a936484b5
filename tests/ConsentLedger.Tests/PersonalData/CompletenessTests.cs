using System.Text;
using System.Text.Json.Nodes;
using ConsentLedger.Choices;
using ConsentLedger.Ledger;
using ConsentLedger.Mail;
using ConsentLedger.Purposes;
using ConsentLedger.Security;
using ConsentLedger.Subscribers;
using ConsentLedger.Tests.Hosting;
using ConsentLedger.Tests.Preferences;
using ConsentLedger.Tests.SignUps;
using ConsentLedger.Tests.Unsubscribe;
using ConsentLedger.Unsubscribe;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.DependencyInjection.Extensions;

namespace ConsentLedger.Tests.PersonalData;

/// <summary>
/// Nothing that is held about a person is left out of an export. Every column of the database that can hold something
/// personal is either one that comes out, and then what was planted in it is found, or is named here with the reason why
/// it holds nothing of the kind. A new table that is neither fails these tests.
/// </summary>
public sealed class CompletenessTests(TestDatabase databases)
{
    private const string Marker = "Marker";

    /// <summary>Columns that hold nothing about a person who is written to, and why.</summary>
    private static readonly Dictionary<string, string> NotPersonal = new()
    {
        ["api_key.hash"] = "a keyed hash of a key",
        ["api_key.name"] = "what the organisation calls a key",
        ["api_key.purposes"] = "keys of purposes",
        ["api_key.scopes"] = "names of scopes",
        ["breach.account"] = "the organisation's account of what went wrong; it is about no one subscriber",
        ["consent_event.commitment"] = "a keyed hash",
        ["consent_event.opening"] = "a random number",
        ["consent_event.evidence_digest"] = "a keyed hash",
        ["evidence.opening"] = "a random number",
        ["form.key"] = "the organisation's own",
        ["form.purposes"] = "keys of purposes",
        ["form.origins"] = "the organisation's own sites",
        ["form.return_urls"] = "the organisation's own pages",
        ["form.language"] = "a language",
        ["form.fields"] = "names of fields",
        ["idempotency.key_digest"] = "a keyed hash",
        ["idempotency.target_digest"] = "a keyed hash",
        ["idempotency.body_digest"] = "a keyed hash",
        ["idempotency.answer"] = "sealed under a key that only the sender of the request has, and gone within a day: the export says so",
        ["installation.master_key_check"] = "a check value",
        ["journal_waiting.purpose_key"] = "the organisation's own",
        ["log_entry.commitment"] = "a keyed hash",
        ["mailgun_token.token"] = "a keyed hash",
        ["mailgun_token.body"] = "a keyed hash",
        ["notice.digest"] = "a hash of the wording",
        ["outbox.commitment"] = "a keyed hash",
        ["purge_run.certificate"] = "counts, times and a digest",
        ["purge_run.certificate_signature"] = "a signature",
        ["purpose.key"] = "the organisation's own",
        ["purpose.name"] = "the organisation's own",
        ["purpose.description"] = "the organisation's own",
        ["purpose.data_categories"] = "the organisation's own",
        ["purpose.recipients"] = "the organisation's own",
        ["schema_version.scriptname"] = "names of migrations",
        ["used_challenge.salt"] = "a random number",
    };

    /// <summary>Tables with a row a subscriber or event of which nothing comes out, and why.</summary>
    private static readonly Dictionary<string, string> NothingMore = new()
    {
        ["journal_queue"] = "repeats what the event says, for the second until it is in the journal",
        ["log_entry"] = "the place in the log of an event that comes out, or has gone, and a keyed hash of it",
        ["outbox"] = "repeats what the event says, until it has its place in the log",
    };

    [Fact]
    public async Task Every_column_that_can_hold_something_personal_is_exported_or_named_as_holding_nothing()
    {
        await using var service = await TestService.StartAsync(databases);
        var exported = service.Kinds().SelectMany(kind => kind.Columns).ToHashSet();
        var columns = (string[])(await service.SqlAsync(
            """
            select array_agg(table_name || '.' || column_name order by 1)
            from information_schema.columns join information_schema.tables using (table_schema, table_name)
            where table_schema = 'consentledger' and table_type = 'BASE TABLE'
                and (data_type in ('bytea', 'text', 'character varying', 'character', 'json', 'jsonb', 'xml', 'inet', 'cidr', 'ARRAY', 'hstore'))
            """))!;

        columns.Except(exported).Except(NotPersonal.Keys).ShouldBeEmpty("New columns: export them (IPersonalRecords.Columns), or say here why they hold nothing personal.");
        NotPersonal.Keys.Except(columns).ShouldBeEmpty("These columns are not there any more.");
        exported.Except(columns).ShouldBeEmpty("The export names columns that are not there.");
        exported.Intersect(NotPersonal.Keys).ShouldBeEmpty();
    }

    [Fact]
    public async Task Every_table_that_names_subscribers_has_a_row_in_the_export()
    {
        await using var service = await PlantAsync();
        var id = service.IdOf(UnsubscribeScene.Ada);
        var tables = (string[])(await service.SqlAsync(
            """
            select array_agg(table_name || '.' || column_name order by 1)
            from information_schema.columns
            where table_schema = 'consentledger' and udt_name = 'uuid' and (column_name like '%subscriber%' or column_name like '%guardian%')
            """))!;
        var export = await service.ExportAsync(UnsubscribeScene.Ada);

        foreach (var (table, column) in tables.Select(name => (name.Split('.')[0], name.Split('.')[1])).Where(name => !NothingMore.ContainsKey(name.Item1)))
        {
            (await service.SqlAsync($"select count(*) from {table} where {column} = '{id}'")).ShouldNotBe(0L, $"Nothing was planted in {table}.");
        }

        var filled = export.AsObject().Where(member => member.Value is JsonArray { Count: > 0 }).Select(member => member.Key).ToHashSet();
        service.Kinds().Select(kind => kind.Name).Except(filled).ShouldBeEmpty("Kinds of record of which nothing was planted, or nothing came out.");
        tables.Select(name => name.Split('.')[0]).Distinct().Except(NothingMore.Keys).Count().ShouldBeLessThanOrEqualTo(service.Kinds().Count);
    }

    [Fact]
    public async Task What_was_planted_in_each_of_them_is_found()
    {
        await using var service = await PlantAsync();
        var id = service.IdOf(UnsubscribeScene.Ada);
        foreach (var (table, column) in service.Kinds().SelectMany(kind => kind.Columns).Select(name => (name.Split('.')[0], name.Split('.')[1])))
        {
            var whose = table == "notice" ? "true" : table == "audit_entry" ? $"about_subscriber = '{id}'" : $"subscriber_id = '{id}'";
            (await service.SqlAsync($"select count(*) from {table} where {whose} and {column} is not null")).ShouldNotBe(0L, $"Nothing was planted in {table}.{column}.");
        }

        var json = (await service.ExportAsync(UnsubscribeScene.Ada)).ToJsonString();
        var csv = string.Concat(await Task.WhenAll(service.Kinds().Select(kind => service.ReadZipAsync(UnsubscribeScene.Ada, $"csv/{kind.Name}.csv"))));
        var page = await service.ReadZipAsync(UnsubscribeScene.Ada, "your-data.html");

        foreach (var planted in new[] { "Evidence", "Reference", "Guardian", "Named", "Hold", "SignUp", "Mail", "Spool", "Statement", "Privacy", "Audit", "Channel", "Request", "Erasure" })
        {
            json.ShouldContain($"{Marker}{planted}");
            csv.ShouldContain($"{Marker}{planted}");
            page.ShouldContain($"{Marker}{planted}");
        }

        json.ShouldContain(UnsubscribeScene.Ada);
        page.ShouldContain(UnsubscribeScene.Ada);
    }

    /// <summary>
    /// What shows that the law was kept is still there, without the words and the address that it had; everything else of a
    /// person goes, from every table and folder.
    /// </summary>
    [Fact]
    public async Task After_an_erasure_nothing_of_what_was_planted_is_left_anywhere()
    {
        await using var service = await PlantAsync();
        var id = service.IdOf(UnsubscribeScene.Ada);
        await service.SendAsync(HttpMethod.Delete, $"/v1/subscribers/{id}/hold");

        await service.PostAsync("/v1/subscribers/erase", new JsonObject { ["address"] = UnsubscribeScene.Ada, ["reason"] = "Asked by letter" }).ReadAsync();

        var export = (await service.ExportAsync(UnsubscribeScene.Ada)).AsObject();
        var left = export.Where(member => member.Value is JsonArray { Count: > 0 } && member.Key != "purposes").Select(member => member.Key);
        left.Order(StringComparer.Ordinal).ShouldBe(["audit", "deletions", "erasures", "requestSteps", "requests", "states", "suppressions"]);
        export.Remove("audit");
        foreach (var planted in new[] { "Evidence", "Reference", "Guardian", "Named", "Hold", "SignUp", "Mail", "Spool", "Channel", "Request", "Erasure" })
        {
            export.ToJsonString().ShouldNotContain($"{Marker}{planted}");
        }

        export["requests"]!.ToJsonString().ShouldNotContain(UnsubscribeScene.Ada);
        foreach (var file in Directory.GetFiles(service.DataDirectory, "*", SearchOption.AllDirectories))
        {
            file.ShouldNotEndWith(".eml");
            Path.GetFileName(Path.GetDirectoryName(file)).ShouldNotBe("unsubscribes", "what was kept of an unsubscribe");
        }
    }

    /// <summary>One person of whom every table has something, and nothing moves on by itself.</summary>
    private async Task<TestService> PlantAsync()
    {
        var service = await TestService.StartAsync(databases, builder =>
        {
            builder.Services.RemoveAll<Microsoft.Extensions.Hosting.IHostedService>();
        });
        await service.PurposeAsync(with: new() { ["retention"] = new JsonObject { ["lapsed"] = "P1D" } });
        await service.PostAsync("/v1/purposes/newsletter/notices", new JsonObject { ["language"] = "en", ["statement"] = $"{Marker}Statement", ["privacyNoticeUrl"] = $"https://museum.example/{Marker}Privacy" }).ReadAsync(System.Net.HttpStatusCode.Created);
        await service.PurposeAsync("old", with: new() { ["retention"] = new JsonObject { ["lapsed"] = "P1D" } });
        await service.EventAsync(UnsubscribeScene.Ada, "withdrawn", "old", occurredAt: TestService.Start.AddDays(-30));
        await service.PurgeNowAsync();
        await service.EventAsync(UnsubscribeScene.Ada, with: new()
        {
            ["notice"] = new JsonObject { ["version"] = 1 },
            ["evidence"] = new JsonObject { ["remark"] = $"{Marker}Evidence" },
            ["guardian"] = new JsonObject { ["name"] = $"{Marker}Guardian" },
            ["source"] = new JsonObject { ["kind"] = "paper", ["reference"] = $"{Marker}Reference" },
        });
        await service.EventAsync("child@example.org", with: new()
        {
            ["notice"] = new JsonObject { ["version"] = 1 },
            ["guardian"] = new JsonObject { ["address"] = UnsubscribeScene.Ada, ["name"] = $"{Marker}Named" },
        });
        var id = service.IdOf(UnsubscribeScene.Ada);
        var box = service.Services.GetRequiredService<Sealer>().Seal(Encoding.UTF8.GetBytes($"{Marker}Erasure"), SealedPlace.Of("erasure", id.Value));
        await service.SqlAsync(
            $"insert into erasure (subscriber_id, erasure_id, requested_at, reason, completed_at) values ('{id}', gen_random_uuid(), '2020-01-01', '\\x{Convert.ToHexString(box)}', now())");
        await service.SqlAsync($"insert into renewal_reminder (subscriber_id, purpose_id, expires_at, event_id, reminded_at) values ('{id}', 1, now(), gen_random_uuid(), now())");
        await service.SqlAsync($"insert into soft_bounce (subscriber_id, report_id, occurred_at) values ('{id}', gen_random_uuid(), now())");
        await service.SqlAsync(
            $"insert into audit_entry (audit_id, happened_at, action, actor, command, about_subscriber, purpose, target, request_id) values (gen_random_uuid(), now(), 'planted', 'command', 'export', '{id}', 'newsletter', 'x', '{Marker}Audit')");
        await service.PutAsync($"/v1/subscribers/{id}/hold", new JsonObject { ["reason"] = $"{Marker}Hold" }).ReadAsync();
        await service.PostAsync("/v1/requests", new JsonObject { ["kind"] = "access", ["address"] = UnsubscribeScene.Ada, ["channel"] = $"{Marker}Channel", ["note"] = $"{Marker}Request" }).ReadAsync(System.Net.HttpStatusCode.Created);
        await service.FormAsync();
        (await service.SignUpAsync(UnsubscribeScene.Ada, ("firstName", $"{Marker}SignUp"))).IsSuccessStatusCode.ShouldBeTrue();
        await service.SqlAsync($"update sign_up set guardian_id = '{id}'");
        (await service.AskForLinkAsync()).IsSuccessStatusCode.ShouldBeTrue();
        await using (var connection = await service.Database.Service.OpenConnectionAsync(TestContext.Current.CancellationToken))
        {
            await service.Services.GetRequiredService<MailOutbox>().EnqueueAsync(
                connection,
                new OutgoingMail { Kind = "test", Recipient = Address.Parse(UnsubscribeScene.Ada, provider: null), Subject = "Hello", Text = $"{Marker}Mail", Html = string.Empty },
                TestContext.Current.CancellationToken);
        }

        var folder = Directory.CreateDirectory(Path.Combine(service.DataDirectory, "mail"));
        await File.WriteAllTextAsync(Path.Combine(folder.FullName, "one.eml"), $"To: {UnsubscribeScene.Ada}\r\nSubject: A copy\r\n\r\nHello", TestContext.Current.CancellationToken);
        await service.Services.GetRequiredService<WithdrawalSpool>().KeepAsync(
            new Withdrawal(new UnsubscribeToken(new PurposeId(1), id), TestService.Start, WithdrawalWay.Page, "192.0.2.7", $"{Marker}Spool"));
        return service;
    }
}
