-- Why: a form can ask a browser for some work before it takes a sign-up. A challenge is signed and not kept; that it was
-- used is, while it would still be taken, here so that every instance knows.

alter table form add column challenge boolean not null default false;

create table used_challenge (
    expires_at timestamptz not null,
    salt       bytea       not null,
    constraint used_challenge_pk primary key (expires_at, salt)
);
comment on table used_challenge is 'Of no person: random bytes of challenges that were answered. Gone an hour after they expire.';

grant select, insert, delete on used_challenge to consentledger_service;
