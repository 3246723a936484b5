-- Why: the history is append-only by grant, not by promise. Three roles share the database:
--
--   consentledger_owner    owns every table and runs the migrations; nothing else logs in as it
--   consentledger_service  what the service runs as: may select and insert on the ledger, and nothing else there
--   consentledger_purge    the only role that may delete history, and it leaves a record of each deletion
--
-- None of them can log in. The login that the connection string names is made a member of all three and takes the
-- role it needs when it connects, so that one connection string is enough; an installation that wants to keep them
-- apart runs `consentledger migrate` with the owner's login and `serve` with one that is only a member of the others.
--
-- Roles belong to the whole server and not to the database, so this is no numbered migration: it is run before them,
-- as the login itself, and may be run again. Another database of the same server may be making them at this moment.
do $$
declare
    wanted text;
begin
    foreach wanted in array array['consentledger_owner', 'consentledger_service', 'consentledger_purge'] loop
        begin
            if not exists (select from pg_roles where rolname = wanted) then
                execute format('create role %I nologin', wanted);
            end if;
        exception when duplicate_object or unique_violation then
            null;
        end;
        begin
            if not pg_has_role(session_user, wanted, 'member') then
                execute format('grant %I to %I', wanted, session_user);
            end if;
        exception when unique_violation then
            null;
        end;
    end loop;
end
$$;

create schema if not exists consentledger authorization consentledger_owner;
grant usage on schema consentledger to consentledger_service, consentledger_purge;
