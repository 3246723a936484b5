-- Generated from sql/migrations; don't edit. To write it anew:
--     UPDATE_SCHEMA=1 dotnet test --filter-class "*SchemaTests"

create type audit_actor as enum (
    'key', 'command', 'subject', 'set-up-link', 'service');

create type channel as enum (
    'email', 'sms', 'phone', 'post');

create type event_kind as enum (
    'requested', 'released', 'unrestricted', 'permitted', 'given', 'renewed', 'expired', 'invalidated', 'refused', 'withdrawn', 'revoked', 'objected', 'suppressed', 'restricted');

create type lawful_basis as enum (
    'consent', 'explicit-consent', 'soft-opt-in', 'charitable-soft-opt-in', 'legitimate-interests', 'service');

create type mail_status as enum (
    'waiting', 'sent', 'poison');

create type purge_rule as enum (
    'ended', 'lapsed', 'pending', 'evidence', 'facets', 'address', 'erasure', 'requests', 'audit');

create type purge_status as enum (
    'pending', 'running', 'completed', 'failed');

create type purge_trigger as enum (
    'schedule', 'api', 'cli');

create type request_delivery as enum (
    'mail', 'by-hand');

create type request_kind as enum (
    'access', 'erasure', 'rectification', 'restriction', 'objection', 'portability', 'complaint');

create type request_status as enum (
    'open', 'paused', 'completed', 'refused');

create type request_step as enum (
    'received', 'acknowledged', 'paused', 'resumed', 'extended', 'completed', 'refused');

create type sign_up_status as enum (
    'received', 'asked', 'confirmed', 'settled');

create type source_kind as enum (
    'web-form', 'paper', 'phone', 'in-person', 'import', 'api', 'admin', 'unsubscribe-link', 'preference-centre', 'feedback', 'system');

create table api_key (
    key_id uuid not null,
    name text not null,
    hash bytea not null,
    scopes text[] not null,
    purposes text[],
    created_at timestamp with time zone not null,
    expires_at timestamp with time zone,
    revoked_at timestamp with time zone,
    constraint api_key_pk PRIMARY KEY (key_id),
    constraint api_key_hash_unique UNIQUE (hash)
);
comment on column api_key.hash is 'Keyed hash of the key: a stolen dump neither shows a key nor lets one be tried.';
comment on column api_key.purposes is 'Null: every purpose. Otherwise the purposes this key is bound to.';
grant insert, select, update on api_key to consentledger_service;

create table audit_entry (
    audit_id uuid not null,
    happened_at timestamp with time zone not null,
    action text not null,
    actor audit_actor not null,
    key_id uuid,
    command text,
    about_subscriber uuid,
    purpose text,
    target text,
    details json not null default '{}'::json,
    request_id text,
    constraint audit_entry_pk PRIMARY KEY (audit_id),
    constraint audit_entry_action_is_slug CHECK (action ~ '^[a-z]+(-[a-z]+)*$'::text AND length(action) <= 64),
    constraint audit_entry_actor_is_named CHECK ((actor = 'key'::audit_actor) = (key_id IS NOT NULL) AND (actor = 'command'::audit_actor) = (command IS NOT NULL)),
    constraint audit_entry_details_are_members CHECK (json_typeof(details) = 'object'::text)
);
CREATE INDEX audit_entry_by_action ON consentledger.audit_entry USING btree (action, audit_id);
CREATE INDEX audit_entry_by_age ON consentledger.audit_entry USING btree (happened_at, audit_id);
CREATE INDEX audit_entry_by_subscriber ON consentledger.audit_entry USING btree (about_subscriber, audit_id) WHERE (about_subscriber IS NOT NULL);
comment on table audit_entry is 'Written in the transaction of what it records where there is one, else before the answer: what was not recorded was not shown.';
comment on column audit_entry.about_subscriber is 'A keyed hash, like every subscriber id; no entry holds an address. Not the first column: the trail is no part of a subscriber''s records and stays when they go.';
comment on column audit_entry.target is 'What else it was done to: the id of a key, a run or a request, the key of a form.';
comment on column audit_entry.details is 'Counts and settings, as texts; nothing personal.';
grant delete, select on audit_entry to consentledger_purge;
grant insert, select on audit_entry to consentledger_service;

create table breach (
    breach_id uuid not null,
    aware_at timestamp with time zone not null,
    report_due_at timestamp with time zone not null,
    reportable boolean,
    reported_at timestamp with time zone,
    people_told_at timestamp with time zone,
    account bytea not null,
    created_at timestamp with time zone not null,
    updated_at timestamp with time zone not null,
    constraint breach_pk PRIMARY KEY (breach_id),
    constraint breach_report_due_in_72_hours CHECK (report_due_at = (aware_at + 'PT72H'::interval)),
    constraint breach_reported_was_reportable CHECK (reported_at IS NULL OR reportable IS TRUE)
);
CREATE INDEX breach_by_awareness ON consentledger.breach USING btree (aware_at, breach_id);
comment on column breach.reportable is 'Null while it has not been decided.';
comment on column breach.account is 'Sealed: causes, events, data, impact, remedy and reasons. Such accounts name people.';
grant insert, select, update on breach to consentledger_service;

create table consent_event (
    subscriber_id uuid not null,
    event_id uuid not null,
    purpose_id integer not null,
    kind event_kind not null,
    basis lawful_basis,
    notice_version integer,
    source_kind source_kind not null,
    occurred_at timestamp with time zone not null,
    recorded_at timestamp with time zone not null,
    expires_at timestamp with time zone,
    evidence_digest bytea,
    commitment bytea not null,
    opening bytea not null,
    constraint consent_event_pk PRIMARY KEY (subscriber_id, event_id),
    constraint consent_event_commitment_length CHECK (length(commitment) = 32 AND length(opening) = 16),
    constraint consent_event_expires_after_it_occurred CHECK (expires_at > occurred_at),
    constraint consent_event_facet_kinds CHECK (purpose_id > 0 AND (kind <> ALL (ARRAY['suppressed'::event_kind, 'released'::event_kind, 'restricted'::event_kind, 'unrestricted'::event_kind])) OR purpose_id = 0 AND kind = 'objected'::event_kind OR purpose_id = '-1'::integer AND (kind = ANY (ARRAY['suppressed'::event_kind, 'released'::event_kind])) OR purpose_id = '-2'::integer AND (kind = ANY (ARRAY['restricted'::event_kind, 'unrestricted'::event_kind])))
);
CREATE INDEX consent_event_facets ON consentledger.consent_event USING btree (purpose_id, subscriber_id, occurred_at) WHERE (purpose_id <= 0);
comment on table consent_event is 'Append-only by grant. Nothing here is personal: addresses and evidence are sealed in tables of their own.';
comment on column consent_event.evidence_digest is 'HMAC of the evidence under the opening that lies with it, so that the commitment outlives the evidence.';
comment on column consent_event.commitment is 'HMAC of the canonical event under its opening; it outlives the event and means nothing without the opening.';
grant delete, select on consent_event to consentledger_purge;
grant insert, select on consent_event to consentledger_service;

create table consent_state (
    subscriber_id uuid not null,
    purpose_id integer not null,
    kind event_kind not null,
    basis lawful_basis,
    occurred_at timestamp with time zone not null,
    expires_at timestamp with time zone,
    event_id uuid not null,
    constraint consent_state_pk PRIMARY KEY (subscriber_id, purpose_id)
);
CREATE INDEX consent_state_by_purpose ON consentledger.consent_state USING btree (purpose_id, subscriber_id);
CREATE INDEX consent_state_lapsed ON consentledger.consent_state USING btree (purpose_id, COALESCE(expires_at, occurred_at), subscriber_id) WHERE ((kind = ANY (ARRAY['expired'::event_kind, 'invalidated'::event_kind, 'refused'::event_kind, 'withdrawn'::event_kind, 'revoked'::event_kind, 'objected'::event_kind])) AND (purpose_id > 0));
CREATE INDEX consent_state_pending ON consentledger.consent_state USING btree (purpose_id, occurred_at, subscriber_id) WHERE (kind = 'requested'::event_kind);
CREATE INDEX consent_state_running_out ON consentledger.consent_state USING btree (expires_at, subscriber_id, purpose_id) WHERE ((kind = ANY (ARRAY['permitted'::event_kind, 'given'::event_kind, 'renewed'::event_kind])) AND (expires_at IS NOT NULL));
comment on table consent_state is 'A projection of consent_event and suppression, written with each event; sql/rebuild_state.sql recomputes it.';
grant delete, insert, select, update on consent_state to consentledger_purge;
grant insert, select, update on consent_state to consentledger_service;

create table erasure (
    subscriber_id uuid not null,
    erasure_id uuid not null,
    requested_at timestamp with time zone not null,
    reason bytea,
    completed_at timestamp with time zone,
    events_erased bigint not null default 0,
    kept_for_child boolean not null default false,
    constraint erasure_pk PRIMARY KEY (subscriber_id)
);
CREATE INDEX erasure_open ON consentledger.erasure USING btree (requested_at) WHERE (completed_at IS NULL);
comment on table erasure is 'The last erasure of each subscriber: asked for, and completed once nothing is left that it takes. One that is open goes on after a crash, or once a legal hold is lifted.';
comment on column erasure.erasure_id is 'The run_id of its purge records, and the event_id of the suppression that it leaves.';
comment on column erasure.reason is 'Sealed: what the organisation noted; never the address. Null for one that the journal alone knew of.';
comment on column erasure.kept_for_child is 'All is done but what the records of a child say of the person, while a legal hold or a restriction keeps those.';
grant select, update (completed_at, events_erased, kept_for_child) on erasure to consentledger_purge;
grant insert, select, update on erasure to consentledger_service;

create table evidence (
    subscriber_id uuid not null,
    event_id uuid not null,
    purpose_id integer not null,
    occurred_at timestamp with time zone not null,
    sealed bytea not null,
    opening bytea not null,
    guardian_id uuid,
    constraint evidence_pk PRIMARY KEY (subscriber_id, event_id)
);
CREATE INDEX evidence_by_age ON consentledger.evidence USING btree (purpose_id, occurred_at, subscriber_id, event_id);
CREATE INDEX evidence_by_guardian ON consentledger.evidence USING btree (guardian_id) WHERE (guardian_id IS NOT NULL);
comment on table evidence is 'Sealed: what shows how an event came about. It may go earlier than its event.';
comment on column evidence.guardian_id is 'The subscriber id of the guardian whom the evidence names by address; null for nobody.';
grant delete, select on evidence to consentledger_purge;
grant insert, select on evidence to consentledger_service;

create table form (
    key text not null,
    purposes text[] not null,
    origins text[] not null,
    return_urls text[] not null,
    language text not null,
    fields text[] not null,
    created_at timestamp with time zone not null,
    updated_at timestamp with time zone not null,
    challenge boolean not null default false,
    constraint form_pk PRIMARY KEY (key),
    constraint form_has_purposes CHECK (cardinality(purposes) > 0),
    constraint form_key_is_slug CHECK (key ~ '^[a-z0-9]+(-[a-z0-9]+)*$'::text AND length(key) <= 64)
);
grant insert, select, update on form to consentledger_service;

create table idempotency (
    key_id uuid not null,
    key_digest bytea not null,
    attempt uuid not null,
    target_digest bytea not null,
    body_digest bytea,
    in_flight_until timestamp with time zone not null,
    status integer,
    answer bytea,
    created_at timestamp with time zone not null,
    constraint idempotency_pk PRIMARY KEY (key_id, key_digest),
    constraint idempotency_is_answered_whole CHECK ((status IS NULL) = (answer IS NULL))
);
CREATE INDEX idempotency_created_at ON consentledger.idempotency USING btree (created_at);
comment on table idempotency is 'One row a request that was sent with an Idempotency-Key: first in flight, then answered; gone a day later.';
comment on column idempotency.key_digest is 'Keyed hash of the Idempotency-Key: a client may well make its keys from addresses.';
comment on column idempotency.attempt is 'Which run of the request holds this row, so that one that was given up for dead can no longer answer it.';
comment on column idempotency.target_digest is 'Keyed hash of method, path and query.';
comment on column idempotency.body_digest is 'Keyed hash of the body. Null while a body that is too long to hold is still being read.';
comment on column idempotency.answer is 'Sealed: headers and body of the first answer. Null while it is in flight.';
grant delete, insert, select, update on idempotency to consentledger_service;

create table installation (
    only_row boolean not null default true,
    master_key_check bytea not null,
    created_at timestamp with time zone not null,
    constraint installation_pk PRIMARY KEY (only_row),
    constraint installation_has_one_row CHECK (only_row)
);
comment on table installation is 'One row: a keyed check value, so that the service refuses a database made under another master key.';
grant insert, select on installation to consentledger_service;

create table journal_position (
    journal_id uuid not null,
    position bigint not null,
    constraint journal_position_pk PRIMARY KEY (journal_id)
);
comment on table journal_position is 'How far, in bytes, this database knows each journal. After a restore that is less than the journal has.';
grant insert, select, update on journal_position to consentledger_service;

create table journal_queue (
    subscriber_id uuid not null,
    event_id uuid not null,
    purpose_id integer not null,
    kind event_kind not null,
    occurred_at timestamp with time zone not null,
    constraint journal_queue_pk PRIMARY KEY (subscriber_id, event_id)
);
comment on table journal_queue is 'Written with every event that forbids, until it is in the journal outside the database: seconds at most.';
grant delete, insert, select, update (kind) on journal_queue to consentledger_service;

create table journal_waiting (
    purpose_key text not null,
    constraint journal_waiting_pk PRIMARY KEY (purpose_key)
);
comment on table journal_waiting is 'Purposes that the journal speaks of and that are not known. Once one is made, the journal is read again for what it says of it.';
grant delete, insert, select on journal_waiting to consentledger_service;

create table legal_hold (
    subscriber_id uuid not null,
    reason bytea not null,
    placed_at timestamp with time zone not null,
    review_at timestamp with time zone,
    constraint legal_hold_pk PRIMARY KEY (subscriber_id)
);
CREATE INDEX legal_hold_review ON consentledger.legal_hold USING btree (review_at, subscriber_id) WHERE (review_at IS NOT NULL);
comment on column legal_hold.reason is 'Sealed: why nothing of this subscriber may be purged.';
grant select on legal_hold to consentledger_purge;
grant delete, insert, select, update on legal_hold to consentledger_service;

create table log_entry (
    subscriber_id uuid not null,
    event_id uuid not null,
    position bigint not null,
    recorded_at timestamp with time zone not null,
    commitment bytea not null,
    constraint log_entry_pk PRIMARY KEY (subscriber_id, event_id, "position"),
    constraint log_entry_counts_from_one CHECK ("position" >= 1)
);
CREATE UNIQUE INDEX log_entry_in_order ON consentledger.log_entry USING btree ("position");
comment on table log_entry is 'One row an event that has its place in the log, for ever: what was purged keeps its place and its commitment, which
says nothing any more. An event that was purged and is imported again has a second place.';
comment on column log_entry.position is 'From 1, without gaps, in the order in which events became known. The leaf of the Merkle tree is the one before it.';
grant insert, select on log_entry to consentledger_service;

create table mail_outbox (
    subscriber_id uuid not null,
    mail_id uuid not null,
    kind text not null,
    message_id text not null,
    recipient bytea,
    content bytea,
    status mail_status not null default 'waiting'::mail_status,
    attempts integer not null default 0,
    next_attempt_at timestamp with time zone not null,
    smtp_code integer,
    created_at timestamp with time zone not null,
    finished_at timestamp with time zone,
    constraint mail_outbox_pk PRIMARY KEY (subscriber_id, mail_id),
    constraint mail_outbox_waiting_is_whole CHECK ((status = 'waiting'::mail_status) = (recipient IS NOT NULL) AND (status = 'waiting'::mail_status) = (content IS NOT NULL) AND (status = 'waiting'::mail_status) = (finished_at IS NULL))
);
CREATE INDEX mail_outbox_due ON consentledger.mail_outbox USING btree (next_attempt_at, mail_id) WHERE (status = 'waiting'::mail_status);
CREATE INDEX mail_outbox_finished ON consentledger.mail_outbox USING btree (finished_at) WHERE (status <> 'waiting'::mail_status);
CREATE INDEX mail_outbox_unsent ON consentledger.mail_outbox USING btree (status, mail_id) WHERE (status <> 'sent'::mail_status);
comment on column mail_outbox.subscriber_id is 'The holder of the address it goes to; so the limit on mails to one address is one index range.';
comment on column mail_outbox.kind is 'What it is: confirmation, already-subscribed. Nothing personal.';
comment on column mail_outbox.message_id is 'Made once, so that a mail that is sent twice after a crash is recognised as one.';
comment on column mail_outbox.recipient is 'Sealed; gone once the mail is sent or set aside.';
comment on column mail_outbox.content is 'Sealed; gone once the mail is sent or set aside.';
comment on column mail_outbox.next_attempt_at is 'When it is due; while an instance is sending it, when that one is given up for dead.';
comment on column mail_outbox.smtp_code is 'The last refusal of the mail server, without its words: those may repeat the address.';
grant delete, select on mail_outbox to consentledger_purge;
grant delete, insert, select, update on mail_outbox to consentledger_service;

create table mailgun_token (
    token bytea not null,
    body bytea not null,
    used_at timestamp with time zone not null,
    constraint mailgun_token_pk PRIMARY KEY (token)
);
CREATE INDEX mailgun_token_used ON consentledger.mailgun_token USING btree (used_at);
comment on table mailgun_token is 'Keyed digests of a token and of the message it came with.';
grant delete, insert, select, update (used_at) on mailgun_token to consentledger_service;

create table notice (
    purpose_id integer not null,
    version integer not null,
    language text not null,
    statement text not null,
    privacy_notice_url text,
    digest bytea not null,
    published_at timestamp with time zone not null,
    constraint notice_pk PRIMARY KEY (purpose_id, version),
    constraint notice_purpose_fk FOREIGN KEY (purpose_id) REFERENCES purpose(purpose_id),
    constraint notice_version_counts_from_one CHECK (version >= 1)
);
grant insert, select on notice to consentledger_service;

create table outbox (
    subscriber_id uuid not null,
    event_id uuid not null,
    purpose_id integer not null,
    kind event_kind not null,
    occurred_at timestamp with time zone not null,
    recorded_at timestamp with time zone not null,
    commitment bytea not null,
    constraint outbox_pk PRIMARY KEY (subscriber_id, event_id)
);
CREATE INDEX outbox_in_order ON consentledger.outbox USING btree (recorded_at);
comment on table outbox is 'One row an event, until the leader has given it its position in the log. It carries all the log needs, so that a
purged event still gets its place.';
grant delete, insert, select, update (recorded_at, commitment) on outbox to consentledger_service;

create table preference_request (
    subscriber_id uuid not null,
    request_id uuid not null,
    details bytea not null,
    attempts integer not null default 0,
    next_attempt_at timestamp with time zone not null,
    requested_at timestamp with time zone not null,
    constraint preference_request_pk PRIMARY KEY (subscriber_id, request_id)
);
CREATE INDEX preference_request_due ON consentledger.preference_request USING btree (next_attempt_at, request_id);
comment on table preference_request is 'Somebody asked for the link to their choices. Gone as soon as it was looked into, a day later at most.';
comment on column preference_request.details is 'Sealed: the address as it was typed, and the language.';
grant delete, select on preference_request to consentledger_purge;
grant delete, insert, select, update on preference_request to consentledger_service;

create table purge_record (
    subscriber_id uuid not null,
    run_id uuid not null,
    event_id uuid not null,
    rule purge_rule not null,
    purpose_id integer,
    kind event_kind,
    occurred_at timestamp with time zone,
    purged_at timestamp with time zone not null,
    constraint purge_record_pk PRIMARY KEY (subscriber_id, run_id, event_id, rule)
);
CREATE INDEX purge_record_by_run ON consentledger.purge_record USING brin (run_id) WITH (pages_per_range='16', autosummarize='on');
comment on table purge_record is 'One row for everything deleted: an event with the evidence that lay with it, evidence alone (rule evidence), or a sealed address.';
comment on column purge_record.event_id is 'The event; all zero for an address (rule address), which has neither purpose nor kind.';
grant insert, select on purge_record to consentledger_purge;
grant select on purge_record to consentledger_service;

create table purge_run (
    run_id uuid not null,
    status purge_status not null default 'pending'::purge_status,
    trigger purge_trigger not null,
    dry_run boolean not null,
    scheduled_for timestamp with time zone,
    requested_at timestamp with time zone not null,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    ended bigint not null default 0,
    lapsed bigint not null default 0,
    pending bigint not null default 0,
    evidence bigint not null default 0,
    facets bigint not null default 0,
    address bigint not null default 0,
    expired bigint not null default 0,
    held_back bigint not null default 0,
    requests bigint not null default 0,
    audit bigint not null default 0,
    certificate bytea,
    certificate_signature text,
    constraint purge_run_pk PRIMARY KEY (run_id),
    constraint purge_run_scheduled_once UNIQUE (scheduled_for),
    constraint purge_run_certificate_is_signed CHECK ((certificate IS NULL) = (certificate_signature IS NULL)),
    constraint purge_run_certificate_of_what_finished CHECK (certificate IS NULL OR finished_at IS NOT NULL AND NOT dry_run),
    constraint purge_run_finished_has_times CHECK ((status = ANY (ARRAY['completed'::purge_status, 'failed'::purge_status])) = (finished_at IS NOT NULL) AND (status = 'pending'::purge_status) = (started_at IS NULL)),
    constraint purge_run_scheduled_says_when CHECK ((trigger = 'schedule'::purge_trigger) = (scheduled_for IS NOT NULL))
);
CREATE UNIQUE INDEX purge_run_one_open ON consentledger.purge_run USING btree ((true)) WHERE (status = ANY (ARRAY['pending'::purge_status, 'running'::purge_status]));
comment on table purge_run is 'Each counter is written in the transaction that deletes what it counts, so it is true after a crash too.';
comment on column purge_run.scheduled_for is 'The time of the schedule that this run is for; unique, so that of several instances one makes it.';
comment on column purge_run.audit is 'Of the audit trail alone there are no purge records: this count is what is left of it.';
comment on column purge_run.certificate is 'What the run deleted, in canonical form (RFC 8785), as it was signed. Holds counts, times, positions and a digest.';
comment on column purge_run.certificate_signature is 'Ed25519, in base64: what somebody changed in the database does not verify any more.';
grant select, update on purge_run to consentledger_purge;
grant insert (run_id, trigger, dry_run, scheduled_for, requested_at), select, update (expired) on purge_run to consentledger_service;

create table purpose (
    purpose_id integer not null generated always as identity,
    key text not null,
    name text not null,
    description text,
    channel channel not null,
    basis lawful_basis not null,
    double_opt_in boolean not null,
    consent_lifetime interval,
    ends_at timestamp with time zone,
    minimum_age integer,
    special_category boolean not null,
    data_categories text[] not null,
    recipients text[] not null,
    retention_pending interval not null,
    retention_lapsed interval not null,
    retention_evidence interval,
    first_event_at timestamp with time zone,
    created_at timestamp with time zone not null,
    updated_at timestamp with time zone not null,
    renewal_reminder interval,
    constraint purpose_pk PRIMARY KEY (purpose_id),
    constraint purpose_key_unique UNIQUE (key),
    constraint purpose_id_not_reserved CHECK (purpose_id > 0),
    constraint purpose_key_is_slug CHECK (key ~ '^[a-z0-9]+(-[a-z0-9]+)*$'::text AND length(key) <= 64),
    constraint purpose_minimum_age_sensible CHECK (minimum_age >= 0 AND minimum_age <= 120),
    constraint purpose_reminder_is_for_consents_by_mail CHECK (renewal_reminder IS NULL OR channel = 'email'::channel AND (basis = ANY (ARRAY['consent'::lawful_basis, 'explicit-consent'::lawful_basis])) AND consent_lifetime IS NOT NULL),
    constraint purpose_special_category_needs_explicit_consent CHECK (NOT special_category OR basis = 'explicit-consent'::lawful_basis)
);
comment on column purpose.purpose_id is 'Positive. In the subscriber tables 0, -1 and -2 stand for all purposes: objection, suppression, restriction.';
comment on column purpose.first_event_at is 'When the first event named this purpose; from then on its channel and basis are fixed.';
comment on column purpose.renewal_reminder is 'How long before a consent runs out its holder is asked to renew it; null for never.';
grant select on purpose to consentledger_purge;
grant insert, select, update on purpose to consentledger_service;

create table renewal_reminder (
    subscriber_id uuid not null,
    purpose_id integer not null,
    expires_at timestamp with time zone not null,
    event_id uuid not null,
    reminded_at timestamp with time zone not null,
    constraint renewal_reminder_pk PRIMARY KEY (subscriber_id, purpose_id, expires_at)
);
comment on table renewal_reminder is 'Somebody was told that a consent runs out: once for each time at which one does, however often it is said again.';
comment on column renewal_reminder.event_id is 'The event that the consent follows from; this row goes with it.';
grant delete, select on renewal_reminder to consentledger_purge;
grant insert, select on renewal_reminder to consentledger_service;

create table rights_request (
    subscriber_id uuid not null,
    request_id uuid not null,
    kind request_kind not null,
    status request_status not null default 'open'::request_status,
    person bytea,
    received_at timestamp with time zone not null,
    acknowledged_at timestamp with time zone,
    paused_at timestamp with time zone,
    paused_for interval not null default 'PT0S'::interval,
    extended_months smallint not null default 0,
    due_at timestamp with time zone,
    closed_at timestamp with time zone,
    delivered request_delivery,
    constraint rights_request_pk PRIMARY KEY (subscriber_id, request_id),
    constraint rights_request_closed_says_when CHECK ((status = ANY (ARRAY['completed'::request_status, 'refused'::request_status])) = (closed_at IS NOT NULL)),
    constraint rights_request_complaint_runs_on CHECK (kind <> 'complaint'::request_kind OR paused_at IS NULL AND extended_months = 0),
    constraint rights_request_delivered_when_completed CHECK (delivered IS NULL OR status = 'completed'::request_status),
    constraint rights_request_extends_by_two CHECK (extended_months >= 0 AND extended_months <= 2),
    constraint rights_request_paused_says_when CHECK ((status = 'paused'::request_status) = (paused_at IS NOT NULL))
);
CREATE INDEX rights_request_by_id ON consentledger.rights_request USING btree (request_id);
CREATE INDEX rights_request_closed ON consentledger.rights_request USING btree (closed_at, subscriber_id, request_id) WHERE (closed_at IS NOT NULL);
CREATE INDEX rights_request_open ON consentledger.rights_request USING btree (due_at, request_id) WHERE (status = ANY (ARRAY['open'::request_status, 'paused'::request_status]));
comment on column rights_request.person is 'Sealed: the address and how the request came. Null once the person was erased; that they asked, and when, stays.';
comment on column rights_request.paused_for is 'How long the clock stood still, over all pauses that have ended.';
comment on column rights_request.due_at is 'By when it is answered, if the clock is not stopped any more; of a complaint, by when it is acknowledged, and then null.';
comment on column rights_request.delivered is 'How the copy that was asked for came to the person; null until then, and of what asks for none.';
grant delete, select, update (person) on rights_request to consentledger_purge;
grant insert, select, update on rights_request to consentledger_service;

create table rights_request_step (
    subscriber_id uuid not null,
    request_id uuid not null,
    step_id uuid not null,
    step request_step not null,
    taken_at timestamp with time zone not null,
    actor audit_actor not null,
    key_id uuid,
    note bytea,
    constraint rights_request_step_pk PRIMARY KEY (subscriber_id, request_id, step_id)
);
comment on table rights_request_step is 'The history of a request: what was done, when and by whom. Append-only by grant.';
comment on column rights_request_step.note is 'Sealed: why, in words. Null if nothing was said, or once the person was erased.';
grant delete, select, update (note) on rights_request_step to consentledger_purge;
grant insert, select on rights_request_step to consentledger_service;

create table sign_up (
    subscriber_id uuid not null,
    sign_up_id uuid not null,
    status sign_up_status not null default 'received'::sign_up_status,
    details bytea,
    attempts integer not null default 0,
    next_attempt_at timestamp with time zone not null,
    received_at timestamp with time zone not null,
    guardian_id uuid,
    constraint sign_up_pk PRIMARY KEY (subscriber_id, sign_up_id),
    constraint sign_up_open_has_details CHECK ((status = ANY (ARRAY['received'::sign_up_status, 'asked'::sign_up_status])) = (details IS NOT NULL))
);
CREATE INDEX sign_up_by_guardian ON consentledger.sign_up USING btree (guardian_id) WHERE (guardian_id IS NOT NULL);
CREATE INDEX sign_up_due ON consentledger.sign_up USING btree (next_attempt_at, sign_up_id) WHERE (status = 'received'::sign_up_status);
CREATE INDEX sign_up_received ON consentledger.sign_up USING btree (received_at);
comment on table sign_up is 'Received, then asked to confirm, then confirmed; or settled: nothing more comes of it. Gone after 30 days; what counts is in the ledger.';
comment on column sign_up.details is 'Sealed: who signed up for what, how, and what was shown. Gone once it is confirmed or settled.';
comment on column sign_up.guardian_id is 'The subscriber id of the guardian who is asked to confirm; null for nobody, and once it is confirmed or settled.';
grant delete, select on sign_up to consentledger_purge;
grant delete, insert, select, update on sign_up to consentledger_service;

create table soft_bounce (
    subscriber_id uuid not null,
    report_id uuid not null,
    occurred_at timestamp with time zone not null,
    cleared boolean not null default false,
    constraint soft_bounce_pk PRIMARY KEY (subscriber_id, report_id)
);
CREATE INDEX soft_bounce_occurred ON consentledger.soft_bounce USING btree (occurred_at);
comment on column soft_bounce.cleared is 'A message got through since.';
grant delete, select on soft_bounce to consentledger_purge;
grant delete, insert, select, update (cleared) on soft_bounce to consentledger_service;

create table subscriber (
    subscriber_id uuid not null,
    address bytea not null,
    recorded_at timestamp with time zone not null,
    constraint subscriber_pk PRIMARY KEY (subscriber_id)
);
comment on column subscriber.address is 'Sealed: the address as it was first given.';
grant delete, select, update (recorded_at) on subscriber to consentledger_purge;
grant insert, select, update (recorded_at) on subscriber to consentledger_service;

create table suppression (
    subscriber_id uuid not null,
    purpose_id integer not null,
    kind event_kind not null,
    basis lawful_basis,
    occurred_at timestamp with time zone not null,
    event_id uuid not null,
    kept_at timestamp with time zone not null,
    constraint suppression_pk PRIMARY KEY (subscriber_id, purpose_id, event_id)
);
comment on table suppression is 'What is left of a refusal whose event was purged: the keyed id and the fact, so that nothing brings the person back.';
grant insert, select on suppression to consentledger_purge;
grant insert, select on suppression to consentledger_service;

create table used_challenge (
    expires_at timestamp with time zone not null,
    salt bytea not null,
    constraint used_challenge_pk PRIMARY KEY (expires_at, salt)
);
comment on table used_challenge is 'Of no person: random bytes of challenges that were answered. Gone an hour after they expire.';
grant delete, insert, select on used_challenge to consentledger_service;
