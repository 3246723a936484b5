-- Why: the ledger itself. What people were asked (purpose, notice), what happened (consent_event, evidence), what
-- follows from it (consent_state), and what must leave the service (outbox).
--
-- Every table that is about a subscriber has subscriber_id first in its primary key and refers to no other
-- subscriber's rows, so that the same schema distributes by that column. There are no triggers and no sequences on
-- those tables: event ids are UUIDv7, made in the service.

create table installation (
    only_row         boolean     not null default true,
    master_key_check bytea       not null,
    created_at       timestamptz not null,
    constraint installation_pk primary key (only_row),
    constraint installation_has_one_row check (only_row)
);
comment on table installation is
    'One row: a keyed check value, so that the service refuses a database made under another master key.';

create type channel as enum ('email', 'sms', 'phone', 'post');

create type lawful_basis as enum (
    'consent', 'explicit-consent', 'soft-opt-in', 'charitable-soft-opt-in', 'legitimate-interests', 'service');

-- The order of the labels is the order of precedence when two events of one subscriber and purpose happened at the
-- same instant: what asks, then what permits, then what forbids. State is the greatest (occurred_at, kind, event_id).
create type event_kind as enum (
    'requested',
    'released', 'unrestricted',
    'permitted', 'given', 'renewed',
    'expired', 'invalidated', 'refused', 'withdrawn', 'revoked', 'objected',
    'suppressed', 'restricted');

create type source_kind as enum (
    'web-form', 'paper', 'phone', 'in-person', 'import', 'api', 'admin', 'unsubscribe-link', 'preference-centre',
    'feedback', 'system');

create table purpose (
    purpose_id         integer     not null generated always as identity,
    key                text        not null,
    name               text        not null,
    description        text,
    channel            channel      not null,
    basis              lawful_basis not null,
    double_opt_in      boolean     not null,
    consent_lifetime   interval,
    ends_at            timestamptz,
    minimum_age        integer,
    special_category   boolean     not null,
    data_categories    text[]      not null,
    recipients         text[]      not null,
    retention_pending  interval    not null,
    retention_lapsed   interval    not null,
    retention_evidence interval,
    first_event_at     timestamptz,
    created_at         timestamptz not null,
    updated_at         timestamptz not null,
    constraint purpose_pk primary key (purpose_id),
    constraint purpose_key_unique unique (key),
    constraint purpose_key_is_slug check (key ~ '^[a-z0-9]+(-[a-z0-9]+)*$' and length(key) <= 64),
    constraint purpose_id_not_reserved check (purpose_id > 0),
    constraint purpose_special_category_needs_explicit_consent check (not special_category or basis = 'explicit-consent'),
    constraint purpose_minimum_age_sensible check (minimum_age between 0 and 120)
);
comment on column purpose.purpose_id is
    'Positive. In the subscriber tables 0, -1 and -2 stand for all purposes: objection, suppression, restriction.';
comment on column purpose.first_event_at is
    'When the first event named this purpose; from then on its channel and basis are fixed.';

create table notice (
    purpose_id         integer     not null,
    version            integer     not null,
    language           text        not null,
    statement          text        not null,
    privacy_notice_url text,
    digest             bytea       not null,
    published_at       timestamptz not null,
    constraint notice_pk primary key (purpose_id, version),
    constraint notice_purpose_fk foreign key (purpose_id) references purpose (purpose_id),
    constraint notice_version_counts_from_one check (version >= 1)
);

create table subscriber (
    subscriber_id uuid        not null,
    address       bytea       not null,
    recorded_at   timestamptz not null,
    constraint subscriber_pk primary key (subscriber_id)
);
comment on column subscriber.address is 'Sealed: the address as it was first given.';

create table consent_event (
    subscriber_id   uuid        not null,
    event_id        uuid        not null,
    purpose_id      integer     not null,
    kind            event_kind  not null,
    basis           lawful_basis,
    notice_version  integer,
    source_kind     source_kind not null,
    occurred_at     timestamptz not null,
    recorded_at     timestamptz not null,
    expires_at      timestamptz,
    evidence_digest bytea,
    commitment      bytea       not null,
    opening         bytea       not null,
    constraint consent_event_pk primary key (subscriber_id, event_id),
    constraint consent_event_facet_kinds check (
        (purpose_id > 0 and kind not in ('suppressed', 'released', 'restricted', 'unrestricted'))
        or (purpose_id = 0 and kind = 'objected')
        or (purpose_id = -1 and kind in ('suppressed', 'released'))
        or (purpose_id = -2 and kind in ('restricted', 'unrestricted'))),
    constraint consent_event_expires_after_it_occurred check (expires_at > occurred_at),
    constraint consent_event_commitment_length check (length(commitment) = 32 and length(opening) = 16)
);
comment on table consent_event is
    'Append-only by grant. Nothing here is personal: addresses and evidence are sealed in tables of their own.';
comment on column consent_event.evidence_digest is
    'HMAC of the evidence under the opening that lies with it, so that the commitment outlives the evidence.';
comment on column consent_event.commitment is
    'HMAC of the canonical event under its opening; it outlives the event and means nothing without the opening.';

create table evidence (
    subscriber_id uuid        not null,
    event_id      uuid        not null,
    purpose_id    integer     not null,
    occurred_at   timestamptz not null,
    sealed        bytea       not null,
    opening       bytea       not null,
    constraint evidence_pk primary key (subscriber_id, event_id)
);
comment on table evidence is 'Sealed: what shows how an event came about. It may go earlier than its event.';

create table consent_state (
    subscriber_id uuid        not null,
    purpose_id    integer     not null,
    kind          event_kind not null,
    basis         lawful_basis,
    occurred_at   timestamptz not null,
    expires_at    timestamptz,
    event_id      uuid        not null,
    constraint consent_state_pk primary key (subscriber_id, purpose_id)
);
comment on table consent_state is
    'A projection of consent_event and suppression, written with each event; sql/rebuild_state.sql recomputes it.';

create table suppression (
    subscriber_id uuid        not null,
    purpose_id    integer     not null,
    kind          event_kind not null,
    basis         lawful_basis,
    occurred_at   timestamptz not null,
    event_id      uuid        not null,
    kept_at       timestamptz not null,
    constraint suppression_pk primary key (subscriber_id, purpose_id, event_id)
);
comment on table suppression is
    'What is left of a refusal whose event was purged: the keyed id and the fact, so that nothing brings the person back.';

create table legal_hold (
    subscriber_id uuid        not null,
    reason        bytea       not null,
    placed_at     timestamptz not null,
    constraint legal_hold_pk primary key (subscriber_id)
);
comment on column legal_hold.reason is 'Sealed: why nothing of this subscriber may be purged.';

create table outbox (
    subscriber_id uuid        not null,
    event_id      uuid        not null,
    purpose_id    integer     not null,
    kind          event_kind not null,
    occurred_at   timestamptz not null,
    recorded_at   timestamptz not null,
    commitment    bytea       not null,
    constraint outbox_pk primary key (subscriber_id, event_id)
);
comment on table outbox is
    'One row an event, until the leader has given it its position in the log. It carries all the log needs, so that a
purged event still gets its place.';

-- The service reads and appends. It may not rewrite, and may not delete: there is no such grant to forget about.
grant select, insert on consent_event, evidence, suppression to consentledger_service;
grant select, insert on installation, notice to consentledger_service;
grant select, insert, update on purpose, consent_state to consentledger_service;
grant select, insert on subscriber, outbox to consentledger_service;
grant select, insert, update, delete on legal_hold to consentledger_service;

-- The purge role deletes, and rebuilds what follows from what is left.
grant select, delete on consent_event, evidence, subscriber to consentledger_purge;
grant select, insert on suppression to consentledger_purge;
grant select, insert, update, delete on consent_state to consentledger_purge;
grant select on purpose, legal_hold to consentledger_purge;
