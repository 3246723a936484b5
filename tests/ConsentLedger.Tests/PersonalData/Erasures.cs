using System.Net;
using System.Text.Json.Nodes;
using ConsentLedger.Tests.Hosting;

namespace ConsentLedger.Tests.PersonalData;

/// <summary>Asks for what the rights of a person ask for, and breaks it in the middle.</summary>
internal static class Erasures
{
    public static Task<JsonNode> EraseAsync(this TestService service, string address, string reason = "Asked by letter") =>
        service.PostAsync("/v1/subscribers/erase", new JsonObject { ["address"] = address, ["reason"] = reason }).ReadAsync();

    public static Task<JsonNode> RectifyAsync(this TestService service, string address, string newAddress) =>
        service.PostAsync("/v1/subscribers/rectify", new JsonObject { ["address"] = address, ["newAddress"] = newAddress }).ReadAsync();

    /// <summary>Imports one row, and returns the report.</summary>
    public static async Task<JsonNode> ImportAsync(this TestService service, string address, string kind, DateTimeOffset occurredAt, string query = "", string version = "")
    {
        using var content = new StringContent($"address,purpose,kind,occurredAt,noticeVersion\n{address},newsletter,{kind},{occurredAt.UtcDateTime:O},{version}\n");
        content.Headers.ContentType = new("text/csv");
        return await (await service.Client.PostAsync($"/v1/events/import{query}", content)).ReadAsync(HttpStatusCode.OK);
    }

    /// <summary>The session that does this to this table is killed, once: at this occasion, when it is done or as it commits.</summary>
    public static async Task BreakAsync(this TestService service, string table, string operation, int occasion = 1)
    {
        await service.SqlAsync(
            $"""
            create sequence fault_count;
            create function fault() returns trigger language plpgsql security definer set search_path = consentledger as $$
            begin
                if nextval('fault_count') = {occasion} then
                    perform pg_terminate_backend(pg_backend_pid());
                    perform pg_sleep(10);
                end if;
                return null;
            end $$;
            """);
        await service.SqlAsync(operation == "commit"
            ? $"create constraint trigger fault after insert or update on {table} deferrable initially deferred for each row execute function fault()"
            : $"create trigger fault after {operation} on {table} for each statement execute function fault()");
    }
}
