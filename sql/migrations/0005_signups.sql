-- Why: people sign up on a form, and confirm from the address itself. A sign-up is written down before it is answered and
-- looked into afterwards, so that the answer, and the time it takes, say nothing of who is known.

create table form (
    key         text        not null,
    purposes    text[]      not null,
    origins     text[]      not null,
    return_urls text[]      not null,
    language    text        not null,
    fields      text[]      not null,
    created_at  timestamptz not null,
    updated_at  timestamptz not null,
    constraint form_pk primary key (key),
    constraint form_key_is_slug check (key ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(key) <= 64),
    constraint form_has_purposes check (cardinality(purposes) > 0)
);

create type sign_up_status as enum ('received', 'asked', 'confirmed', 'settled');

create table sign_up (
    subscriber_id   uuid           not null,
    sign_up_id      uuid           not null,
    status          sign_up_status not null default 'received',
    details         bytea,
    attempts        integer        not null default 0,
    next_attempt_at timestamptz    not null,
    received_at     timestamptz    not null,
    constraint sign_up_pk primary key (subscriber_id, sign_up_id),
    constraint sign_up_open_has_details check ((status in ('received', 'asked')) = (details is not null))
);
comment on table sign_up is
    'Received, then asked to confirm, then confirmed; or settled: nothing more comes of it. Gone after 30 days; what counts is in the ledger.';
comment on column sign_up.details is
    'Sealed: who signed up for what, how, and what was shown. Gone once it is confirmed or settled.';

create index sign_up_due on sign_up (next_attempt_at, sign_up_id) where status = 'received';
create index sign_up_received on sign_up (received_at);

grant select, insert, update on form to consentledger_service;
grant select, insert, update, delete on sign_up to consentledger_service;
-- Erasing a person takes the sign-ups along.
grant select, delete on sign_up to consentledger_purge;
