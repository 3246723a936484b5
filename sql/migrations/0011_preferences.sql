-- Why: people ask for the link to their choices with nothing but an address. The request is written down before it is
-- answered and looked into afterwards, so that the answer, and the time it takes, say nothing of who is known.

create table preference_request (
    subscriber_id   uuid        not null,
    request_id      uuid        not null,
    details         bytea       not null,
    attempts        integer     not null default 0,
    next_attempt_at timestamptz not null,
    requested_at    timestamptz not null,
    constraint preference_request_pk primary key (subscriber_id, request_id)
);
comment on table preference_request is 'Somebody asked for the link to their choices. Gone as soon as it was looked into, a day later at most.';
comment on column preference_request.details is 'Sealed: the address as it was typed, and the language.';

create index preference_request_due on preference_request (next_attempt_at, request_id);

grant select, insert, update, delete on preference_request to consentledger_service;
-- Erasing a person takes what they asked for along.
grant select, delete on preference_request to consentledger_purge;
