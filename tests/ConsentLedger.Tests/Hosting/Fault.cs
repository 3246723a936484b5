namespace ConsentLedger.Tests.Hosting;

/// <summary>Kills one of the service's sessions in the middle of what it writes, as a crash of the server's process does.</summary>
internal static class Fault
{
    /// <summary>
    /// The session that does this to this table is killed, once: at this occasion, when the statement is done or, for
    /// <c>commit</c>, as its transaction commits.
    /// </summary>
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

    /// <summary>How often the place was come by where the session is killed.</summary>
    public static async Task<long> OccasionsAsync(this TestService service) =>
        (long)(await service.SqlAsync("select case when is_called then last_value else 0 end from fault_count"))!;
}
