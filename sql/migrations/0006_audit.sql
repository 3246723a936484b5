-- Why: an organisation that answers for what it does with people's data (Article 5(2)) can show who of its own did what,
-- when and to whose records. The trail is append-only by grant, like the ledger: whoever can use the service can add to
-- it by acting, and nobody who can only use the service can take anything back out.

create type audit_actor as enum ('key', 'command', 'subject', 'set-up-link', 'service');

create table audit_entry (
    audit_id         uuid        not null,
    happened_at      timestamptz not null,
    action           text        not null,
    actor            audit_actor not null,
    key_id           uuid,
    command          text,
    about_subscriber uuid,
    purpose          text,
    target           text,
    details          json        not null default '{}',
    request_id       text,
    constraint audit_entry_pk primary key (audit_id),
    constraint audit_entry_action_is_slug check (action ~ '^[a-z]+(-[a-z]+)*$' and length(action) <= 64),
    constraint audit_entry_actor_is_named check ((actor = 'key') = (key_id is not null) and (actor = 'command') = (command is not null)),
    constraint audit_entry_details_are_members check (json_typeof(details) = 'object')
);
comment on table audit_entry is
    'Written in the transaction of what it records where there is one, else before the answer: what was not recorded was not shown.';
comment on column audit_entry.about_subscriber is
    'A keyed hash, like every subscriber id; no entry holds an address. Not the first column: the trail is no part of a subscriber''s records and stays when they go.';
comment on column audit_entry.target is 'What else it was done to: the id of a key, a run or a request, the key of a form.';
comment on column audit_entry.details is 'Counts and settings, as texts; nothing personal.';

create index audit_entry_by_action on audit_entry (action, audit_id);
create index audit_entry_by_subscriber on audit_entry (about_subscriber, audit_id) where about_subscriber is not null;

grant select, insert on audit_entry to consentledger_service;
