-- Why: what has lapsed goes, by schedule, and it can be shown afterwards what went, when and by which rule. A purge run
-- is a row that outlives a crash, so that the next leader goes on with it; a purge record is all that is left of
-- something deleted. Neither holds anything personal: a subscriber's id says nothing without the key.

-- In the order in which a run applies them: what several rules would take goes by the first.
create type purge_rule as enum ('ended', 'lapsed', 'pending', 'evidence', 'facets', 'address');

create type purge_status as enum ('pending', 'running', 'completed', 'failed');

create type purge_trigger as enum ('schedule', 'api', 'cli');

create table purge_run (
    run_id        uuid          not null,
    status        purge_status  not null default 'pending',
    trigger       purge_trigger not null,
    dry_run       boolean       not null,
    scheduled_for timestamptz,
    requested_at  timestamptz   not null,
    started_at    timestamptz,
    finished_at   timestamptz,
    ended         bigint        not null default 0,
    lapsed        bigint        not null default 0,
    pending       bigint        not null default 0,
    evidence      bigint        not null default 0,
    facets        bigint        not null default 0,
    address       bigint        not null default 0,
    expired       bigint        not null default 0,
    held_back     bigint        not null default 0,
    constraint purge_run_pk primary key (run_id),
    constraint purge_run_scheduled_once unique (scheduled_for),
    constraint purge_run_scheduled_says_when check ((trigger = 'schedule') = (scheduled_for is not null)),
    constraint purge_run_finished_has_times check (
        (status in ('completed', 'failed')) = (finished_at is not null) and (status = 'pending') = (started_at is null))
);
comment on table purge_run is
    'Each counter is written in the transaction that deletes what it counts, so it is true after a crash too.';
comment on column purge_run.scheduled_for is
    'The time of the schedule that this run is for; unique, so that of several instances one makes it.';

-- One run at a time, pending or running. Whoever asks for another meanwhile gets this one.
create unique index purge_run_one_open on purge_run ((true)) where status in ('pending', 'running');

create table purge_record (
    subscriber_id uuid        not null,
    run_id        uuid        not null,
    event_id      uuid        not null,
    rule          purge_rule  not null,
    purpose_id    integer,
    kind          event_kind,
    occurred_at   timestamptz,
    purged_at     timestamptz not null,
    constraint purge_record_pk primary key (subscriber_id, run_id, event_id, rule)
);
comment on table purge_record is
    'One row for everything deleted: an event with the evidence that lay with it, evidence alone (rule evidence), or a sealed address.';
comment on column purge_record.event_id is
    'The event; all zero for an address (rule address), which has neither purpose nor kind.';

-- Counting and showing what a run deleted, and finding whose address is left without an event after it.
create index purge_record_by_run on purge_record (run_id, subscriber_id);

-- A run finds what is due by these, oldest first, instead of reading every state every night. They are partial: a
-- standing consent, which is what most states are, is in none but consent_state_by_purpose.
create index consent_state_running_out on consent_state (expires_at, subscriber_id, purpose_id)
    where kind in ('permitted', 'given', 'renewed') and expires_at is not null;
create index consent_state_pending on consent_state (purpose_id, occurred_at, subscriber_id)
    where kind = 'requested';
create index consent_state_lapsed on consent_state (purpose_id, occurred_at, subscriber_id)
    where kind in ('expired', 'invalidated', 'refused', 'withdrawn', 'revoked', 'objected') and purpose_id > 0;
-- The states of a purpose that has ended, and of one facet.
create index consent_state_by_purpose on consent_state (purpose_id, subscriber_id);
create index evidence_by_age on evidence (purpose_id, occurred_at, subscriber_id, event_id);
create index consent_event_facets on consent_event (purpose_id, subscriber_id, occurred_at)
    where purpose_id <= 0;

-- The service asks for runs and reads what came of them. It also appends the expired events, which the purge role may
-- not, and counts them as it does: that one counter is its own.
grant select on purge_run, purge_record to consentledger_service;
grant insert (run_id, trigger, dry_run, scheduled_for, requested_at), update (expired) on purge_run to consentledger_service;

grant select, update on purge_run to consentledger_purge;
grant select, insert on purge_record to consentledger_purge;

-- A sealed address may only go while nobody is appending an event for it, or the event would be left without one. So an
-- append locks the subscriber's row (on conflict do update … where false), and that takes the right to update it.
grant update (recorded_at) on subscriber to consentledger_service;
-- Deleting under a row lock needs the right to update, too; a column that says nothing about the person.
grant update (recorded_at) on subscriber to consentledger_purge;
