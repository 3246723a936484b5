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
    idempotency_key text        not null,
    request_digest  bytea,
    in_flight_until timestamptz not null,
    status          integer,
    answer          bytea,
    created_at      timestamptz not null,
    constraint idempotency_pk primary key (key_id, idempotency_key)
);
comment on column idempotency.answer is 'Sealed: headers and body of the first answer. Null while it is in flight.';
create index idempotency_created_at on idempotency (created_at);

grant select, insert, update on api_key to consentledger_service;
grant select, insert, update, delete on idempotency to consentledger_service;
