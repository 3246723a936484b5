-- Why: people ask for what the law gives them, and complain, and the clock runs from the day it arrives. The register
-- shows what is open, what is nearly due and what was done, and keeps every step of it.

-- Objection is the only one that is never refused; a complaint has a clock of its own.
create type request_kind as enum (
    'access', 'erasure', 'rectification', 'restriction', 'objection', 'portability', 'complaint');

create type request_status as enum ('open', 'paused', 'completed', 'refused');

create type request_step as enum (
    'received', 'acknowledged', 'paused', 'resumed', 'extended', 'completed', 'refused');

create table rights_request (
    subscriber_id   uuid           not null,
    request_id      uuid           not null,
    kind            request_kind   not null,
    status          request_status not null default 'open',
    person          bytea,
    received_at     timestamptz    not null,
    acknowledged_at timestamptz,
    paused_at       timestamptz,
    paused_for      interval       not null default 'PT0S',
    extended_months smallint       not null default 0,
    due_at          timestamptz,
    closed_at       timestamptz,
    constraint rights_request_pk primary key (subscriber_id, request_id),
    constraint rights_request_paused_says_when check ((status = 'paused') = (paused_at is not null)),
    constraint rights_request_closed_says_when check ((status in ('completed', 'refused')) = (closed_at is not null)),
    constraint rights_request_extends_by_two check (extended_months between 0 and 2),
    constraint rights_request_complaint_runs_on check (kind <> 'complaint' or paused_at is null and extended_months = 0)
);
comment on column rights_request.person is
    'Sealed: the address and how the request came. Null once the person was erased; that they asked, and when, stays.';
comment on column rights_request.paused_for is 'How long the clock stood still, over all pauses that have ended.';
comment on column rights_request.due_at is
    'By when it is answered, if the clock is not stopped any more; of a complaint, by when it is acknowledged, and then null.';

create index rights_request_by_id on rights_request (request_id);
create index rights_request_open on rights_request (due_at, request_id) where status in ('open', 'paused');

create table rights_request_step (
    subscriber_id uuid         not null,
    request_id    uuid         not null,
    step_id       uuid         not null,
    step          request_step not null,
    taken_at      timestamptz  not null,
    actor         audit_actor  not null,
    key_id        uuid,
    note          bytea,
    constraint rights_request_step_pk primary key (subscriber_id, request_id, step_id)
);
comment on table rights_request_step is 'The history of a request: what was done, when and by whom. Append-only by grant.';
comment on column rights_request_step.note is 'Sealed: why, in words. Null if nothing was said, or once the person was erased.';

grant select, insert, update on rights_request to consentledger_service;
grant select, insert on rights_request_step to consentledger_service;
-- Erasing a person takes the address and the words along, and leaves that they asked.
grant select, update (person) on rights_request to consentledger_purge;
grant select, update (note) on rights_request_step to consentledger_purge;
