-- Why: what shows that the law was kept is personal data too, and is not kept for ever: closed requests, and the audit
-- trail, go once nobody can be asked about them any more. The purge role takes them; whoever serves still can't.

alter type purge_rule add value 'requests';
alter type purge_rule add value 'audit';

alter table purge_run
    add column requests bigint not null default 0,
    add column audit bigint not null default 0;
comment on column purge_run.audit is 'Of the audit trail alone there are no purge records: this count is what is left of it.';

-- A run finds what is due by these, oldest first.
create index rights_request_closed on rights_request (closed_at, subscriber_id, request_id) where closed_at is not null;
create index audit_entry_by_age on audit_entry (happened_at, audit_id);

grant delete on rights_request, rights_request_step to consentledger_purge;
grant select, delete on audit_entry to consentledger_purge;
