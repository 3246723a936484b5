using System.CommandLine;
using System.Globalization;
using ConsentLedger.Database;
using ConsentLedger.Purposes;
using ConsentLedger.Security;

namespace ConsentLedger.Verbs;

/// <summary><c>keys create|list|revoke</c>.</summary>
internal static class KeysVerb
{
    public static Command Command() => new("keys", "Makes, lists and revokes API keys.") { Create(), List(), Revoke() };

    private static Command Create()
    {
        var name = new Option<string>("--name") { Description = "What people will call it: newsletter tool, website.", Required = true };
        var scopes = new Option<string[]>("--scope")
        {
            Description = "What it may do; several, or 'all'. One of: " + string.Join(", ", Scope.All),
            Required = true,
            AllowMultipleArgumentsPerToken = true,
        };
        var purposes = new Option<string[]>("--purpose")
        {
            Description = "Binds it to a purpose; several. Without any it is good for all.",
            AllowMultipleArgumentsPerToken = true,
        };
        var expires = new Option<DateTimeOffset?>("--expires")
        {
            Description = "When it stops, as an RFC 3339 time.",
            CustomParser = result =>
            {
                if (Instant.TryParse(result.Tokens.Single().Value, out var instant))
                {
                    return instant;
                }

                result.AddError("--expires is an RFC 3339 time: 2027-12-31T23:59:59Z.");
                return null;
            },
        };
        var command = new Command("create", "Makes a key and prints it on standard output. It is shown this once.") { name, scopes, purposes, expires };
        command.SetAction(async (parsed, cancellation) =>
        {
            var wanted = parsed.GetRequiredValue(scopes).SelectMany(scope => scope.Split(',')).ToArray();
            wanted = wanted is ["all"] ? [.. Scope.All] : wanted;
            if (wanted.FirstOrDefault(scope => !Scope.All.Contains(scope)) is { } unknown)
            {
                throw new StartupException($"There is no scope {unknown}. There are: {string.Join(", ", Scope.All)}.");
            }

            await using var installation = await CommandVerbs.OpenAsync(parsed, cancellation);
            var bound = parsed.GetValue(purposes) is { Length: > 0 } given ? given : null;
            await using var services = installation.Services(_ => { });
            var catalogue = services.GetRequiredService<PurposeCatalogue>();
            foreach (var key in bound ?? [])
            {
                if (!PurposeKey.TryParse(key, null, out var purpose) || await catalogue.FindAsync(purpose, cancellation) is null)
                {
                    throw new StartupException($"There is no purpose {key}.");
                }
            }

            var (secret, record) = await services.GetRequiredService<ApiKeyCatalogue>().CreateAsync(
                Actor.OfCommand("keys create"), parsed.GetRequiredValue(name), wanted, bound, parsed.GetValue(expires), cancellation);
            await Console.Error.WriteLineAsync($"Made key {record.Id} ({record.Name}). It is shown this once:");
            Console.WriteLine(secret);
            return 0;
        });
        return command;
    }

    private static Command List()
    {
        var command = new Command("list", "Lists the keys that were made; never the keys themselves.");
        command.SetAction(async (parsed, cancellation) =>
        {
            await using var installation = await CommandVerbs.OpenAsync(parsed, cancellation);
            await using var services = installation.Services(_ => { });
            var keys = services.GetRequiredService<ApiKeyCatalogue>();
            Guid? after = null;
            while (await keys.ListAsync(after, 1000, cancellation) is { Count: > 0 } page)
            {
                foreach (var key in page)
                {
                    var state = key.RevokedAt is { } revoked ? $"revoked {Day(revoked)}" : key.ExpiresAt is { } expires ? $"until {Day(expires)}" : "active";
                    Console.WriteLine($"{key.Id}  {state,-18}  {key.Name}  [{string.Join(' ', key.Scopes)}]{(key.Purposes is null ? "" : $" for {string.Join(' ', key.Purposes)}")}");
                }

                after = page[^1].Id;
            }

            return 0;
        });
        return command;
    }

    private static Command Revoke()
    {
        var id = new Argument<Guid>("id") { Description = "The key's id, as list shows it." };
        var command = new Command("revoke", "Stops a key: within seconds wherever the service runs.") { id };
        command.SetAction(async (parsed, cancellation) =>
        {
            await using var installation = await CommandVerbs.OpenAsync(parsed, cancellation);
            await using var services = installation.Services(_ => { });
            if (!await services.GetRequiredService<ApiKeyCatalogue>().RevokeAsync(Actor.OfCommand("keys revoke"), parsed.GetRequiredValue(id), cancellation))
            {
                throw new StartupException("There is no such key.");
            }

            Console.WriteLine("revoked");
            return 0;
        });
        return command;
    }

    private static string Day(DateTimeOffset time) => time.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);
}
