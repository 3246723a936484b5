-- Why: each event gets its place in the log, by which it can be named and proved, and the outbox, which only waited for
-- that, does not grow for ever.

create table log_entry (
    subscriber_id uuid        not null,
    event_id      uuid        not null,
    position      bigint      not null,
    recorded_at   timestamptz not null,
    commitment    bytea       not null,
    constraint log_entry_pk primary key (subscriber_id, event_id, position),
    constraint log_entry_counts_from_one check (position >= 1)
);
comment on table log_entry is
    'One row an event that has its place in the log, for ever: what was purged keeps its place and its commitment, which
says nothing any more. An event that was purged and is imported again has a second place.';
comment on column log_entry.position is
    'From 1, without gaps, in the order in which events became known. The leaf of the Merkle tree is the one before it.';
create unique index log_entry_in_order on log_entry (position);

-- The oldest are taken first, by one after the other.
create index outbox_in_order on outbox (recorded_at);

grant select, insert on log_entry to consentledger_service;
grant delete on outbox to consentledger_service;
