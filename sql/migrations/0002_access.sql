-- Why: who may call the service, and how a call that was repeated is answered only once.

create table api_key (
    key_id     uuid        not null,
    name       text        not null,
    hash       bytea       not null,
    scopes     text[]      not null,
    purposes   text[],
    created_at timestamptz not null,
    expires_at timestamptz,
    revoked_at timestamptz,
    constraint api_key_pk primary key (key_id),
    constraint api_key_hash_unique unique (hash)
);
comment on column api_key.hash is 'Keyed hash of the key: a stolen dump neither shows a key nor lets one be tried.';
comment on column api_key.purposes is 'Null: every purpose. Otherwise the purposes this key is bound to.';

create table idempotency (
    key_id          uuid        not null,
    key_digest      bytea       not null,
    attempt         uuid        not null,
    target_digest   bytea       not null,
    body_digest     bytea,
    in_flight_until timestamptz not null,
    status          integer,
    answer          bytea,
    created_at      timestamptz not null,
    constraint idempotency_pk primary key (key_id, key_digest),
    constraint idempotency_is_answered_whole check ((status is null) = (answer is null))
);
comment on table idempotency is
    'One row a request that was sent with an Idempotency-Key: first in flight, then answered; gone a day later.';
comment on column idempotency.key_digest is
    'Keyed hash of the Idempotency-Key: a client may well make its keys from addresses.';
comment on column idempotency.attempt is
    'Which run of the request holds this row, so that one that was given up for dead can no longer answer it.';
comment on column idempotency.target_digest is 'Keyed hash of method, path and query.';
comment on column idempotency.body_digest is
    'Keyed hash of the body. Null while a body that is too long to hold is still being read.';
comment on column idempotency.answer is 'Sealed: headers and body of the first answer. Null while it is in flight.';
create index idempotency_created_at on idempotency (created_at);

grant select, insert, update on api_key to consentledger_service;
grant select, insert, update, delete on idempotency to consentledger_service;
