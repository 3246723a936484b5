-- Why: a person can have everything about them erased. What was asked is kept without the address, so that nothing brings
-- the person back unseen; and every no is also written into a journal outside the database, so that a database that is
-- restored from a back-up learns of what was said since.

alter type purge_rule add value 'erasure';

create table erasure (
    subscriber_id uuid        not null,
    erasure_id    uuid        not null,
    requested_at  timestamptz not null,
    reason        bytea,
    completed_at  timestamptz,
    events_erased bigint      not null default 0,
    constraint erasure_pk primary key (subscriber_id)
);
comment on table erasure is
    'The last erasure of each subscriber: asked for, and completed once nothing is left that it takes. One that is open goes on after a crash, or once a legal hold is lifted.';
comment on column erasure.reason is 'Sealed: what the organisation noted; never the address. Null for one that the journal alone knew of.';
comment on column erasure.erasure_id is 'The run_id of its purge records, and the event_id of the suppression that it leaves.';

create index erasure_open on erasure (requested_at) where completed_at is null;

create table journal_queue (
    subscriber_id uuid        not null,
    event_id      uuid        not null,
    purpose_id    integer     not null,
    kind          event_kind  not null,
    occurred_at   timestamptz not null,
    constraint journal_queue_pk primary key (subscriber_id, event_id)
);
comment on table journal_queue is
    'Written with every event that forbids, until it is in the journal outside the database: seconds at most.';

create table journal_position (
    journal_id uuid   not null,
    position   bigint not null,
    constraint journal_position_pk primary key (journal_id)
);
comment on table journal_position is
    'How far, in bytes, this database knows each journal. After a restore that is less than the journal has.';

grant select, insert, update on erasure to consentledger_service;
-- Taking rows under a lock needs the right to update, too; a column that is never changed.
grant select, insert, delete, update (kind) on journal_queue to consentledger_service;
grant select, insert, update on journal_position to consentledger_service;
grant select, update (completed_at, events_erased) on erasure to consentledger_purge;

-- An event that was purged or erased and is imported again before the log has taken it: its place in the queue becomes
-- the new one's, whose commitment is the one that can be proved.
grant update (recorded_at, commitment) on outbox to consentledger_service;
